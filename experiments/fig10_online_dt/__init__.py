"""Figure 10: the online decision transformer."""
