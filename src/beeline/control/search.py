"""How a plan is searched for: what every search is given, and what it gives."""

import abc
from collections.abc import Callable
from typing import NamedTuple

from jaxtyping import Array, Float, PRNGKeyArray

from beeline._module import Module

Score = Callable[[Float[Array, "time action"]], Float[Array, ""]]
"""What a plan is worth; differentiable, for the searches along gradients."""


class Found(NamedTuple):
    """Where a search ended."""

    actions: Float[Array, "time action"]
    """Entries in [-1, 1]."""
    score: Float[Array, ""]
    """Minus infinity where no plan that was tried had a finite one."""


class Search(Module):
    """Looks for the plan that scores highest, from one first guess; pure, to be batched."""

    @abc.abstractmethod
    def __call__(
        self, score: Score, guess: Float[Array, "time action"], *, key: PRNGKeyArray
    ) -> Found:
        """Search.

        Args:
            score: What to maximise.
            guess: Where to begin, entries in [-1, 1].
            key: Randomness; searches along gradients do not use it.

        Returns:
            The best plan that was tried.
        """

    def heat(self) -> "Search | None":
        """Give a shorter search that tells which of many starts are worth going on from.

        Returns:
            None, where every start is to be followed to the end, unless a search overrides this.
        """
        return None


def check_counts(search: Module, **least: int) -> None:
    """Refuse settings that are too small a number.

    Args:
        search: The search.
        **least: The least value of each setting, by its name.

    Raises:
        ValueError: If one is not an integer of at least that.
    """
    for name, lowest in least.items():
        value = getattr(search, name)
        if isinstance(value, bool) or not isinstance(value, int) or value < lowest:
            raise ValueError(
                f"{type(search).__name__}: {name} must be an integer of at least {lowest}, "
                f"got {value!r}"
            )


def check_range(search: Module, name: str, most: float) -> None:
    """Refuse a setting that is out of range.

    Args:
        search: The search.
        name: Of the setting.
        most: It has to be above 0, and at most this.

    Raises:
        ValueError: If it is not.
    """
    value = getattr(search, name)
    if not 0 < value <= most:
        raise ValueError(
            f"{type(search).__name__}: {name} must be above 0 and at most {most:g}, got {value!r}"
        )
