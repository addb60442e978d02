"""Figure 8: the stop-gradient on the policy's input: train."""

from pathlib import Path

from experiments._runner import main

if __name__ == "__main__":
    main(Path(__file__).parent, "Figure 8 of the paper: the stop-gradient on the policy's input.")
