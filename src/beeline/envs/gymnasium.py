"""The tasks as Gymnasium has them, for any agent that learns from steps."""

import functools
from typing import Any, SupportsIndex, final

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
from gymnasium import spaces
from gymnasium.error import ResetNeeded
from jaxtyping import Array, Float, Float32, Int, UInt32

from beeline.envs._base import Environment
from beeline.envs._checks import check_action
from beeline.envs._control_system import ControlTask
from beeline.envs._make import make

_GREATEST = float(np.finfo(np.float32).max)


@final
class GymnasiumTask(gymnasium.Env[np.ndarray, np.ndarray]):
    """A task as a `gymnasium.Env`, made by `gymnasium.make("beeline/CancerTreatment-v0")`.

    The name is that of the task's class; `horizon` and the options of `beeline.envs.make` are
    keywords of `gymnasium.make` too. What the state, the action and the reward mean is in the
    docstring of that class.

    Observation:
        The state in physical units, and behind it the share of the episode that is over, t / H.
        The horizon is finite: what is best depends on how much is left of it, and a policy that
        does not see the time cannot be optimal. The paper too gives every model the time, as an
        integer; as a share of the horizon it has the range 0 to 1 at any horizon. An entry
        without bounds has those of float32.

    Action:
        Each entry in [-1, 1], scaled to the task's own bounds.

    End:
        After `horizon` steps an episode has terminated. That is the end of the problem and not
        of somebody's patience: nothing is earned afterwards, so that it is never truncated, and
        no agent should estimate a value beyond.

    Attributes:
        task: The task.
    """

    metadata = {"render_modes": []}  # noqa: RUF012

    def __init__(self, task: str, horizon: SupportsIndex = 100, **options: Any) -> None:
        """Make the task.

        Args:
            task: One of `beeline.envs.names()`.
            horizon: Steps in an episode, at least 2.
            options: What to change in the task, as in `beeline.envs.make`.
        """
        self.task = make(task, horizon=horizon, **options)
        low, high = np.transpose([*_state_bounds(self.task), (0.0, 1.0)])
        self.observation_space = spaces.Box(
            low.astype(np.float32), high.astype(np.float32), dtype=np.float32
        )
        self.action_space = spaces.Box(-1.0, 1.0, (self.task.action_dim,), np.float32)
        self._begin = jax.jit(functools.partial(_begin, self.task))
        self._advance = jax.jit(functools.partial(_advance, self.task))
        self._state = np.zeros(self.task.state_dim, np.float32)
        self._t = self.task.horizon
        self._seed = np.uint32(0)

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Float32[np.ndarray, " observation"], dict[str, Any]]:
        """Begin an episode.

        Args:
            seed: Of all randomness from here on; deterministic tasks have none.
            options: Not used.

        Returns:
            The first observation, and nothing more about it.
        """
        super().reset(seed=seed, options=options)
        self._seed = self.np_random.integers(2**32, dtype=np.uint32)
        observation = np.array(self._begin(self._seed))
        self._state, self._t = observation[:-1].copy(), 0
        return observation, {}

    def step(
        self, action: np.ndarray
    ) -> tuple[Float32[np.ndarray, " observation"], float, bool, bool, dict[str, Any]]:
        """Move by one step.

        Args:
            action: The action, each entry in [-1, 1].

        Returns:
            The next observation, the reward, whether the episode has ended, False because it is
            never cut short, and nothing more about it.

        Raises:
            ResetNeeded: If the episode has ended or none has begun.
            TypeError: If the action is not an array of floating-point numbers.
            ValueError: If it has another shape, or holds NaN or a value outside [-1, 1].
        """
        if self._t >= self.task.horizon:
            raise ResetNeeded("no episode is under way: call reset() before step()")
        check_action(action, self.task.action_dim)
        given = np.asarray(action, np.float32)
        outcome = np.array(self._advance(self._state, given, np.int32(self._t), self._seed))
        observation, reward = outcome[:-1], float(outcome[-1])
        self._state, self._t = observation[:-1].copy(), self._t + 1
        return observation, reward, self._t == self.task.horizon, False, {}


def _state_bounds(task: Environment) -> list[tuple[float, float]]:
    if not isinstance(task, ControlTask):
        return [(-_GREATEST, _GREATEST)] * task.state_dim
    bounds = task.system.state_bounds
    return [(max(low, -_GREATEST), min(high, _GREATEST)) for low, high in bounds]


def _begin(task: Environment, seed: UInt32[Array, ""]) -> Float32[Array, " observation"]:
    # No step has the index H: the start has its own randomness.
    key = jax.random.fold_in(jax.random.key(seed), task.horizon)
    state = task.initial_state(key=key).astype(jnp.float32)
    return jnp.append(state, jnp.float32(0))


def _advance(
    task: Environment,
    state: Float32[Array, " state"],
    action: Float32[Array, " action"],
    t: Int[Array, ""],
    seed: UInt32[Array, ""],
) -> Float[Array, " outcome"]:
    # One array for all there is to tell, for each costs as much to fetch as the step to compute.
    key = jax.random.fold_in(jax.random.key(seed), t)
    reward = task.reward(state, action, t)
    following = task.step(state, action, t, key=key)
    time = (t + 1).astype(jnp.float32) / task.horizon
    return jnp.concatenate([following, time[None], reward[None]])
