"""A pendulum with a weak motor."""

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
class MyriadPendulum(ControlSystem):
    r"""Swing a pendulum up with a weak motor and hold it upright.

    A rod of length ℓ hangs at the angle θ, and the motor of torque u cannot lift it at once:

        θ̈ = -3g/(2ℓ) sin θ + 3u/(m ℓ²).

    Corrected: the testbed wants the pendulum upright and has a cost that is least where it hangs,
    at the start; here the angle counts from upright. The testbed multiplies θ̈ by 0.05, which is the
    step of Gym's pendulum; here it is left out, and T is 5 s rather than 15, since the pendulum now
    swings 4.5 times as fast: at horizon 100 a step is Gym's. Nor is the angle held to [-π, π], a
    box that would stop the pendulum at the top. The end that the source prescribes is left out: the
    cost leads there.

    There are several optima, by how often the pendulum swings and on which side it goes up.
    Explicit Euler adds energy: the best return is -11.5 at horizon 100 and -13.5 at 400.

    Attributes:
        g: Gravity, in m/s².
        m: Mass, in kg, above 0.
        length: ℓ, in m, above 0.
        x_0: The start.
        duration: T, the length of an episode.
        state_bounds: The box that states are held to.
        control_bounds: The box of allowed controls.

    State:
        | entry | meaning | unit | range |
        |---|---|---|---|
        | 0 | angle θ, 0 where it hangs and ±π upright | rad | unbounded |
        | 1 | angular velocity θ̇ | rad/s | [-8, 8] |

    Action:
        | entry | meaning | unit | action -1 | action +1 |
        |---|---|---|---|---|
        | 0 | torque u | N m | -2 | 2 |

    Reward:
        -dt (φ² + 0.1 θ̇² + 0.001 u²), with φ the angle from upright, in [-π, π). There is no
        terminal reward.

    Start:
        x = 0, always: at rest, hanging.

    End:
        After `horizon` steps, which is T = 5 s; never earlier.

    References:
        - G. Brockman et al., "OpenAI Gym", 2016: `Pendulum`.
        - N. Howe et al., "Myriad: a real-world testbed to bridge trajectory optimization and deep
            learning", NeurIPS 2022.
    """

    name: ClassVar[str] = "myriad-pendulum"
    state_names: ClassVar[tuple[str, ...]] = ("angle", "angular velocity")
    state_units: ClassVar[tuple[str, ...]] = ("rad", "rad/s")
    control_names: ClassVar[tuple[str, ...]] = ("torque",)
    control_units: ClassVar[tuple[str, ...]] = ("N m",)
    time_unit: ClassVar[str] = "s"
    positive: ClassVar[tuple[str, ...]] = ("m", "length")

    g: float = 10.0
    m: float = 1.0
    length: float = 1.0
    x_0: tuple[float, ...] = eqx.field(default=(0.0, 0.0), static=True)
    duration: float = eqx.field(default=5.0, static=True)
    state_bounds: Bounds = eqx.field(default=((-math.inf, math.inf), (-8.0, 8.0)), static=True)
    control_bounds: Bounds = eqx.field(default=((-2.0, 2.0),), static=True)

    @override
    def dynamics(
        self, x: Float[Array, "state"], u: Float[Array, "action"], t: Float[ArrayLike, ""]
    ) -> Float[Array, "state"]:
        del t
        angle, spin = x
        fall = -1.5 * self.g / self.length * jnp.sin(angle)
        return jnp.stack([spin, fall + 3.0 / (self.m * self.length**2) * u[0]])

    @override
    def cost(
        self, x: Float[Array, "state"], u: Float[Array, "action"], t: Float[ArrayLike, ""]
    ) -> Float[Array, ""]:
        del t
        from_upright = jnp.mod(x[0], 2.0 * jnp.pi) - jnp.pi
        return from_upright**2 + 0.1 * x[1] ** 2 + 0.001 * u[0] ** 2
