"""What a model is fitted to and what it is judged by; long records and ragged episodes alike."""

import math
import warnings
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from numpy.lib.stride_tricks import sliding_window_view

from beeline.data import DataError, DataWarning, Episodes

_USUAL_WINDOW = 50
_LARGEST = 2**24
"""Numbers in all windows together, beyond which they begin further apart."""


class Piece(NamedTuple):
    """An episode or a part of one, as models see it."""

    states: Float[np.ndarray, "times state"]
    """In physical units."""
    actions: Float[np.ndarray, "time action"]
    """In [-1, 1]."""


class Held(NamedTuple):
    """Episodes parted in two."""

    fitted: list[Piece]
    """What a model is fitted to."""
    held_out: list[Piece]
    """What it never sees."""
    what: str
    """Says what was held out."""

    @property
    def spread(self) -> Float[np.ndarray, " state"]:
        """Measure how much each state entry varies in what is fitted.

        Returns:
            Standard deviations; 1 for an entry that is constant there.
        """
        spread = np.concatenate([piece.states for piece in self.fitted]).std(axis=0)
        return np.where(spread > 0, spread, 1.0)


def hold_out(episodes: Episodes, share: float = 0.2, seed: int = 0) -> Held:
    """Hold out whole episodes, drawn at random, or the last part of a single record.

    Args:
        episodes: The episodes.
        share: Share of them that is held out, at least one; of a single record, of its steps.
        seed: Decides which.

    Returns:
        Both parts.

    Raises:
        DataError: If the share is not between 0 and 1, or leaves either part without a step.
    """
    if not 0 < share < 1:
        raise DataError(f"the share held out is {share}: give one above 0 and below 1")
    pieces = [Piece(one.states, episodes.to_box(one.actions)) for one in episodes]
    if len(pieces) == 1:
        (piece,) = pieces
        steps = len(piece.actions)
        first = steps - round(share * steps)
        if first < 2 or steps - first < 2:
            raise DataError(
                f"{share} of a record of {steps} steps leaves fewer than 2 steps on one side: give "
                "another share, or a longer record"
            )
        before = Piece(piece.states[: first + 1], piece.actions[:first])
        after = Piece(piece.states[first:], piece.actions[first:])
        return Held([before], [after], f"the last {steps - first} of {steps} steps")
    count = min(max(1, round(share * len(pieces))), len(pieces) - 1)
    chosen = set(np.random.default_rng(seed).permutation(len(pieces))[:count].tolist())
    return Held(
        [piece for i, piece in enumerate(pieces) if i not in chosen],
        [piece for i, piece in enumerate(pieces) if i in chosen],
        f"{count} of {len(pieces)} episodes",
    )


def usual_window(pieces: Sequence[Piece]) -> int:
    """Choose how long windows are.

    Args:
        pieces: What they are cut out of.

    Returns:
        50 steps, or what half of the episodes have, if that is less.
    """
    lengths = [len(piece.actions) for piece in pieces]
    return max(2, min(_USUAL_WINDOW, math.floor(np.median(lengths))))


def windows_of(pieces: Sequence[Piece], length: int) -> Piece:
    """Cut windows that begin at every step, so that each is an example of any start.

    Args:
        pieces: Episodes of any lengths.
        length: Steps in a window, at least 2.

    Returns:
        States and actions of all windows, with an axis of windows before that of time.

    Raises:
        DataError: If no episode is as long as a window.
    """
    long = [piece for piece in pieces if len(piece.actions) >= length]
    if length < 2 or not long:
        longest = max(len(piece.actions) for piece in pieces)
        raise DataError(
            f"windows of {length} steps were asked for, but the longest episode to fit has "
            f"{longest}: give a window of 2 to {longest} steps"
            if longest > 1
            else "no episode to fit has more than one step: give longer ones"
        )
    if len(long) < len(pieces):
        warnings.warn(
            f"{len(pieces) - len(long)} of {len(pieces)} episodes to fit are shorter than a window "
            f"of {length} steps and left out: give a shorter window to have them",
            DataWarning,
            stacklevel=3,
        )
    width = long[0].states.shape[1] + long[0].actions.shape[1]
    count = sum(len(piece.actions) - length + 1 for piece in long)
    apart = math.ceil(count * (length + 1) * width / _LARGEST)

    def cut(values: np.ndarray, steps: int) -> np.ndarray:
        return np.moveaxis(sliding_window_view(values, steps, axis=0)[::apart], -1, 1)

    return Piece(
        np.concatenate([cut(piece.states, length + 1) for piece in long]),
        np.concatenate([cut(piece.actions, length) for piece in long]),
    )
