"""Windows and whole episodes where starts vary: draw."""

from pathlib import Path

from experiments._benchmark_figures import learning as draw
from experiments._benchmark_figures import main

if __name__ == "__main__":
    main(Path(__file__).parent, draw)
