"""Kong's Admin API: one file for each dialect, and what they share."""
