"""Figure 7: learning curves on every task."""
