"""One training run as a directory: configuration, records, checkpoint, summary, figures."""

from typing import TYPE_CHECKING, Any

from beeline.run._errors import DivergedError, Interrupted, RunError, RunWarning, StorageError
from beeline.run._evaluation import Evaluation, evaluate_run
from beeline.run._result import Run, load
from beeline.run._training import resume, train

if TYPE_CHECKING:
    from beeline.run._figures import draw_curves, draw_run

__all__ = [
    "DivergedError",
    "Evaluation",
    "Interrupted",
    "Run",
    "RunError",
    "RunWarning",
    "StorageError",
    "draw_curves",
    "draw_run",
    "evaluate_run",
    "load",
    "resume",
    "train",
]


def __getattr__(name: str) -> Any:
    # Matplotlib takes a while to import, and training begins without it.
    if name in ("draw_curves", "draw_run"):
        from beeline.run import _figures

        return getattr(_figures, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
