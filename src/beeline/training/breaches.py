"""How far real episodes break constraints."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from beeline.envs import Environment
from beeline.envs._constraints import OF_STEPS, TOLERANCE, Constraints
from beeline.gradients import alive
from beeline.training.episodes import Episode


class Broken(NamedTuple):
    """What some episodes break."""

    largest: dict[str, Float[Array, ""]]
    """The largest value of each kind of constraint, in its own unit; 0 where it is kept."""
    steps: Float[Array, ""] | None
    """Share of the steps in which a value is above 0 by more than a thousandth of the mean
    magnitude that it has in these episodes; None where no constraint is of steps."""

    def as_recorded(self) -> dict[str, Array | None]:
        """Put it as `Record` has it.

        Returns:
            The fields.
        """
        largest = jnp.max(jnp.stack(list(self.largest.values())))
        return {"violation": largest, "violated_steps": self.steps}


class Breaches(NamedTuple):
    """What each of some seeds breaks."""

    violations: dict[str, np.ndarray]
    """As `Broken.largest`."""
    violated_steps: np.ndarray | None
    """As `Broken.steps`."""


def breaches(env: Environment, episodes: Episode) -> Breaches | None:
    """Hold the episodes of some seeds against what an environment declares.

    Args:
        env: The environment.
        episodes: A batch for each seed.

    Returns:
        What each seed breaks; None where nothing is to be kept.
    """
    constraints = Constraints.of(env)
    if constraints is None:
        return None
    each = jax.jit(jax.vmap(lambda episodes: broken(constraints, episodes)))
    found = each(episodes)
    steps = None if found.steps is None else np.asarray(found.steps)
    return Breaches({kind: np.asarray(x) for kind, x in found.largest.items()}, steps)


def broken(constraints: Constraints, episodes: Episode) -> Broken:
    """Hold episodes against constraints.

    Args:
        constraints: What was to be kept, of actions in [-1, 1].
        episodes: A batch of evaluated episodes, or one without an axis for them.

    Returns:
        What they break.
    """
    if episodes.states.ndim == 2:
        episodes = jax.tree.map(lambda x: x[None], episodes)
    limits = jax.vmap(constraints.along)(episodes.states, episodes.actions)
    counted = jnp.ones(episodes.rewards.shape, bool)
    if episodes.ends is not None:
        counted = alive(episodes.ends.terminated)
    there = counted[..., None]
    largest = {
        kind: jnp.max(x, initial=0.0, where=there if kind in OF_STEPS else True)
        for kind, x in limits.items()
    }
    of_steps = [x for kind, x in limits.items() if kind in OF_STEPS]
    if not of_steps:
        return Broken(largest, None)
    values = jnp.concatenate(of_steps, axis=-1)
    usual = jnp.mean(jnp.abs(values), axis=(0, 1), where=there)
    over = jnp.any(values > TOLERANCE * usual, axis=-1)
    return Broken(largest, jnp.mean(over, where=counted))
