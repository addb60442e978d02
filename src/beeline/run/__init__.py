"""One training run as a directory: configuration, records, checkpoint, summary, figures."""

from beeline.run._errors import DivergedError, Interrupted, RunError
from beeline.run._figures import draw_curves, draw_run
from beeline.run._result import Evaluation, Run, evaluate_run, load
from beeline.run._training import train

__all__ = [
    "DivergedError",
    "Evaluation",
    "Interrupted",
    "Run",
    "RunError",
    "draw_curves",
    "draw_run",
    "evaluate_run",
    "load",
    "train",
]
