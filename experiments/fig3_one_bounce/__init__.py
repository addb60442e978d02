"""Figure 3: what models make of a bounce."""
