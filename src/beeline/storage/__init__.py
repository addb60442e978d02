"""Files that last: written whole or not at all, and read as those of strangers."""
