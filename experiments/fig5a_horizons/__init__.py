"""Figure 5a: how far each world model's policies come as the horizon grows."""
