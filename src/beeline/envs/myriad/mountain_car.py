"""A car in a valley."""

import typing
from typing import ClassVar

import equinox as eqx
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float
from typing_extensions import override

from beeline.envs._control_system import Bounds, ControlSystem


@typing.final
class MountainCar(ControlSystem):
    r"""Drive a weak car out of a valley and stop it on the hill.

    The car at p with the velocity v is too weak to climb the hill at once, and has to go back up
    the other side first:

        ṗ = v
        v̇ = P u - G cos 3p

    Corrected: the testbed follows Gym's mountain car but has a bowl, v̇ = P u - G p, from which the
    engine climbs at once. Here the hill is Gym's, and the start is in the middle of Gym's starts,
    near the bottom (the testbed's -0.1 would be a third of the way up). The end that the source
    prescribes, (0.45, 0), is a quadratic terminal cost, whose weights leave the best plan 0.006
    short of it. T is 100 rather than 300: two swings suffice, and at horizon 100 a step is Gym's.

    Explicit Euler adds energy, so that coarse steps need less throttle: the best return is -224 at
    horizon 50, -281 at 100 and -328 at 400.

    Attributes:
        power: P, the strength of the engine.
        gravity: G, the pull of the hill where it is steepest.
        target: Where the car has to stop.
        effort: The weight of the throttle in the cost.
        w_p: The weight of the distance from the target.
        w_v: The weight of the velocity at the end.
        x_0: The start.
        duration: T, the length of an episode.
        state_bounds: The box that states are held to.
        control_bounds: The box of allowed controls.

    State:
        | entry | meaning | unit | range |
        |---|---|---|---|
        | 0 | position p | 1 | [-1.2, 0.6] |
        | 1 | velocity v | 1 | [-0.07, 0.07] |

    Action:
        | entry | meaning | unit | action -1 | action +1 |
        |---|---|---|---|---|
        | 0 | throttle u | 1 | -1, backwards | 1, forwards |

    Reward:
        -dt · 10 u², and -w_p (p - 0.45)² - w_v v² more at the last step, of the state before the
        last move.

    Start:
        x = (-0.5, 0), always.

    End:
        After `horizon` steps, which is T = 100 units of time; never earlier.

    References:
        - A. W. Moore, "Efficient memory-based learning for robot control", PhD thesis, University
            of Cambridge, 1990.
        - G. Brockman et al., "OpenAI Gym", 2016: `MountainCarContinuous`.
        - N. Howe et al., "Myriad: a real-world testbed to bridge trajectory optimization and deep
            learning", NeurIPS 2022.
    """

    name: ClassVar[str] = "mountain-car"
    state_names: ClassVar[tuple[str, ...]] = ("position", "velocity")
    state_units: ClassVar[tuple[str, ...]] = ("1", "1")
    control_names: ClassVar[tuple[str, ...]] = ("throttle",)
    control_units: ClassVar[tuple[str, ...]] = ("1",)
    time_unit: ClassVar[str] = "1"

    power: float = 0.0015
    gravity: float = 0.0025
    target: float = 0.45
    effort: float = 10.0
    w_p: float = 1e4
    w_v: float = 1e5
    x_0: tuple[float, ...] = eqx.field(default=(-0.5, 0.0), static=True)
    duration: float = eqx.field(default=100.0, static=True)
    state_bounds: Bounds = eqx.field(default=((-1.2, 0.6), (-0.07, 0.07)), static=True)
    control_bounds: Bounds = eqx.field(default=((-1.0, 1.0),), static=True)

    @override
    def dynamics(
        self, x: Float[Array, "state"], u: Float[Array, "action"], t: Float[ArrayLike, ""]
    ) -> Float[Array, "state"]:
        del t
        position, velocity = x
        return jnp.stack([velocity, self.power * u[0] - self.gravity * jnp.cos(3.0 * position)])

    @override
    def cost(
        self, x: Float[Array, "state"], u: Float[Array, "action"], t: Float[ArrayLike, ""]
    ) -> Float[Array, ""]:
        del t, x
        return self.effort * u[0] ** 2

    @override
    def terminal_cost(self, x: Float[Array, "state"]) -> Float[Array, ""]:
        return self.w_p * (x[0] - self.target) ** 2 + self.w_v * x[1] ** 2
