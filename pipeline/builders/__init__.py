"""Where images are made and kept."""
