"""A population that is harvested."""

import math
import typing
from typing import ClassVar

import equinox as eqx
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float
from typing_extensions import override

from beeline.envs._control_system import Bounds, ControlSystem


@typing.final
class Harvest(ControlSystem):
    r"""Harvest a population whose members grow with time.

    The population x dies at the natural rate m and is harvested at the rate u:

        ẋ = -(m + u) x.

    The mass of each member meanwhile grows as k t / (t + 1), so that the reward depends on time
    and a harvest at t = 0 earns nothing.

    From horizon 12 up a step takes at most all that there is. Below, one at the full rate would
    take more: x is held at 0, and the catch of that step is overstated, by up to (m + 1) dt. Coarse
    steps then earn more than the continuous problem: at best 15.4 at horizon 4 and 7.5 at 10,
    against 6.4 at 100.

    Attributes:
        a: A, the value of a unit of mass.
        k: The largest mass of a member.
        m: The natural death rate, per unit of time.
        x_0: The start.
        duration: T, the length of an episode.
        state_bounds: The box that states are held to.
        control_bounds: The box of allowed controls.

    State:
        | entry | meaning | unit | range |
        |---|---|---|---|
        | 0 | population level x | 1 | [0, ∞); it stays in [0, 0.4] without noise |

    Action:
        | entry | meaning | unit | action -1 | action +1 |
        |---|---|---|---|---|
        | 0 | harvest rate u | per unit of time | 0 | 1 |

    Reward:
        dt (A k t/(t + 1) x u - u²), with t the time. There is no terminal reward.

    Start:
        x = 0.4, always.

    End:
        After `horizon` steps, which is T = 10 units of time; never earlier.

    References:
        - S. Lenhart and J. T. Workman, *Optimal Control Applied to Biological Models*,
            Chapman & Hall/CRC, 2007, chapter 11 (lab 6).
        - W. M. Getz, in Proceedings of Symposia in Applied Mathematics 30, 1984.
        - N. Howe et al., "Myriad: a real-world testbed to bridge trajectory optimization and deep
            learning", NeurIPS 2022.
    """

    name: ClassVar[str] = "harvest"
    state_names: ClassVar[tuple[str, ...]] = ("population level",)
    state_units: ClassVar[tuple[str, ...]] = ("1",)
    control_names: ClassVar[tuple[str, ...]] = ("harvest rate",)
    control_units: ClassVar[tuple[str, ...]] = ("1",)
    time_unit: ClassVar[str] = "1"

    a: float = 5.0
    k: float = 10.0
    m: float = 0.2
    x_0: tuple[float, ...] = eqx.field(default=(0.4,), static=True)
    duration: float = eqx.field(default=10.0, static=True)
    state_bounds: Bounds = eqx.field(default=((0.0, math.inf),), static=True)
    control_bounds: Bounds = eqx.field(default=((0.0, 1.0),), static=True)

    @override
    def dynamics(
        self, x: Float[Array, "state"], u: Float[Array, "action"], t: Float[ArrayLike, ""]
    ) -> Float[Array, "state"]:
        del t
        return -(self.m + u) * x

    @override
    def cost(
        self, x: Float[Array, "state"], u: Float[Array, "action"], t: Float[ArrayLike, ""]
    ) -> Float[Array, ""]:
        time = jnp.asarray(t, x.dtype)
        mass = self.k * time / (time + 1.0)
        return -self.a * mass * x[0] * u[0] + u[0] ** 2
