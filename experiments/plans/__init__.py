"""Plans in learned world models."""
