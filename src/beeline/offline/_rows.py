"""Logged episodes of any lengths as rows of as many steps each, which a buffer holds."""

import math
import warnings
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from beeline.data import DataError, DataWarning, Episodes
from beeline.data._episodes import to_box

_BEYOND = 1e-6
"""How far actions may lie beyond bounds, for they are rounded where they are logged."""
_MOST = 100_000
"""Steps that rows are made of, beyond which some rows are left out."""


class Rows(NamedTuple):
    """Steps of logged data, as many in each row."""

    states: Float[np.ndarray, "row times state"]
    """In physical units, one more than there are actions."""
    actions: Float[np.ndarray, "row time action"]
    """In [-1, 1]."""
    after: Float[np.ndarray, "row time state"]
    """The state after each action."""
    rewards: Float[np.ndarray, "row time"] | None
    """None where none were logged."""

    def at(self, chosen: Int[np.ndarray, " chosen"]) -> "Rows":
        """Take some rows.

        Args:
            chosen: Which.

        Returns:
            Those rows.
        """
        rewards = None if self.rewards is None else self.rewards[chosen]
        return Rows(self.states[chosen], self.actions[chosen], self.after[chosen], rewards)


def cut_rows(episodes: Episodes, horizon: int, low: object = None, high: object = None) -> Rows:
    """Cut episodes into rows that follow each other, none across two episodes.

    What is left of an episode after its last whole row is in a row that overlaps it.

    Args:
        episodes: The episodes. Those that are shorter than a row are left out, with a warning.
        horizon: Steps in a row.
        low: The action that counts as -1; the episodes' own if not given.
        high: The action that counts as 1.

    Returns:
        The rows.

    Raises:
        DataError: If no episode is as long as a row, or an action lies outside the bounds.
    """
    boxed = _boxed(episodes, low, high)
    lengths = [len(actions) for actions in boxed]
    short = sum(length < horizon for length in lengths)
    if short == len(lengths):
        raise DataError(
            f"the longest episode of the data has {max(lengths)} steps, and one of the task "
            f"{horizon}: give --horizon {max(lengths)} or less"
        )
    if short:
        warnings.warn(
            f"{short} of {len(lengths)} episodes are shorter than the {horizon} steps of the task "
            "and left out: give a shorter horizon to have them",
            DataWarning,
            stacklevel=3,
        )
    states, actions, rewards = [], [], []
    for one, box in zip(episodes, boxed, strict=True):
        for first in _firsts(len(box), horizon):
            states.append(one.states[first : first + horizon + 1])
            actions.append(box[first : first + horizon])
            if one.rewards is not None:
                rewards.append(one.rewards[first : first + horizon])
    every = np.stack(states)
    return Rows(every, np.stack(actions), every[:, 1:], np.stack(rewards) if rewards else None)


def packed_rows(episodes: Episodes, horizon: int, low: object = None, high: object = None) -> Rows:
    """Lay episodes end to end and cut them into rows, whatever their lengths.

    In such a row a state need not follow from the one before it.

    Args:
        episodes: The episodes.
        horizon: Steps in a row.
        low: The action that counts as -1; the episodes' own if not given.
        high: The action that counts as 1.

    Returns:
        The rows; evenly spread ones if there are very many.

    Raises:
        DataError: If there are fewer steps than two rows have, or an action lies outside the
            bounds.
    """
    actions = np.concatenate(_boxed(episodes, low, high))
    before = np.concatenate([one.states[:-1] for one in episodes])
    after = np.concatenate([one.states[1:] for one in episodes])
    rewards = [one.rewards for one in episodes if one.rewards is not None]
    if len(actions) < 2 * horizon:
        raise DataError(
            f"the data has {len(actions)} steps in all, fewer than two episodes of {horizon}: "
            f"give --horizon {max(2, len(actions) // 2)} or less"
        )
    firsts = _firsts(len(actions), horizon)
    if len(firsts) * horizon > _MOST:
        kept = np.linspace(0, len(firsts) - 1, max(2, _MOST // horizon)).round().astype(int)
        firsts = [firsts[i] for i in kept]
    at = np.asarray(firsts)[:, None] + np.arange(horizon)
    states = np.concatenate([before[at], after[at[:, -1:]]], axis=1)
    earned = np.concatenate(rewards)[at] if rewards else None
    return Rows(states, actions[at], after[at], earned)


def behaviour(rewards: list[np.ndarray], horizon: int) -> tuple[float, float | None]:
    """Say what the data's behaviour earned in as many steps as an episode has.

    Args:
        rewards: Rewards of each episode of the data.
        horizon: Steps in an episode.

    Returns:
        The mean return, and the best; None for that if no episode of the data is as long, the
        mean then being that of all steps times the horizon.
    """
    rows = [each[i : i + horizon].sum() for each in rewards for i in _firsts(len(each), horizon)]
    if not rows:
        return float(np.concatenate(rewards).mean() * horizon), None
    return float(np.mean(rows)), float(np.max(rows))


def _firsts(length: int, horizon: int) -> list[int]:
    if length < horizon:
        return []
    whole = list(range(0, length - horizon + 1, horizon))
    return whole if length % horizon == 0 else [*whole, length - horizon]


def _boxed(episodes: Episodes, low: object, high: object) -> list[np.ndarray]:
    lowest, highest = (
        np.broadcast_to(np.asarray(own if given is None else given, float), episodes.action_dim)
        for given, own in ((low, episodes.action_low), (high, episodes.action_high))
    )
    boxed = [to_box(one.actions, lowest, highest) for one in episodes]
    beyond = max(np.abs(box).max() for box in boxed) - 1
    if not beyond <= _BEYOND or not math.isfinite(beyond):
        entry = int(np.argmax(np.max([np.abs(box).max(axis=0) for box in boxed], axis=0)))
        raise DataError(
            f"{episodes.action_names[entry]!r} lies outside the bounds of the task's actions, "
            f"{lowest[entry]:g} to {highest[entry]:g}: give actions in its units"
        )
    return [np.clip(box, -1, 1) for box in boxed]
