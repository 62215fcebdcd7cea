"""What was done, and who is doing it."""
