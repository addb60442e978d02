"""The tasks as Gymnasium has them, for any agent that learns from steps."""

import functools
from typing import Any, SupportsIndex, final

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
from gymnasium import spaces
from gymnasium.error import ResetNeeded
from jaxtyping import Array, Float, Float32, Int, UInt8, UInt32

from beeline._choices import choose
from beeline.envs._base import Environment
from beeline.envs._checks import check_action
from beeline.envs._control_system import ControlTask
from beeline.envs._given import given_environment
from beeline.envs._making import check_options, made
from beeline.envs._registered import factory_of
from beeline.envs._transition import termination_of, transition

RENDER_MODES = {"rgb_array": "The figure of the episode so far, as an array of pixels."}


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
        integer; as a share of the horizon it has the range 0 to 1 at any horizon. The bounds are
        those of the task in single precision, infinite where an entry has none. With `time_limit`,
        the state alone.

    Action:
        Each entry in [-1, 1], scaled to the task's own bounds.

    End:
        After `horizon` steps an episode has terminated. That is the end of the problem and not
        of somebody's patience: nothing is earned afterwards, so that it is never truncated, and
        no agent should estimate a value beyond. A task that may end earlier is another matter: it
        has terminated where its `terminated` says so, and is truncated after `horizon` steps. With
        `time_limit`, the horizon is taken as patience for every task: the episode is truncated, as
        Gymnasium's own Pendulum-v1 is. A task that is `continuing` always has a limit of time.

    Render:
        With `render_mode="rgb_array"`, the states and controls of the episode so far over time,
        with names and units, and the return. No display is needed.

    Other processes:
        A process that is started anew knows the name once it has imported `beeline`: where its
        main module does not, "beeline:beeline/CancerTreatment-v0" does. Start it by "spawn" or
        "forkserver": a process that has used JAX must not be forked.

    Attributes:
        task: The task.
        render_mode: "rgb_array", or None.
        time_limit: Whether agents do not see the time; they never do of a continuing task.
    """

    metadata = {"render_modes": [*RENDER_MODES], "render_fps": 10}  # noqa: RUF012

    def __init__(
        self,
        task: str | Environment,
        horizon: SupportsIndex | None = None,
        *,
        render_mode: str | None = None,
        time_limit: bool = False,
        **options: Any,
    ) -> None:
        """Make the task.

        Args:
            task: One of `beeline.envs.names()`, or an environment.
            horizon: Steps in an episode, at least 2; left out, 100 or those of the environment.
            render_mode: What `render` gives: "rgb_array", or nothing.
            time_limit: Whether the horizon is a limit of time that agents do not see: no time
                among the observations, and truncation in the place of termination.
            options: What to change in the task, as in `beeline.envs.make`.

        Raises:
            TypeError: If there is no such option, as is usual of keywords: helpers try again
                without the ones that they add themselves.
            ValueError: If there is no such task or render mode, or a value is out of range.
        """
        if render_mode is not None:
            choose("render_mode", render_mode, RENDER_MODES)
        self.task = _task(task, horizon, options)
        self.render_mode, self.time_limit = render_mode, time_limit or self.task.continuing
        low, high = np.transpose([*_state_bounds(self.task), (0.0, 1.0)])
        low, high = self._seen(_single(low)), self._seen(_single(high))
        self.observation_space = spaces.Box(low, high, dtype=np.float32)
        self.action_space = spaces.Box(-1.0, 1.0, (self.task.action_dim,), np.float32)
        self._states = [np.zeros(self.task.state_dim, np.float32)]
        self._actions: list[np.ndarray] = []
        self._return = 0.0
        self._t, self._over = self.task.horizon, False
        self._seed = np.uint32(0)

    @functools.cached_property
    def _begin(self) -> Any:
        return jax.jit(functools.partial(_begin, self.task))

    @functools.cached_property
    def _advance(self) -> Any:
        return jax.jit(functools.partial(_advance, self.task))

    def __getstate__(self) -> dict[str, Any]:
        # Compiled functions stay with their process; a copy compiles its own.
        return {k: v for k, v in vars(self).items() if k not in {"_begin", "_advance"}}

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
        self.begin_at(observation[:-1], 0)
        return self._seen(observation), {}

    def begin_at(self, state: Float32[np.ndarray, " state"], t: int) -> None:
        """Go on from any moment of an episode, in place of `reset`.

        Args:
            state: The state at that moment.
            t: The steps done before it.
        """
        self._states, self._actions = [state.copy()], []
        self._t, self._over, self._return = t, False, 0.0

    def step(
        self, action: np.ndarray
    ) -> tuple[Float32[np.ndarray, " observation"], float, bool, bool, dict[str, Any]]:
        """Move by one step.

        Args:
            action: The action, each entry in [-1, 1].

        Returns:
            The next observation, the reward, whether the episode has terminated, whether it is
            truncated, and nothing more about it.

        Raises:
            ResetNeeded: If the episode has ended or none has begun.
            TypeError: If the action is not an array of floating-point numbers.
            ValueError: If it has another shape, or holds NaN or a value outside [-1, 1].
        """
        if self._over or self._t >= self.task.horizon:
            raise ResetNeeded("no episode is under way: call reset() before step()")
        check_action(action, self.task.action_dim)
        # A copy, for whoever gave it may use the array again.
        given = np.array(action, np.float32)
        outcome = np.array(self._advance(self._states[-1], given, np.int32(self._t), self._seed))
        observation, reward, self._over = outcome[:-2], float(outcome[-2]), bool(outcome[-1])
        self._states.append(observation[:-1].copy())
        self._actions.append(given)
        self._t, self._return = self._t + 1, self._return + reward
        at_the_horizon = self._t == self.task.horizon
        seen = self._seen(observation)
        if self.task.terminated is None and not self.time_limit:
            return seen, reward, at_the_horizon, False, {}
        return seen, reward, self._over, at_the_horizon and not self._over, {}

    def render(self) -> UInt8[np.ndarray, "row column 3"] | None:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Draw the episode so far.

        Returns:
            Red, green and blue of each pixel; None without a render mode.

        Raises:
            ResetNeeded: If no episode has begun.
        """
        if self.render_mode is None:
            gymnasium.logger.warn('nothing is rendered: make the task with render_mode="rgb_array"')
            return None
        if not self._actions and self._t >= self.task.horizon:
            raise ResetNeeded("no episode has begun: call reset() before render()")
        # Imported this late because agents learn without it.
        from beeline._drawing import pixels
        from beeline.envs._trajectories import draw_episode

        actions = np.reshape(self._actions, (-1, self.task.action_dim))
        episode = np.array(self._states), actions, self._t, self._return
        return pixels(draw_episode(self.task, *episode))

    def _seen(
        self, observation: Float32[np.ndarray, " entry"]
    ) -> Float32[np.ndarray, " observation"]:
        return observation[:-1] if self.time_limit else observation


