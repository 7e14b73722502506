"""Rows: how they come in, what they are held against, and how answers to them go out."""
