"""What the pages show: one file for each part that several routes or fragments share."""
