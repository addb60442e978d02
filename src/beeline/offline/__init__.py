"""Learning from logged data alone: a system that knows where the data does not tell."""

from beeline.offline._judging import Judgement, judge
from beeline.offline._learning import learn_system
from beeline.offline._rows import Rows, behaviour, cut_rows, packed_rows
from beeline.offline._system import System

__all__ = [
    "Judgement",
    "Rows",
    "System",
    "behaviour",
    "cut_rows",
    "judge",
    "learn_system",
    "packed_rows",
]
