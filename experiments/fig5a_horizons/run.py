"""Figure 5a: train with every world model at every horizon."""

from pathlib import Path

from experiments._runner import main

if __name__ == "__main__":
    main(Path(__file__).parent, "Figure 5a of the paper: final performance by horizon.")
