"""Figure 9: LSTM AWMs."""
