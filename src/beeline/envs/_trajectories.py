"""Panels for the states and controls of an episode, with their names and units."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from beeline._drawing import Axes, Figure, MaxNLocator, default_style
from beeline.envs._base import Environment

_COLOUR = "#1f6fb4"


class Panels(NamedTuple):
    """A figure with a panel for each entry."""

    figure: Figure
    states: list[Axes]
    """Over the horizon + 1 times of `times`."""
    controls: list[Axes]
    """Over the same times; each control is held to the end of its step."""


@dataclass(frozen=True)
class _Axis:
    name: str
    unit: str

    @property
    def label(self) -> str:
        unit = "" if self.unit in ("", "1") else f" [{self.unit}]"
        return textwrap.fill(self.name + unit, 20)


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
    wide = 1 if len(entries) <= 4 else 2
    rows = -(-len(entries) // wide)
    figure = Figure(figsize=(7.5 * wide, 1.2 + 2.0 * rows), dpi=dpi, layout="constrained")
    grid = list(figure.subplots(rows, wide, sharex=True, squeeze=False).T.flat)
    shown, unused = grid[: len(entries)], grid[len(entries) :]
    for axes, entry in zip(shown, entries, strict=True):
        axes.set_ylabel(entry.label)
        axes.yaxis.set_major_locator(MaxNLocator(4))
        axes.margins(x=0.01)
    for axes in unused:
        axes.set_visible(False)
    for axes in {shown[-1], shown[min(rows, len(shown)) - 1]}:
        axes.set_xlabel(time.label)
        axes.tick_params(labelbottom=True)
    return Panels(figure, shown[: len(states)], shown[len(states) :])


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
    for axes, values in zip(state_panels, states.T, strict=True):
        axes.plot(at, values, color=_COLOUR, marker="o", markevery=[-1])
    if len(actions):
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
    return [_Axis(*both) for both in zip(names, units or [""] * count, strict=True)]
