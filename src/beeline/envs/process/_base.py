"""What the process control tasks share: equations in continuous time, held inputs, a stage cost."""

import abc
import math
from typing import Any, ClassVar, NamedTuple, cast

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int, PRNGKeyArray
from typing_extensions import override

from beeline.envs._base import Environment
from beeline.envs._checks import check_action, check_horizon, check_state, check_step_index

Levels = tuple[tuple[float, ...], ...]
"""For each quantity the levels that it takes one after the other, each for as long."""


class Output(NamedTuple):
    """What is to follow a setpoint."""

    name: str
    span: float
    """Difference that counts as 1."""
    weight: float
    low: float
    """The lowest setpoint that some constant input brings it to."""
    high: float
    """The highest one."""


class ProcessTask(Environment):
    """A plant whose inputs are held over a step, its equations integrated by Runge-Kutta steps.

    A step of dt = T / H is cut into as few equal parts as are no longer than `longest_part`, each
    of them one of the classic method of fourth order. `tests/envs/process` measures the error.

    Attributes:
        horizon: H, the number of steps, at least 2.
        x_0: The start of the plant.
        duration: T, in units of `time_unit`.
        longest_part: The longest step of the integration, in units of `time_unit`.
        name: The task's name in the registry.
        dt: T / H.
    """

    horizon: int = eqx.field(converter=check_horizon, static=True)
    x_0: ClassVar[tuple[float, ...]]
    duration: ClassVar[float]
    longest_part: ClassVar[float]
    deterministic = True
    dt = cast(Any, property(lambda self: self.duration / self.horizon, doc="T / H."))

    @abc.abstractmethod
    def dynamics(
        self,
        x: Float[Array, " plant"],
        u: Float[Array, " action"],
        d: Float[Array, " disturbance"],
    ) -> Float[Array, " plant"]:
        """Evaluate the vector field.

        Args:
            x: The state of the plant.
            u: The inputs, in physical units.
            d: The disturbances, in physical units.

        Returns:
            The time derivative of the state of the plant.
        """

    def advance(
        self,
        x: Float[Array, " plant"],
        u: Float[Array, " action"],
        d: Float[Array, " disturbance"],
    ) -> Float[Array, " plant"]:
        """Integrate the plant over one step.

        Args:
            x: The state of the plant.
            u: The inputs, held over the step.
            d: The disturbances, likewise.

        Returns:
            The state of the plant after the step.
        """
        parts = math.ceil(self.dt / self.longest_part * (1 - 1e-9))
        size = self.dt / parts

        def part(x: Array, _: None) -> tuple[Array, None]:
            one = self.dynamics(x, u, d)
            two = self.dynamics(x + 0.5 * size * one, u, d)
            three = self.dynamics(x + 0.5 * size * two, u, d)
            four = self.dynamics(x + size * three, u, d)
            return x + size / 6 * (one + 2 * two + 2 * three + four), None

        return jax.lax.scan(part, x, None, length=parts)[0]

    def _check(self, state: Array, action: Array, t: ArrayLike) -> None:
        check_state(state, self.state_dim)
        # Values beyond the bounds in their last digit are for the caller to mind.
        check_action(action, self.action_dim, math.inf)
        check_step_index(t)


