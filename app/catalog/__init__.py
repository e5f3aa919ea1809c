"""The catalog: taking photos in and measuring them."""
