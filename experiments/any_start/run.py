"""Windows and whole episodes where starts vary: train."""

from pathlib import Path

from experiments._runner import main

if __name__ == "__main__":
    main(Path(__file__).parent, "Windows and whole episodes where starts vary.")
