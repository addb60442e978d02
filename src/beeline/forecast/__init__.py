"""World models of logged data, and how far ahead they can be believed."""

from beeline.forecast._directory import load, save
from beeline.forecast._errors import Errors, errors_ahead
from beeline.forecast._fitting import Fitted, fit_episodes
from beeline.forecast._forecaster import Forecaster
from beeline.forecast._split import Held, hold_out

__all__ = [
    "Errors",
    "Fitted",
    "Forecaster",
    "Held",
    "errors_ahead",
    "fit_episodes",
    "hold_out",
    "load",
    "save",
]
