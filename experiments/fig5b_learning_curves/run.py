"""Figure 5b: sample efficiency against model-free baselines: train."""

from pathlib import Path

from experiments._runner import main

if __name__ == "__main__":
    main(
        Path(__file__).parent,
        "Figure 5b of the paper: sample efficiency against model-free baselines.",
    )
