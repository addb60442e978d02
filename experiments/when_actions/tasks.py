"""Tasks with one dial each, to find when an actions model is the better choice.

The step is fixed, so that a longer horizon is a longer time, and every step has an action that
counts. A dial makes one thing harder and leaves the rest as it is:

| family | dial | what grows with it |
|---|---|---|
| `DrivenPendulums` | damping, downwards | how fast nearby episodes come apart: chaos |
| `WavyFloor` | amplitude of the waves | the same, by contacts only |
| `Relaxation` | stiffness μ | rates that differ by orders of magnitude |
| `Chain` | number of masses | the state, and how late an action shows |
| noise of `beeline.envs.DoubleIntegrator` | standard deviation | what no plan can know |

Each setting has a name in this module, for a grid or a command line to make it by:
`beeline train experiments.when_actions.tasks:pendulums_free --horizon 100`.
"""

import abc
import typing
from collections.abc import Callable
from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int, PRNGKeyArray
from typing_extensions import override

from beeline.envs import Environment
from beeline.envs.classic.linear import DoubleIntegrator

GRAVITY = 9.8
"""In m/s²."""


class Motion(Environment):
    """Something that moves: a start that is always the same, and a law that a step integrates."""

    start: eqx.AbstractClassVar[tuple[float, ...]]
    parts: eqx.AbstractClassVar[int]
    """Steps of the fourth-order Runge-Kutta method in one step of the task."""
    action_dim = 1
    time_unit = "s"
    deterministic = True

    @abc.abstractmethod
    def rates(self, state: Float[Array, "state"], push: Float[Array, ""]) -> Float[Array, "state"]:
        """Differentiate the state by the time.

        Args:
            state: The state.
            push: The action.

        Returns:
            The derivatives.
        """

    @override
    def initial_state(self, *, key: PRNGKeyArray | None = None) -> Float[Array, "state"]:
        del key
        return jnp.asarray(self.start, float)

    @override
    def step(
        self,
        state: Float[Array, "state"],
        action: Float[Array, "action"],
        t: Int[ArrayLike, ""],
        *,
        key: PRNGKeyArray | None = None,
    ) -> Float[Array, "state"]:
        del t, key
        length = self.dt / self.parts

        def part(_: int, y: Array) -> Array:
            first = self.rates(y, action[0])
            second = self.rates(y + 0.5 * length * first, action[0])
            third = self.rates(y + 0.5 * length * second, action[0])
            fourth = self.rates(y + length * third, action[0])
            return y + length / 6 * (first + 2 * second + 2 * third + fourth)

        return jax.lax.fori_loop(0, self.parts, part, state)


@typing.final
class DrivenPendulums(Motion):
    """Lift the tip of a double pendulum by a motor at its upper joint.

    Two unit masses on massless rods of a metre, let go from aside. Both joints lose torque in
    proportion to their rates. Weak damping leaves the swing chaotic, strong damping does not.

    Attributes:
        horizon: Steps in an episode.
        damping: Torque lost in a joint, in N m s.

    State:
        Inner angle from straight down and its rate, outer angle and its rate; rad and rad/s.

    Action:
        Torque at the upper joint, -10 to 10 N m.

    Reward:
        dt (h - 2)² / 16 below 0 at height h of the tip above the joint, in metres, and
        dt (torque / 10)² / 100.
    """

    horizon: int = eqx.field(static=True)
    damping: float = eqx.field(static=True, default=0.0)
    name = "driven-pendulums"
    state_dim = 4
    dt = 0.05
    action_low, action_high = -10.0, 10.0
    start = (2.0, 0.0, 2.0, 0.0)
    parts = 4

    @override
    def rates(self, state: Float[Array, "state"], push: Float[Array, ""]) -> Float[Array, "state"]:
        inner, inner_rate, outer, outer_rate = state
        sine, cosine = jnp.sin(outer - inner), jnp.cos(outer - inner)
        bend = self.damping * (outer_rate - inner_rate)
        # M q̈ = f with M = [[2, cos δ], [cos δ, 1]].
        above = (
            outer_rate**2 * sine
            - 2 * GRAVITY * jnp.sin(inner)
            + push
            - self.damping * inner_rate
            + bend
        )
        below = -(inner_rate**2) * sine - GRAVITY * jnp.sin(outer) - bend
        inertia = 2 - cosine**2
        return jnp.stack(
            [
                inner_rate,
                (above - cosine * below) / inertia,
                outer_rate,
                (2 * below - cosine * above) / inertia,
            ]
        )

    @override
    def reward(
        self,
        state: Float[Array, "state"],
        action: Float[Array, "action"],
        t: Int[ArrayLike, ""],
    ) -> Float[Array, ""]:
        height = -jnp.cos(state[0]) - jnp.cos(state[2])
        return -self.dt * ((height - 2) ** 2 / 16 + (action[0] / 10) ** 2 / 100)


