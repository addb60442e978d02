"""Figure 4: gradients and landscapes of a chaotic task."""