class TrackingTask(ProcessTask):
    r"""A plant whose outputs are to follow setpoints, with as few moves of its inputs as will do.

    With x_k the plant at step k, u_k its inputs and y_j(x) its outputs,

        r_k = -Σ_j w_j ((y_j(x_{k+1}) - s_j(k+1)) / span_j)² - R Σ_i ((u_k - u_{k-1})_i / U_i)²,

    where U_i is how far apart the bounds of input i are. The first move of an episode is free. The
    setpoint is that of the step that is reached, and holds after the last one. It and the
    disturbances of the step are the context.

    Attributes:
        setpoints: For each output the levels that it is to follow, each for an equal share of the
            episode.
        disturbances: For each disturbance its levels, likewise.
        outputs: What is to follow a setpoint.
        move_weight: R; where it is 0, the inputs before are no part of the state.
    """

    setpoints: eqx.AbstractVar[Levels]
    disturbances: eqx.AbstractVar[Levels]
    outputs: ClassVar[tuple[Output, ...]]
    move_weight: ClassVar[float]

    def __check_init__(self) -> None:
        """Refuse setpoints and disturbances that mean nothing.

        Raises:
            ValueError: If there are too few or too many, or a setpoint cannot be reached.
        """
        _check_levels(self, "setpoints", len(self.outputs))
        _check_levels(self, "disturbances", len(type(self).disturbances))
        for output, levels in zip(self.outputs, self.setpoints, strict=True):
            wrong = [level for level in levels if not output.low <= level <= output.high]
            if wrong:
                raise ValueError(
                    f"{self.name}: a setpoint of {output.name} is {wrong[0]:g}, which no constant "
                    f"input reaches: give {output.low:g} to {output.high:g}"
                )

    @abc.abstractmethod
    def outputs_of(self, x: Float[Array, " plant"]) -> Float[Array, " output"]:
        """Say what is to follow the setpoints.

        Args:
            x: The state of the plant.

        Returns:
            One entry for each of `outputs`.
        """

    def context(self, t: Int[ArrayLike, ""]) -> Float[Array, " entry"]:
        """Look up what is known ahead of a step.

        Args:
            t: The step index.

        Returns:
            The setpoints of the step that is reached, and the disturbances on the way.
        """
        # A schedule of N entries gives step k its entry k + 1, and the last one its last.
        reached = jnp.minimum(jnp.asarray(t) + 1, self.horizon - 1)
        levels = (*self.setpoints, *self.disturbances)
        return jnp.stack(
            [jnp.asarray(one, float)[reached * len(one) // self.horizon] for one in levels]
        )

    @override
    def initial_state(self, *, key: PRNGKeyArray | None = None) -> Float[Array, "state"]:
        del key
        before = [
            0.5 * (low + high) for low, high in zip(self.action_low, self.action_high, strict=True)
        ]
        return jnp.asarray([*self.x_0, *(before if self.move_weight else ())], dtype=float)

    @override
    def step(
        self,
        state: Float[Array, "state"],
        action: Float[Array, "action"],
        t: Int[ArrayLike, ""],
        *,
        key: PRNGKeyArray | None = None,
    ) -> Float[Array, "state"]:
        del key
        self._check(state, action, t)
        known = self.context(t).astype(state.dtype)[len(self.outputs) :]
        x = self.advance(state[: len(self.x_0)], action, known)
        return jnp.concatenate([x, action]) if self.move_weight else x

    @override
    def reward(
        self,
        state: Float[Array, "state"],
        action: Float[Array, "action"],
        t: Int[ArrayLike, ""],
        next_state: Float[Array, "state"],
    ) -> Float[Array, ""]:
        self._check(state, action, t)
        plant, outputs = len(self.x_0), self.outputs
        wanted = self.context(t).astype(state.dtype)[: len(outputs)]
        spans = jnp.asarray([one.span for one in outputs], state.dtype)
        weights = jnp.asarray([one.weight for one in outputs], state.dtype)
        missed = (self.outputs_of(next_state[:plant]) - wanted) / spans
        reward = -jnp.sum(weights * missed**2)
        if not self.move_weight:
            return reward
        low, high = (
            jnp.asarray(bound, state.dtype) for bound in (self.action_low, self.action_high)
        )
        move = jnp.sum(((action - state[plant:]) / (high - low)) ** 2)
        return reward - self.move_weight * jnp.where(jnp.asarray(t) == 0, 0, move)


def _check_levels(task: Any, name: str, count: int) -> None:
    given = getattr(task, name)
    if not isinstance(given, tuple) or len(given) != count:
        raise ValueError(f"{task.name}: {name} must be {count} tuples of levels, got {given!r}")
    for levels in given:
        numbers = isinstance(levels, tuple) and all(
            isinstance(one, int | float) and math.isfinite(one) for one in levels
        )
        if not numbers or not levels:
            raise ValueError(
                f"{task.name}: {name} must hold finite numbers, at least one each, got {levels!r}"
            )
        if len(levels) > task.horizon:
            raise ValueError(
                f"{task.name}: horizon is {task.horizon}, but {name} of {len(levels)} levels take "
                f"at least {len(levels)} steps"
            )
