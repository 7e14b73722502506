"""What speaks for a version before an alias moves to it, and the move."""
