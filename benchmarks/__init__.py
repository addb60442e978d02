"""Speed, memory and learning, each against a named reference. See `python -m benchmarks --help`."""
