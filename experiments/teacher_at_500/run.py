"""What imagined episodes add at 500 steps: train."""

from pathlib import Path

from experiments._runner import main

if __name__ == "__main__":
    main(Path(__file__).parent, "What imagined episodes add at 500 steps.")
