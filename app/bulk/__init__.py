"""Acts on many photos: decided, labelled, assigned, captioned anew, with progress, a stop, and an undo at any time."""
