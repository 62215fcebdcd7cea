"""Where routes live."""
