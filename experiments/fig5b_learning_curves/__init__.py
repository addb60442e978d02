"""Figure 5b: sample efficiency against model-free baselines."""
