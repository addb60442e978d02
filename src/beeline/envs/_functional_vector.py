"""Environments of a functional interface side by side, stepped as vector environments are."""

from collections.abc import Sequence
from typing import Any, NamedTuple, final

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, UInt32

from beeline.envs._functional import Functional, Transition, flat


class Sides(NamedTuple):
    """Where each environment is."""

    keys: UInt32[Array, "seed 2"]
    """What its next reset or step is drawn with."""
    observations: Float[Array, "seed state"]
    states: Any
    """Its own."""


@final
class Programs:
    """A reset and a step of many, each compiled once for a number of them."""

    def __init__(self, env: Functional) -> None:
        """Set them up; nothing is compiled yet.

        Args:
            env: One environment.
        """

        def reset(key: UInt32[Array, "2"]) -> Sides:
            key, now = jax.random.split(key)
            observation, state = env.reset(now)
            return Sides(key, flat(observation), state)

        def step(side: Sides, action: Float[Array, "..."]) -> tuple[Sides, Transition]:
            key, now = jax.random.split(side.keys)
            made = env.step(now, side.states, action)
            observation = flat(made.observation)
            told = made._replace(
                observation=observation,
                state=None,
                reward=jnp.asarray(made.reward, jnp.float32).reshape(()),
                terminated=jnp.asarray(made.terminated, bool).reshape(()),
                truncated=jnp.asarray(made.truncated, bool).reshape(()),
            )
            return Sides(key, observation, made.state), told

        def select(where: Bool[Array, ""], one: Sides, other: Sides) -> Sides:
            # Of one environment, for the shapes of its entries may differ but for an axis of one.
            return jax.tree.map(lambda x, y: jnp.where(where, x, y), one, other)

        self.reset = jax.jit(jax.vmap(reset))
        self.step = jax.jit(jax.vmap(step))
        self.select = jax.jit(jax.vmap(select))


@final
class FunctionalVector:
    """Steps many at once, and resets each in the step that ends its episode.

    It has as much of the interface of Gymnasium's vector environments as `Simulators` asks for.
    """

    def __init__(self, programs: Programs, count: int) -> None:
        """Begin nothing yet.

        Args:
            programs: What steps them.
            count: How many there are.
        """
        self._programs, self._count = programs, count
        self._sides: Sides | None = None

    def reset(
        self, *, seed: Sequence[int] | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray, dict[str, Any]]:
        """Begin episodes.

        Args:
            seed: One for each; left out, they go on with the keys that they have, or with any.
            options: `reset_mask` says which, if not all.

        Returns:
            The observations, and nothing more to say.
        """
        sides = self._sides
        if seed is not None or sides is None:
            seeds = np.random.SeedSequence().generate_state(self._count) if seed is None else seed
            # The suites are written for keys of this kind.
            keys = jnp.stack([jax.random.PRNGKey(int(one)) for one in seeds])
            begun = self._programs.reset(keys)
        else:
            where = np.ones(self._count, bool) if options is None else options["reset_mask"]
            begun = self._begun(where, sides)
        self._sides = begun
        return np.asarray(begun.observations), {}

    def step(
        self, actions: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, dict[str, Any]]:
        """Step all of them.

        Args:
            actions: One for each.

        Returns:
            The observations to act on next, rewards, which episodes terminated and which were
            truncated, and as `final_obs` the observations that the steps led to.
        """
        sides, told = self._programs.step(self._sides, actions)
        after, _, rewards, terminated, truncated = jax.device_get(told)
        over = terminated | truncated
        self._sides = now = self._begun(over, sides) if over.any() else sides
        told = {"final_obs": after}
        return np.asarray(now.observations), rewards, terminated, truncated, told

    def close(self) -> None:
        """Do nothing: there is nothing to let go of."""

    def _begun(self, where: np.ndarray, sides: Sides) -> Sides:
        return self._programs.select(where, self._programs.reset(sides.keys), sides)
