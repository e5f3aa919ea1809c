"""The shapes of the drawn products: `base` for the base model's world, `fresh` for the demo catalogue's."""
