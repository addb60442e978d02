"""Sequence cores: one recurrence in two forms, knowing nothing of states, actions or rewards."""

from beeline.sequence._base import SequenceCore
from beeline.sequence.transformer import Transformer

__all__ = ["SequenceCore", "Transformer"]
