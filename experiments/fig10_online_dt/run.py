"""Figure 10: the online decision transformer: train."""

from pathlib import Path

from experiments._runner import main

if __name__ == "__main__":
    main(Path(__file__).parent, "Figure 10 of the paper: the online decision transformer.")
