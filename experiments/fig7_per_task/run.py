"""Figure 7: learning curves on every task: train."""

from pathlib import Path

from experiments._runner import main

if __name__ == "__main__":
    main(Path(__file__).parent, "Figure 7 of the paper: learning curves on every task.")
