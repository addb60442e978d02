"""Methods to compare with, which learn without a world model."""
