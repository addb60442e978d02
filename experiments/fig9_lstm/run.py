"""Figure 9: LSTM AWMs: train."""

from pathlib import Path

from experiments._runner import main

if __name__ == "__main__":
    main(Path(__file__).parent, "Figure 9 of the paper: LSTM AWMs.")
