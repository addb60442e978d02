"""Optimal control problems in continuous time, and the decision process made of one."""

import abc
import math
import typing
from typing import ClassVar, SupportsIndex

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int, PRNGKeyArray
from typing_extensions import override

from beeline._module import Module
from beeline.envs._base import Environment
from beeline.envs._checks import (
    check_action,
    check_horizon,
    check_process_noise,
    check_state,
    check_step_index,
)
from beeline.envs._declared import scale
from beeline.envs._system_checks import check_system

Bounds = tuple[tuple[float, float], ...]
"""One (lowest, highest) pair per entry."""

_ROUNDING = 1e-9
"""How much longer than the longest a step may be, relative to it."""


class ControlSystem(Module):
    r"""A controlled differential equation and the cost of driving it.

    The problem is to choose u(t) within its bounds so as to minimise
    ∫₀ᵀ c(x, u, t) dt + Φ(x(T)), where ẋ = f(x, u, t) and x(0) = x₀.

    Attributes:
        name: The system's name in the registry.
        x_0: The start.
        duration: T, in units of `time_unit`.
        state_bounds: The box that states are held to; infinite where there is none.
        control_bounds: The box of allowed controls.
        state_names: What each state entry is.
        state_units: The unit of each state entry.
        control_names: What each control entry is.
        control_units: The unit of each control entry.
        time_unit: The unit of time.
        positive: Names of constants that have to be above 0; of bounds, the lower ends.
    """

    name: ClassVar[str]
    state_names: ClassVar[tuple[str, ...]]
    state_units: ClassVar[tuple[str, ...]]
    control_names: ClassVar[tuple[str, ...]]
    control_units: ClassVar[tuple[str, ...]]
    time_unit: ClassVar[str]
    positive: ClassVar[tuple[str, ...]] = ()
    x_0: eqx.AbstractVar[tuple[float, ...]]
    duration: eqx.AbstractVar[float]
    state_bounds: eqx.AbstractVar[Bounds]
    control_bounds: eqx.AbstractVar[Bounds]

    def __check_init__(self) -> None:
        """Refuse constants with which the system means nothing.

        Raises:
            TypeError: If a constant is not a number, or the start or the bounds are not tuples.
            ValueError: If a constant is not finite or bounds are upside down, the start is outside
                its bounds, or the duration is not above 0.
        """
        check_system(self)

    @property
    def longest_step(self) -> float:
        """The longest step of explicit Euler that keeps states where the equations mean something.

        Returns:
            The step, in units of `time_unit`; infinite where bounds hold the states there.
        """
        return math.inf

    @abc.abstractmethod
    def dynamics(
        self, x: Float[Array, "state"], u: Float[Array, "action"], t: Float[ArrayLike, ""]
    ) -> Float[Array, "state"]:
        """Evaluate the vector field f.

        Args:
            x: The state.
            u: The control, within `control_bounds`.
            t: The time, 0 to `duration`.

        Returns:
            The time derivative of the state.
        """

    @abc.abstractmethod
    def cost(
        self, x: Float[Array, "state"], u: Float[Array, "action"], t: Float[ArrayLike, ""]
    ) -> Float[Array, ""]:
        """Evaluate the running cost c.

        Args:
            x: The state.
            u: The control, within `control_bounds`.
            t: The time, 0 to `duration`.

        Returns:
            The cost per unit of time.
        """

    def terminal_cost(self, x: Float[Array, "state"]) -> Float[Array, ""]:
        """Evaluate the terminal cost Φ.

        Args:
            x: The last state.

        Returns:
            The cost; zero unless a system overrides this.
        """
        return jnp.zeros_like(x[0])


