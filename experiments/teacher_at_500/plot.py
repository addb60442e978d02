"""What imagined episodes add at 500 steps: draw."""

from pathlib import Path

from experiments._benchmark_figures import ingredients as draw
from experiments._benchmark_figures import main

if __name__ == "__main__":
    main(Path(__file__).parent, draw)
