"""Learn policies by backpropagating through learned world models over long horizons.

`train` is where to begin. Everything is imported when it is first asked for, so that importing
the package is quick and starts no device.
"""

import importlib
from typing import TYPE_CHECKING, Any

from beeline.envs._gymnasium_names import register_tasks

if TYPE_CHECKING:
    from beeline import control, data, envs, forecast
    from beeline.config import Config, preset, register_model
    from beeline.data import Episodes
    from beeline.examine import diagnose
    from beeline.run import DivergedError, Run, RunError, StorageError, load, resume, train
    from beeline.run import evaluate_run as evaluate
    from beeline.training import fit

__all__ = [
    "Config",
    "DivergedError",
    "Episodes",
    "Run",
    "RunError",
    "StorageError",
    "control",
    "data",
    "diagnose",
    "envs",
    "evaluate",
    "fit",
    "forecast",
    "load",
    "preset",
    "register_model",
    "resume",
    "train",
]

_HOMES = {
    "Config": ("beeline.config", "Config"),
    "DivergedError": ("beeline.run", "DivergedError"),
    "Episodes": ("beeline.data", "Episodes"),
    "Run": ("beeline.run", "Run"),
    "RunError": ("beeline.run", "RunError"),
    "StorageError": ("beeline.run", "StorageError"),
    "control": ("beeline.control", None),
    "data": ("beeline.data", None),
    "diagnose": ("beeline.examine", "diagnose"),
    "envs": ("beeline.envs", None),
    "evaluate": ("beeline.run", "evaluate_run"),
    "fit": ("beeline.training", "fit"),
    "forecast": ("beeline.forecast", None),
    "load": ("beeline.run", "load"),
    "preset": ("beeline.config", "preset"),
    "register_model": ("beeline.config", "register_model"),
    "resume": ("beeline.run", "resume"),
    "train": ("beeline.run", "train"),
}

register_tasks()


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home, attribute = _HOMES[name]
    module = importlib.import_module(home)
    return module if attribute is None else getattr(module, attribute)


def __dir__() -> list[str]:
    return sorted(__all__)
