"""The recipe of windows without each of its ingredients: train."""

from pathlib import Path

from experiments._runner import main

if __name__ == "__main__":
    main(Path(__file__).parent, "The recipe of windows without each of its ingredients.")
