"""Figure 7: learning curves on every task: draw."""

from pathlib import Path

from experiments._benchmark_figures import main
from experiments._benchmark_figures import tasks as draw

if __name__ == "__main__":
    main(Path(__file__).parent, draw)
