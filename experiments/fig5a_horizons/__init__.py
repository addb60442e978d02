"""Figure 5a: final performance by horizon."""
