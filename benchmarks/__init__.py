"""Speed, memory and robustness. See `python -m benchmarks --help`."""
