"""Logged data: episodes of different lengths, and readers of the files that hold them."""

from beeline.data._episodes import DataError, DataWarning, Episodes, LoggedEpisode
from beeline.data._reading import read

__all__ = ["DataError", "DataWarning", "Episodes", "LoggedEpisode", "read"]
