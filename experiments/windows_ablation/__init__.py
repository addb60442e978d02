"""The recipe without each of its ingredients."""