def _task(
    given: str | Environment, horizon: SupportsIndex | None, options: dict[str, Any]
) -> Environment:
    if isinstance(given, str):
        factory = factory_of(given)
        try:
            check_options(factory, given, options)
        except ValueError as error:
            raise TypeError(str(error)) from None
        return made(factory, given, horizon=horizon, options=options)
    if options:
        raise TypeError(f"{given.name} is made already: leave out {', '.join(options)}")
    return given_environment(given, horizon=horizon)


def _state_bounds(task: Environment) -> list[tuple[float, float]]:
    if isinstance(task, ControlTask):
        return list(task.system.state_bounds)
    return [(-np.inf, np.inf)] * task.state_dim


def _single(bounds: Float[np.ndarray, " observation"]) -> Float32[np.ndarray, " observation"]:
    # Rounded as the task rounds the bounds that it clips to. What single precision cannot reach
    # is no bound.
    with np.errstate(over="ignore"):
        return bounds.astype(np.float32)


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
    following, reward = transition(task, state, action, t, key=key)
    time = (t + 1).astype(jnp.float32) / task.horizon
    terminated = termination_of(task)
    over = jnp.asarray(False) if terminated is None else terminated(state, action, t, following)
    return jnp.concatenate([following, jnp.stack([time, reward, over])])
