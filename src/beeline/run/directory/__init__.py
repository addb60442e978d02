"""What is kept of a run: one directory, its files, and how they are read back."""