@typing.final
class WavyFloor(Environment):
    """Push a ball sideways that bounces on a floor with waves.

    It falls from a metre, loses a tenth of its speed along the normal in each contact, and is
    thrown aside by slopes. On a flat floor nothing does that. Between contacts it flies freely; a
    contact is found at the end of one of ten parts of a step and reflects what is below the floor.

    Attributes:
        horizon: Steps in an episode.
        amplitude: Of the waves, in metres; they are a metre long.

    State:
        Position and speed sideways, height and speed upwards; m and m/s.

    Action:
        Acceleration sideways, -2 to 2 m/s².

    Reward:
        -dt (x - 1)² of the position sideways, and -dt (acceleration / 2)² / 100.
    """

    horizon: int = eqx.field(static=True)
    amplitude: float = eqx.field(static=True, default=0.0)
    name = "wavy-floor"
    state_dim = 4
    action_dim = 1
    dt = 0.05
    action_low, action_high = -2.0, 2.0
    time_unit = "s"
    deterministic = True
    bounciness = 0.9
    parts = 10

    @override
    def initial_state(self, *, key: PRNGKeyArray | None = None) -> Float[Array, "state"]:
        del key
        return jnp.asarray([0.1, 0.0, 1.0, 0.0], float)

    def floor(self, x: Float[Array, ""]) -> tuple[Float[Array, ""], Float[Array, ""]]:
        """Tell how high the floor is, and how steep.

        Args:
            x: Position sideways.

        Returns:
            The height, and its slope.
        """
        angle = 2 * np.pi * x
        return self.amplitude * jnp.sin(angle), 2 * np.pi * self.amplitude * jnp.cos(angle)

    @override
    def step(
        self,
        state: Float[Array, "state"],
        action: Float[Array, "action"],
        t: Int[ArrayLike, ""],
        *,
        key: PRNGKeyArray | None = None,
    ) -> Float[Array, "state"]:
        del t, key
        length = self.dt / self.parts

        def part(_: int, y: Array) -> Array:
            x, aside, height, up = y
            x = x + length * aside + 0.5 * length**2 * action[0]
            height = height + length * up - 0.5 * length**2 * GRAVITY
            aside, up = aside + length * action[0], up - length * GRAVITY
            ground, slope = self.floor(x)
            # Speed along the normal, times the length of (-slope, 1).
            into = up - slope * aside
            hit = (height < ground) & (into < 0)
            kick = jnp.where(hit, -(1 + self.bounciness) * into / (1 + slope**2), 0.0)
            height = jnp.where(hit, 2 * ground - height, height)
            return jnp.stack([x, aside - kick * slope, height, up + kick])

        return jax.lax.fori_loop(0, self.parts, part, state)

    @override
    def reward(
        self,
        state: Float[Array, "state"],
        action: Float[Array, "action"],
        t: Int[ArrayLike, ""],
    ) -> Float[Array, ""]:
        return -self.dt * ((state[0] - 1) ** 2 + (action[0] / 2) ** 2 / 100)


