"""Figures 2 and 6: policies learned online in a chaotic task."""
