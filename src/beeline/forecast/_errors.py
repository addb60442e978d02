"""How wrong forecasts are, by how many steps ahead they look."""

from collections.abc import Sequence
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from beeline._drawing import Axes, Figure, MaxNLocator, default_style, literal
from beeline.diagnostics.tables import Table
from beeline.forecast._split import Piece
from beeline.gradients import open_loop
from beeline.models import WorldModel

_MOST_STARTS = 512
_MOST_STEPS = 2**18
"""Of all forecasts together."""


class Errors(NamedTuple):
    """Root mean squared errors in units of the spread of each state entry."""

    names: tuple[str, ...]
    """What the state entries are called."""
    model: Float[np.ndarray, "ahead state"]
    """Of the model, fed nothing but the first state and the actions."""
    persistence: Float[np.ndarray, "ahead state"]
    """Of saying that the state stays as it is: what a forecast has to beat."""
    starts: Int[np.ndarray, " ahead"]
    """From how many starts each is the mean."""

    @property
    def overall(self) -> Float[np.ndarray, " ahead"]:
        """Put the state entries together.

        Returns:
            Root mean squares over them.
        """
        return np.sqrt(np.mean(self.model**2, axis=1))

    @property
    def overall_persistence(self) -> Float[np.ndarray, " ahead"]:
        """Put the state entries together, for persistence.

        Returns:
            Root mean squares over them.
        """
        return np.sqrt(np.mean(self.persistence**2, axis=1))

    def believed(self, share: float = 0.5) -> int:
        """Say how many steps ahead forecasts can be believed.

        Args:
            share: Error, in units of the spread, up to which they are. At 0.5 they explain three
                quarters of the variance; at 1 they are no better than the mean of the data.

        Returns:
            The steps before the overall error first passes the share; 0 if it does at once.
        """
        passed = ~(self.overall <= share)
        return int(np.argmax(passed)) if passed.any() else len(passed)

    def beats_persistence(self) -> tuple[int, int] | None:
        """Say over which steps ahead forecasts are better than persistence.

        Returns:
            The first and the last step of the longest stretch in which they are; None if nowhere.
        """
        better = np.concatenate([[False], self.overall < self.overall_persistence, [False]])
        begins, ends = np.flatnonzero(np.diff(better.astype(int))).reshape(-1, 2).T
        if not len(begins):
            return None
        longest = int(np.argmax(ends - begins))
        return int(begins[longest]) + 1, int(ends[longest])

    def table(self, steps: Sequence[int] | None = None) -> Table:
        """Lay the errors out.

        Args:
            steps: Steps ahead to tell of; by default all.

        Returns:
            A row for each: overall, of persistence, and of each state entry.
        """
        rows = []
        for step in steps or range(1, len(self.model) + 1):
            own = {name: float(x) for name, x in zip(self.names, self.model[step - 1], strict=True)}
            rows.append(
                {
                    "steps ahead": step,
                    "error": float(self.overall[step - 1]),
                    "persistence": float(self.overall_persistence[step - 1]),
                    **own,
                    "starts": int(self.starts[step - 1]),
                }
            )
        return Table.of(rows)

    @default_style()
    def figure(self, share: float = 0.5) -> Figure:
        """Draw the errors over the steps ahead.

        Args:
            share: Where to draw the line up to which forecasts are believed.

        Returns:
            The figure.
        """
        figure = Figure(figsize=(8, 4.6), dpi=150, layout="constrained")
        axes: Axes = figure.subplots()
        steps = np.arange(1, len(self.model) + 1)
        for name, errors in zip(self.names, self.model.T, strict=True):
            axes.plot(steps, errors, linewidth=1, label=literal(name))
        axes.plot(steps, self.overall, color="black", linewidth=2, label="all states")
        axes.plot(
            steps, self.overall_persistence, color="black", linestyle="--", label="persistence"
        )
        axes.axhline(share, color="gray", linewidth=0.8, linestyle=":")
        axes.set_xlabel("steps ahead")
        axes.set_ylabel("held-out error, in spreads of the state")
        # Errors of a hundredth and of 1 belong in one picture.
        axes.set_yscale("log")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.legend(fontsize="small")
        return figure


def rows_to_tell(ahead: int) -> list[int]:
    """Choose the steps ahead that a short table tells of.

    Args:
        ahead: The last.

    Returns:
        1, 2, 5, 10, 20, 50, ... and the last.
    """
    steps = [k * 10**power for power in range(9) for k in (1, 2, 5)]
    return [*(step for step in steps if step < ahead), ahead]


def errors_ahead(
    model: WorldModel,
    pieces: Sequence[Piece],
    spread: Float[np.ndarray, " state"],
    ahead: int,
    names: Sequence[str] | None = None,
) -> Errors:
    """Measure forecasts from many starts.

    Args:
        model: The world model.
        pieces: Episodes that it was not fitted to.
        spread: What counts as an error of 1, for each state entry.
        ahead: Steps to look ahead, at most those of the longest episode.
        names: What the state entries are called.

    Returns:
        The errors. Each step's are from all starts that have as many steps after them.
    """
    starts = [(piece, t) for piece in pieces for t in range(len(piece.actions))]
    most = max(1, min(_MOST_STARTS, _MOST_STEPS // ahead))
    chosen = np.unique(np.linspace(0, len(starts) - 1, min(most, len(starts))).round().astype(int))
    cut = [_cut(starts[i][0], starts[i][1], ahead) for i in chosen]
    if not np.isfinite([row[2][-1] for row in cut]).any():
        # The grid may have missed the few starts that reach the last step.
        cut += [_cut(p, 0, ahead) for p in pieces if len(p.actions) >= ahead]
    first, actions, after = (np.stack(x) for x in zip(*cut, strict=True))
    predicted = np.asarray(_predict(model, jnp.asarray(first), jnp.asarray(actions)), np.float64)
    seen = np.isfinite(after)
    wrong, still = (
        np.where(seen, (guess - after) / spread, 0.0) for guess in (predicted, first[:, None])
    )
    count = seen[..., 0].sum(axis=0)
    return Errors(
        tuple(names or (f"state {i}" for i in range(len(spread)))),
        np.sqrt((wrong**2).sum(axis=0) / count[:, None]),
        np.sqrt((still**2).sum(axis=0) / count[:, None]),
        count,
    )


def _cut(piece: Piece, t: int, ahead: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    lacking = max(0, t + ahead - len(piece.actions))
    actions = np.pad(piece.actions[t : t + ahead], ((0, lacking), (0, 0)))
    after = piece.states[t + 1 : t + 1 + ahead]
    return piece.states[t], actions, np.pad(after, ((0, lacking), (0, 0)), constant_values=np.nan)


@eqx.filter_jit
def _predict(
    model: WorldModel,
    states: Float[Array, "batch state"],
    actions: Float[Array, "batch time action"],
) -> Float[Array, "batch time state"]:
    return jax.vmap(lambda state, given: open_loop(model, state, given))(states, actions)
