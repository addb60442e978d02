"""Panels for the states and controls of an episode, with their names and units."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, cast

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from beeline._drawing import Axes, Figure, MaxNLocator, default_style
from beeline.envs._base import Environment

_COLOUR = "#1f6fb4"
_MOST_LINES = 12
"""More states or controls than these are one image of their entries over time."""
_HEIGHT, _FIELD_HEIGHT = 2.0, 4.0
"""Of a panel, in inches."""
_LABELS = 5


class Panels(NamedTuple):
    """A figure with a panel for each entry, or one for a field of many."""

    figure: Figure
    states: list[Axes]
    """Over the horizon + 1 times of `times`."""
    controls: list[Axes]
    """Over the same times; each control is held to the end of its step."""


@dataclass(frozen=True)
class _Axis:
    name: str
    unit: str
    entries: Sequence[str] = ()
    """Names of the entries of a field."""

    @property
    def label(self) -> str:
        unit = "" if self.unit in ("", "1") else f" [{self.unit}]"
        return textwrap.fill(self.name + unit, 20)

    @property
    def height(self) -> float:
        return _FIELD_HEIGHT if self.entries else _HEIGHT


def panels(env: Environment, *, dpi: int = 150) -> Panels:
    """Lay out a figure for the episodes of a task.

    Args:
        env: The task.
        dpi: Pixels an inch.

    Returns:
        The figure, with empty panels.
    """
    time, states, controls = _axes_of(env)
    entries = [*states, *controls]
    wide = 1 if len(entries) <= 4 or any(entry.entries for entry in entries) else 2
    rows = -(-len(entries) // wide)
    heights = [entry.height for entry in entries] if wide == 1 else [_HEIGHT] * rows
    figure = Figure(figsize=(7.5 * wide, 1.2 + sum(heights)), dpi=dpi, layout="constrained")
    grid = list(
        figure.subplots(rows, wide, sharex=True, squeeze=False, height_ratios=heights).T.flat
    )
    shown, unused = grid[: len(entries)], grid[len(entries) :]
    for axes, entry in zip(shown, entries, strict=True):
        axes.set_ylabel(entry.label)
        axes.yaxis.set_major_locator(MaxNLocator(4))
        axes.margins(x=0.01)
        if entry.entries:
            marked = np.linspace(0, len(entry.entries) - 1, _LABELS).round().astype(int)
            axes.set_yticks(marked, [entry.entries[i] for i in marked])
    for axes in unused:
        axes.set_visible(False)
    for axes in {shown[-1], shown[min(rows, len(shown)) - 1]}:
        axes.set_xlabel(time.label)
        axes.tick_params(labelbottom=True)
    return Panels(figure, shown[: len(states)], shown[len(states) :])


def is_field(entries: int) -> bool:
    """Tell whether states or controls are one panel, for `draw_field`.

    Args:
        entries: How many entries they have.

    Returns:
        Whether they are too many for a panel each.
    """
    return entries > _MOST_LINES


def draw_field(
    axes: Axes, values: Float[np.ndarray, "column entry"], begin: float, dt: float
) -> None:
    """Draw many entries over time as an image, in red and blue where they have both signs.

    Args:
        axes: The panel of `panels`.
        values: The entries at each time.
        begin: Where the first of them begins, in the unit of time.
        dt: How wide each is.
    """
    low, high = (
        reach(values, where=np.isfinite(values), initial=0.0) for reach in (np.min, np.max)
    )
    largest = max(-low, high)
    signed = {"cmap": "RdBu_r", "vmin": -largest, "vmax": largest} if low < 0 < high else {}
    image = axes.imshow(
        values.T,
        origin="lower",
        aspect="auto",
        interpolation="nearest",
        extent=(begin, begin + len(values) * dt, -0.5, values.shape[1] - 0.5),
        **signed,
    )
    # Beside the panel, so that it stays as wide as the others.
    figure = cast(Figure, axes.get_figure(root=True))
    figure.colorbar(image, cax=axes.inset_axes((1.01, 0.0, 0.02, 1.0)))


def times(env: Environment) -> Float[np.ndarray, " times"]:
    """Compute the times of an episode's states.

    Args:
        env: The task.

    Returns:
        The times, from the start to the end of an episode.
    """
    return np.arange(env.horizon + 1) * env.dt


def controls_of(
    env: Environment, actions: Float[np.ndarray, "*batch time action"]
) -> Float[np.ndarray, "*batch times action"]:
    """Turn actions into lines to draw: in the units of the task, and as long as the states.

    Args:
        env: The task.
        actions: The actions, each entry in [-1, 1].

    Returns:
        The controls, the last one twice to draw its whole step.
    """
    controls = np.asarray(env.physical_action(jnp.asarray(actions)))
    return np.concatenate([controls, controls[..., -1:, :]], axis=-2)


@default_style()
def draw_episode(
    env: Environment,
    states: Float[np.ndarray, "seen state"],
    actions: Float[np.ndarray, "done action"],
    t: int,
    return_: float,
) -> Figure:
    """Draw an episode as far as it has gone.

    Args:
        env: The task.
        states: The states so far, from the first one recorded.
        actions: The actions between them.
        t: The step index of the last state.
        return_: What they have earned.

    Returns:
        The figure, of the same size and time axis whatever the step.
    """
    figure, state_panels, control_panels = panels(env, dpi=100)
    whole = times(env)
    at = whole[t - len(actions) : t + 1]
    if is_field(env.state_dim):
        draw_field(state_panels[0], states, at[0] - env.dt / 2, env.dt)
    else:
        for axes, values in zip(state_panels, states.T, strict=True):
            axes.plot(at, values, color=_COLOUR, marker="o", markevery=[-1])
    if len(actions) and is_field(env.action_dim):
        draw_field(control_panels[0], controls_of(env, actions)[:-1], at[0], env.dt)
    elif len(actions):
        for axes, values in zip(control_panels, controls_of(env, actions).T, strict=True):
            axes.plot(at, values, color=_COLOUR, drawstyle="steps-post")
    for axes in (*state_panels, *control_panels):
        axes.set_xlim(whole[0], whole[-1])
        axes.grid(alpha=0.2)
    figure.suptitle(f"{env.name}, step {t} of {env.horizon}, return {return_:.4g}")
    return figure


def _axes_of(env: Environment) -> tuple[_Axis, list[_Axis], list[_Axis]]:
    return (
        _Axis("time", env.time_unit),
        _axes("state", env.state_dim, env.state_names, env.state_units),
        _axes("action", env.action_dim, env.action_names, env.action_units),
    )


def _axes(kind: str, count: int, names: Sequence[str], units: Sequence[str]) -> list[_Axis]:
    names = names or [f"{kind} {entry}" for entry in range(count)]
    if is_field(count):
        return [_Axis(kind, units[0] if len(set(units)) == 1 else "", names)]
    return [_Axis(*both) for both in zip(names, units or [""] * count, strict=True)]
