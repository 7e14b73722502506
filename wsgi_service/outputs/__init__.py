"""What versions answer, as bodies: one module for each format, and one that chooses."""
