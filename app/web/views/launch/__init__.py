"""The launch page: choices, what was measured, the recipe, the drawing of its end."""
