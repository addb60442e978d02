"""Why the Markov model keeps up at 500 steps."""