@typing.final
class Relaxation(Motion):
    """Calm van der Pol's oscillator, which jumps between slow stretches where it is stiff.

    Attributes:
        horizon: Steps in an episode.
        stiffness: μ, by which the fast rate exceeds the slow one.

    State:
        x and its rate, without units.

    Action:
        What is added to the acceleration, -2 to 2.

    Reward:
        -dt (x² + (action / 2)² / 100).
    """

    horizon: int = eqx.field(static=True)
    stiffness: float = eqx.field(static=True, default=1.0)
    name = "relaxation"
    state_dim = 2
    dt = 0.1
    action_low, action_high = -2.0, 2.0
    start = (2.0, 0.0)
    parts = 40

    @override
    def rates(self, state: Float[Array, "state"], push: Float[Array, ""]) -> Float[Array, "state"]:
        x, rate = state
        return jnp.stack([rate, self.stiffness * (1 - x**2) * rate - x + push])

    @override
    def reward(
        self,
        state: Float[Array, "state"],
        action: Float[Array, "action"],
        t: Int[ArrayLike, ""],
    ) -> Float[Array, ""]:
        return -self.dt * (state[0] ** 2 + (action[0] / 2) ** 2 / 100)


@typing.final
class Chain(Motion):
    """Move the last mass of a chain by a force on the first.

    Unit masses in a row, with springs of 10 N/m and dampers of 0.1 N s/m between neighbours and
    from the first to the wall. A push needs about a third of a second for each mass on its way.

    Attributes:
        horizon: Steps in an episode.
        masses: How many.

    State:
        Displacements of all masses, then their speeds; m and m/s.

    Action:
        Force on the first mass, -10 to 10 N.

    Reward:
        -dt (x - 1)² of the last displacement, and -dt (force / 10)² / 100.
    """

    horizon: int = eqx.field(static=True)
    masses: int = eqx.field(static=True, default=2)
    name = "chain"
    dt = 0.1
    action_low, action_high = -10.0, 10.0
    parts = 4
    stiffness = 10.0
    friction = 0.1

    @property
    @override
    def state_dim(self) -> int:
        return 2 * self.masses

    @property
    @override
    def start(self) -> tuple[float, ...]:
        return (0.0,) * self.state_dim

    @override
    def rates(self, state: Float[Array, "state"], push: Float[Array, ""]) -> Float[Array, "state"]:
        places, speeds = jnp.split(state, 2)

        def pulled(x: Array) -> Array:
            stretched = jnp.diff(x, prepend=0.0)
            return jnp.append(stretched[1:], 0.0) - stretched

        forces = self.stiffness * pulled(places) + self.friction * pulled(speeds)
        return jnp.concatenate([speeds, forces.at[0].add(push)])

    @override
    def reward(
        self,
        state: Float[Array, "state"],
        action: Float[Array, "action"],
        t: Int[ArrayLike, ""],
    ) -> Float[Array, ""]:
        last = state[self.masses - 1]
        return -self.dt * ((last - 1) ** 2 + (action[0] / 10) ** 2 / 100)


pendulums_calm = partial(DrivenPendulums, damping=2.0)
pendulums_damped = partial(DrivenPendulums, damping=0.3)
pendulums_free = partial(DrivenPendulums, damping=0.0)
floor_flat = partial(WavyFloor, amplitude=0.0)
floor_wavy = partial(WavyFloor, amplitude=0.02)
floor_rough = partial(WavyFloor, amplitude=0.08)
relaxation_soft = partial(Relaxation, stiffness=0.5)
relaxation_stiff = partial(Relaxation, stiffness=4.0)
relaxation_stiffer = partial(Relaxation, stiffness=16.0)
chain_2 = partial(Chain, masses=2)
chain_8 = partial(Chain, masses=8)
chain_32 = partial(Chain, masses=32)
noise_none = partial(DoubleIntegrator, process_noise=0.0)
noise_small = partial(DoubleIntegrator, process_noise=0.03)
noise_large = partial(DoubleIntegrator, process_noise=0.3)

FAMILIES: dict[str, tuple[Callable[..., Environment], ...]] = {
    "driven pendulums, damping": (pendulums_calm, pendulums_damped, pendulums_free),
    "bouncing ball, waves of the floor": (floor_flat, floor_wavy, floor_rough),
    "van der Pol's oscillator, stiffness": (relaxation_soft, relaxation_stiff, relaxation_stiffer),
    "chain, masses": (chain_2, chain_8, chain_32),
    "double integrator, noise": (noise_none, noise_small, noise_large),
}
"""The settings of each dial, easiest first."""
