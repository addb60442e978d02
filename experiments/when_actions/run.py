"""When actions models are worth it, one dial a task: train."""

from pathlib import Path

from experiments._runner import main

if __name__ == "__main__":
    main(Path(__file__).parent, "When actions models are worth it, one dial a task.")
