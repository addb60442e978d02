"""Figure 8: the stop-gradient on the policy's input."""
