"""What returns are compared with where chance has a part."""

import dataclasses
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from beeline.control._optimum_store import save
from beeline.control.closed_loop import closed_loop_return
from beeline.control.grid import Grid, solve_grid
from beeline.control.lqr import lqr
from beeline.envs import Environment
from beeline.envs._identity import equations
from beeline.envs.classic import (
    DoubleIntegrator,
    LinearMotion,
    Pendulum,
    ReactionDiffusion,
    UnstablePole,
)
from beeline.envs.classic.pendulum import RATE
from beeline.storage.cache import cache_directory

VERSION = 1
"""Raise this when a solver changes what it would find."""

_EPISODES = 1000
_ANGLES, _RATES = 181, 161


def reference_return(env: Environment, *, cache: bool = True) -> float | None:
    """Find the mean return that a task is measured by, where it has one beside its optimum.

    An environment of one's own says it by `reference_return`. Of the library's tasks, the linear
    ones and reaction-diffusion have what the linear quadratic regulator earns, clipped, and the
    pendulum what dynamic programming on a grid does, each in the mean of 1,000 episodes.

    Args:
        env: The task.
        cache: Whether to look the result up on disk, and to keep it there.

    Returns:
        The return; None if there is none.

    Raises:
        ValueError: If it is not finite.
    """
    return_ = env.reference_return
    solve = _POLICIES.get(type(env))
    if return_ is None and solve is not None:
        with jax.enable_x64(True):
            file = f"reference-{env.name}-h{env.horizon}-v{VERSION}-{equations(env)}.npz"
            path = cache_directory() / file if cache else None
            return_ = _load(path) if path else None
            if return_ is None:
                return_ = closed_loop_return(env, solve(env).mode, _EPISODES).mean
                if path:
                    save(path, {"return_": np.asarray(return_)})
    if return_ is not None and not math.isfinite(return_):
        raise ValueError(f"{env.name}: reference_return must be finite, got {return_}")
    return None if return_ is None else float(return_)


def _load(path: Path) -> float | None:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            stored = archive["return_"]
    except Exception:
        # Whatever is wrong with it, it is computed again.
        return None
    sound = stored.dtype == np.float64 and stored.shape == () and np.isfinite(stored)
    return float(stored) if sound else None


def _of_linear(env: LinearMotion) -> Any:
    # Noise changes the value, and nothing about what is best.
    return lqr(dataclasses.replace(env, process_noise=0.0))


def _of_field(env: ReactionDiffusion) -> Any:
    return lqr(env, around=np.zeros(env.state_dim))


def _of_pendulum(env: Pendulum) -> Any:
    grid = Grid(
        (-math.pi, -RATE),
        (math.pi, RATE),
        (_ANGLES, _RATES),
        lambda place: jnp.stack([jnp.cos(place[0]), jnp.sin(place[0]), place[1]]),
        lambda state: jnp.stack([jnp.arctan2(state[1], state[0]), state[2]]),
    )
    return solve_grid(env, grid)


_POLICIES: dict[type[Environment], Callable[[Any], Any]] = {
    DoubleIntegrator: _of_linear,
    Pendulum: _of_pendulum,
    ReactionDiffusion: _of_field,
    UnstablePole: _of_linear,
}
"""What plays them as well as is known."""
