"""Figure 5a: final performance by horizon: train."""

from pathlib import Path

from experiments._runner import main

if __name__ == "__main__":
    main(Path(__file__).parent, "Figure 5a of the paper: final performance by horizon.")
