"""Gymnasium's own simulators, by name."""