@typing.final
class ControlTask(Environment):
    r"""A `ControlSystem` in `horizon` steps of explicit Euler.

    With dt = T / H and t_k = k dt, an action a in [-1, 1] stands for the control
    u = lo + (a + 1) / 2 · (hi - lo), and

    - x_{k+1} = clip(x_k + dt · f(x_k, u_k, t_k) + σ ε_k), within the state bounds, where
      ε_k ~ N(0, I) and σ is `process_noise`;
    - r_k = -dt · c(x_k, u_k, t_k), less Φ(x_k) if k = H - 1.

    The terminal cost is charged on the state *before* the last move, so the last move itself
    earns nothing. That is one Euler step earlier than the continuous problem has it, and is kept
    because published results are about this process. Clipping stops gradients where it acts.

    Attributes:
        system: The differential equation and its costs.
        process_noise: σ, in the units of the state; 0 makes the task deterministic.
        name: The system's name in the registry.
        state_dim: How many entries a state has.
        action_dim: How many entries an action has.
        horizon: H, the number of steps, at least 2, and enough for the system's longest step.
        dt: T / H, the length of one step, in the system's unit of time.
        state_names: Those of the system, as are the units, the controls' and that of time.
        deterministic: Whether there is no process noise.

    Raises:
        ValueError: If an argument is out of range, or a step longer than the system allows; by
            `step` if there is process noise and no key.
    """

    system: ControlSystem
    process_noise: float = eqx.field(static=True)
    name: str = eqx.field(static=True)
    state_dim: int = eqx.field(static=True)
    action_dim: int = eqx.field(static=True)
    horizon: int = eqx.field(static=True)
    dt: float = eqx.field(static=True)
    state_names = property(lambda self: self.system.state_names)
    state_units = property(lambda self: self.system.state_units)
    action_names = property(lambda self: self.system.control_names)
    action_units = property(lambda self: self.system.control_units)
    time_unit = property(lambda self: self.system.time_unit)
    deterministic = property(lambda self: self.process_noise == 0)

    def __init__(self, system: ControlSystem, horizon: SupportsIndex, process_noise: float = 0.0):
        self.system = system
        self.horizon = check_horizon(horizon)
        self.process_noise = check_process_noise(process_noise)
        self.name = system.name
        self.state_dim = len(system.x_0)
        self.action_dim = len(system.control_bounds)
        self.dt = system.duration / self.horizon
        if self.dt > system.longest_step * (1 + _ROUNDING):
            least = math.ceil(system.duration / system.longest_step * (1 - _ROUNDING))
            raise ValueError(
                f"{self.name} needs a horizon of at least {least}, got {self.horizon}: steps of "
                f"more than {system.longest_step:g} {system.time_unit} lead out of the states that "
                "its equations are for"
            )

    @override
    def initial_state(self, *, key: PRNGKeyArray | None = None) -> Float[Array, "state"]:
        del key
        return jnp.asarray(self.system.x_0, dtype=float)

    @override
    def step(
        self,
        state: Float[Array, "state"],
        action: Float[Array, "action"],
        t: Int[ArrayLike, ""],
        *,
        key: PRNGKeyArray | None = None,
    ) -> Float[Array, "state"]:
        self._check(state, action, t)
        x_next = state + self.dt * self.system.dynamics(
            state, self.control(action), self.time(t, state)
        )
        if self.process_noise > 0.0:
            if key is None:
                raise ValueError(
                    f"{self.name} has process_noise={self.process_noise}: pass key= to step, "
                    "or use process_noise=0 where actions alone must decide what happens"
                )
            noise = jax.random.normal(key, x_next.shape, x_next.dtype)
            x_next = x_next + self.process_noise * noise
        low, high = _columns(self.system.state_bounds, x_next)
        return jnp.clip(x_next, low, high)

    @override
    def reward(
        self,
        state: Float[Array, "state"],
        action: Float[Array, "action"],
        t: Int[ArrayLike, ""],
    ) -> Float[Array, ""]:
        self._check(state, action, t)
        running = self.dt * self.system.cost(state, self.control(action), self.time(t, state))
        terminal = self.system.terminal_cost(state)
        last = jnp.asarray(t) == self.horizon - 1
        return -running - jnp.where(last, terminal, jnp.zeros_like(terminal))

    def control(self, action: Float[Array, "*batch action"]) -> Float[Array, "*batch action"]:
        """Scale an action to a control.

        Args:
            action: The action, each entry in [-1, 1].

        Returns:
            The control in the system's own units, within its bounds.
        """
        return scale(action, *_columns(self.system.control_bounds, action))

    @override
    def physical_action(
        self, action: Float[Array, "*batch action"]
    ) -> Float[Array, "*batch action"]:
        return self.control(action)

    def time(self, t: Int[ArrayLike, ""], like: Float[Array, "..."]) -> Float[Array, ""]:
        """Convert a step index to a time.

        Args:
            t: The step index.
            like: An array whose precision the time takes.

        Returns:
            The time t · dt in the system's own unit.
        """
        return self.dt * jnp.asarray(t, dtype=like.dtype)

    def _check(self, state: Array, action: Array, t: ArrayLike) -> None:
        check_state(state, self.state_dim)
        check_action(action, self.action_dim)
        check_step_index(t)


def _columns(bounds: Bounds, like: Float[Array, "..."]) -> tuple[Array, Array]:
    # In the precision of the inputs: a float64 bound would promote a float32 state under x64.
    low, high = zip(*bounds, strict=True)
    # A bound beyond that precision is infinite in it.
    with np.errstate(over="ignore"):
        return jnp.asarray(low, like.dtype), jnp.asarray(high, like.dtype)
