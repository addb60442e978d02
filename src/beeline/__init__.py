"""Learn policies by backpropagating through learned world models over long horizons."""
