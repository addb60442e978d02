"""Figure 10: the online decision transformer: draw."""

from pathlib import Path

from experiments._benchmark_figures import by_horizon as draw
from experiments._benchmark_figures import main

if __name__ == "__main__":
    main(Path(__file__).parent, draw)
