"""Logged episodes of any lengths: what was seen, what was done, and what came of it."""

import math
import warnings
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple, final

import numpy as np
from jaxtyping import Float


class DataError(ValueError):
    """Logged data that cannot be used; the message says where and why."""


class DataWarning(UserWarning):
    """Logged data that can be used, but may not be what was meant; the message says why."""


class LoggedEpisode(NamedTuple):
    """One episode, in physical units."""

    states: Float[np.ndarray, "times state"]
    """One more than there are actions."""
    actions: Float[np.ndarray, "time action"]
    """The action between each state and the next."""
    rewards: Float[np.ndarray, " time"] | None
    """The reward of each step; None where none were logged."""
    terminated: bool
    """Whether the last state ended the episode; False where the log just stops."""


@final
class Episodes:
    """Episodes of different lengths, checked once and never changed.

    Attributes:
        state_names: What the state entries are called.
        action_names: What the action entries are called.
        state_units: Their units, where they are known.
        action_units: Their units, where they are known.
        labels: What the episodes are called, by default their numbers from 0.
        dt: Time between steps, where it is known.
        action_low: The action that models see as -1.
        action_high: The action that models see as 1.
    """

    state_names: tuple[str, ...]
    action_names: tuple[str, ...]
    state_units: tuple[str, ...] | None
    action_units: tuple[str, ...] | None
    labels: tuple[str, ...]
    dt: float | None
    action_low: Float[np.ndarray, " action"]
    action_high: Float[np.ndarray, " action"]

    def __init__(
        self,
        states: Sequence[Any],
        actions: Sequence[Any],
        rewards: Sequence[Any] | None = None,
        terminated: Sequence[bool] | None = None,
        *,
        state_names: Sequence[str] | None = None,
        action_names: Sequence[str] | None = None,
        state_units: Sequence[str] | None = None,
        action_units: Sequence[str] | None = None,
        labels: Sequence[str] | None = None,
        dt: float | None = None,
        action_low: Any = None,
        action_high: Any = None,
    ) -> None:
        """Check and copy the episodes.

        Args:
            states: An array of (steps + 1, state entries) for each episode.
            actions: An array of (steps, action entries) for each.
            rewards: An array of (steps,) for each, if there are any.
            terminated: Whether each ended in its last state; by default none did.
            state_names: What the state entries are called.
            action_names: What the action entries are called.
            state_units: Units of the state entries.
            action_units: Units of the action entries.
            labels: What the episodes are called, for errors.
            dt: Time between steps, above 0.
            action_low: The lowest actions, a number or one for each entry; by default of the data.
            action_high: The highest ones, likewise.

        Raises:
            DataError: If shapes do not belong together, a number is not finite, an episode has
                no step, or an action lies outside the bounds given.
        """
        count = len(states)
        if not count:
            raise DataError("there are no episodes: give the states of at least one")
        self._set("labels", _texts("labels", labels, count) or tuple(map(str, range(count))))
        for name, given in (("actions", actions), ("rewards", rewards), ("terminated", terminated)):
            if given is not None and len(given) != count:
                raise DataError(
                    f"{name} of {len(given)} episodes were given, but states of {count}: "
                    "give an entry for each episode"
                )
        seen = [self._numbers("states", i, x, 2) for i, x in enumerate(states)]
        done = [self._numbers("actions", i, x, 2) for i, x in enumerate(actions)]
        earned = None
        if rewards is not None:
            earned = [self._numbers("rewards", i, x, 1) for i, x in enumerate(rewards)]
        self._check_shapes(seen, done, earned)
        over = [False] * count if terminated is None else [bool(x) for x in terminated]
        rows = zip(seen, done, earned or [None] * count, over, strict=True)
        self._set("_episodes", tuple(LoggedEpisode(*row) for row in rows))
        for name, given, entries in (
            ("state_names", state_names, self.state_dim),
            ("action_names", action_names, self.action_dim),
        ):
            usual = tuple(f"{name.removesuffix('_names')} {i}" for i in range(entries))
            self._set(name, _texts(name, given, entries) or usual)
        self._set("state_units", _texts("state_units", state_units, self.state_dim))
        self._set("action_units", _texts("action_units", action_units, self.action_dim))
        if dt is not None and not (math.isfinite(dt) and dt > 0):
            raise DataError(f"dt is {dt}: give a finite time between steps, above 0")
        self._set("dt", dt)
        self._check_numbers()
        self._bound(action_low, action_high)
        self._warn_of_constants()

    @classmethod
    def from_minari(
        cls, dataset: Any, *, action_low: Any = None, action_high: Any = None
    ) -> "Episodes":
        """Read the episodes of a dataset of Minari's, which needs the extra `data`.

        Args:
            dataset: A `minari.MinariDataset`, or what Minari's storage on this machine calls it,
                such as `"D4RL/pen/human-v2"`. Nothing is downloaded.
            action_low: The lowest actions, a number or one for each entry; left out, those of the
                dataset's space, or of the data where that has none.
            action_high: The highest ones, likewise.

        Returns:
            The episodes, observations laid flat as those of a simulator are.

        Raises:
            DataError: If Minari is not installed, there is no such dataset, or its spaces or
                numbers cannot be learned from.
        """
        from beeline.data._minari import read_minari

        return read_minari(dataset, action_low=action_low, action_high=action_high)

    def __setattr__(self, name: str, value: Any) -> None:
        raise AttributeError(f"episodes do not change: make new ones, with another {name}")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"episodes do not change: {name} stays")

    def __len__(self) -> int:
        return len(self._episodes)

    def __iter__(self) -> Iterator[LoggedEpisode]:
        return iter(self._episodes)

    def __getitem__(self, index: int) -> LoggedEpisode:
        return self._episodes[index]

    def __repr__(self) -> str:
        return (
            f"Episodes({len(self)} of {self.steps} steps in all, "
            f"states {', '.join(self.state_names)}, actions {', '.join(self.action_names)})"
        )

    @property
    def state_dim(self) -> int:
        """Count the state entries.

        Returns:
            Their number.
        """
        return self._episodes[0].states.shape[1]

    @property
    def action_dim(self) -> int:
        """Count the action entries.

        Returns:
            Their number.
        """
        return self._episodes[0].actions.shape[1]

    @property
    def steps(self) -> int:
        """Count the steps of all episodes.

        Returns:
            Their number, which is that of the actions.
        """
        return sum(len(episode.actions) for episode in self)

    def to_box(self, actions: Float[np.ndarray, "*time action"]) -> Float[np.ndarray, "..."]:
        """Map actions from physical units to [-1, 1], which is what models take.

        Args:
            actions: Actions in physical units.

        Returns:
            The same in the box; 0 for an entry whose bounds are equal.
        """
        return to_box(actions, self.action_low, self.action_high)

    def _set(self, name: str, value: Any) -> None:
        object.__setattr__(self, name, value)

    _episodes: tuple[LoggedEpisode, ...]

    def _numbers(self, what: str, episode: int, given: Any, axes: int) -> np.ndarray:
        try:
            array = np.array(given, dtype=np.float64)
        except (TypeError, ValueError):
            raise DataError(f"{what} of episode {self.labels[episode]} are not numbers") from None
        if array.ndim != axes:
            wanted = "(steps, entries)" if axes == 2 else "(steps,)"
            raise DataError(
                f"{what} of episode {self.labels[episode]} have shape {array.shape}: give {wanted}"
            )
        array.flags.writeable = False
        return array

    def _check_shapes(
        self, seen: list[np.ndarray], done: list[np.ndarray], earned: list[np.ndarray] | None
    ) -> None:
        for i, label in enumerate(self.labels):
            states, actions = seen[i], done[i]
            if len(states) < 2:
                raise DataError(
                    f"episode {label} has {len(states)} states: give two at least, for a step"
                )
            if len(actions) != len(states) - 1:
                raise DataError(
                    f"episode {label} has {len(states)} states and {len(actions)} actions: "
                    "give one state more than actions"
                )
            if earned is not None and len(earned[i]) != len(actions):
                raise DataError(
                    f"episode {label} has {len(actions)} actions and {len(earned[i])} rewards: "
                    "give a reward for each action"
                )
            for name, own, first in (("state", states, seen[0]), ("action", actions, done[0])):
                if own.shape[1] != first.shape[1] or not own.shape[1]:
                    raise DataError(
                        f"episode {label} has {own.shape[1]} {name} entries and the first "
                        f"{first.shape[1]}: give all episodes the same, at least one"
                    )

    def _check_numbers(self) -> None:
        for label, episode in zip(self.labels, self, strict=True):
            for values, names in (
                (episode.states, self.state_names),
                (episode.actions, self.action_names),
                (None if episode.rewards is None else episode.rewards[:, None], ("reward",)),
            ):
                if values is not None and not np.isfinite(values).all():
                    step, column = np.argwhere(~np.isfinite(values))[0]
                    raise DataError(
                        f"episode {label}, step {step}, column {names[column]!r} is "
                        f"{values[step, column]}: give finite numbers"
                    )

    def _bound(self, low: Any, high: Any) -> None:
        actions = np.concatenate([episode.actions for episode in self])
        for name, given, usual in (
            ("action_low", low, actions.min(axis=0)),
            ("action_high", high, actions.max(axis=0)),
        ):
            try:
                value = np.broadcast_to(np.asarray(given, float), usual.shape).copy()
            except (TypeError, ValueError):
                value = usual
                if given is not None:
                    raise DataError(
                        f"{name} is {given!r}: give a number, or one for each of the "
                        f"{self.action_dim} action entries"
                    ) from None
            value = usual if given is None else value
            if not np.isfinite(value).all():
                raise DataError(f"{name} is {given!r}: give finite numbers")
            value.flags.writeable = False
            self._set(name, value)
        for label, episode in zip(self.labels, self, strict=True):
            outside = (episode.actions < self.action_low) | (episode.actions > self.action_high)
            if outside.any():
                step, column = np.argwhere(outside)[0]
                raise DataError(
                    f"episode {label}, step {step}, column {self.action_names[column]!r} is "
                    f"{episode.actions[step, column]:g}, outside its bounds "
                    f"{self.action_low[column]:g} and {self.action_high[column]:g}: widen them"
                )

    def _warn_of_constants(self) -> None:
        for kind, names in (("states", self.state_names), ("actions", self.action_names)):
            values = np.concatenate([getattr(episode, kind) for episode in self])
            for name, column in zip(names, values.T, strict=True):
                if column.min() == column.max():
                    warnings.warn(
                        f"column {name!r} is {column[0]:g} throughout: nothing can be learned "
                        "from it, leave it out",
                        DataWarning,
                        stacklevel=3,
                    )


def to_box(
    actions: Float[np.ndarray, "*time action"],
    low: Float[np.ndarray, " action"],
    high: Float[np.ndarray, " action"],
) -> Float[np.ndarray, "*time action"]:
    """Map actions from physical units to [-1, 1].

    Args:
        actions: Actions in physical units.
        low: What is mapped to -1.
        high: What is mapped to 1.

    Returns:
        The same in the box; 0 for an entry whose bounds are equal.
    """
    span = high - low
    centred = actions - (low + 0.5 * span)
    return np.where(span > 0, 2 * centred / np.where(span > 0, span, 1), 0.0)


def _texts(name: str, given: Sequence[str] | None, count: int) -> tuple[str, ...] | None:
    if given is None:
        return None
    texts = tuple(given)
    if len(texts) != count or not all(isinstance(text, str) for text in texts):
        raise DataError(f"{name} are {texts!r}: give {count} texts")
    return texts
