"""The processes of a server: how they start, hear of each other, and end."""
