"""An oscillator that keeps itself going."""

import typing
from typing import ClassVar

import equinox as eqx
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float
from typing_extensions import override

from beeline.envs._control_system import Bounds, ControlSystem


@typing.final
class VanDerPol(ControlSystem):
    r"""Bring a self-sustained oscillator to rest with as little force as will do.

    Van der Pol's oscillator, whose damping drives it near the origin and brakes it farther out:

        ẋ₁ = a (1 - x₂²) x₁ - x₂ + u
        ẋ₂ = x₁

    The end that the source prescribes, the origin, is left out: the cost leads there. The best
    return is -3.09 at horizon 100.

    From horizon 60 up states keep within their bounds by themselves. Below, explicit Euler swings
    ever wider where |x₂| is large, and the bounds hold it.

    Attributes:
        a: The strength of the damping.
        x_0: The start.
        duration: T, the length of an episode.
        state_bounds: The box that states are held to.
        control_bounds: The box of allowed controls.

    State:
        | entry | meaning | unit | range |
        |---|---|---|---|
        | 0 | velocity x₁ | 1 | [-4, 4] |
        | 1 | position x₂ | 1 | [-4, 4] |

    Action:
        | entry | meaning | unit | action -1 | action +1 |
        |---|---|---|---|---|
        | 0 | force u | 1 | -0.75 | 1 |

    Reward:
        -dt (x₁² + x₂² + u²). There is no terminal reward.

    Start:
        x = (0, 1), always.

    End:
        After `horizon` steps, which is T = 10 units of time; never earlier.

    References:
        - J. A. E. Andersson et al., "CasADi: a software framework for nonlinear optimization and
            optimal control", Mathematical Programming Computation 11(1), 2019: the example.
        - N. Howe et al., "Myriad: a real-world testbed to bridge trajectory optimization and deep
            learning", NeurIPS 2022.
    """

    name: ClassVar[str] = "van-der-pol"
    state_names: ClassVar[tuple[str, ...]] = ("velocity", "position")
    state_units: ClassVar[tuple[str, ...]] = ("1", "1")
    control_names: ClassVar[tuple[str, ...]] = ("force",)
    control_units: ClassVar[tuple[str, ...]] = ("1",)
    time_unit: ClassVar[str] = "1"

    a: float = 1.0
    x_0: tuple[float, ...] = eqx.field(default=(0.0, 1.0), static=True)
    duration: float = eqx.field(default=10.0, static=True)
    state_bounds: Bounds = eqx.field(default=((-4.0, 4.0),) * 2, static=True)
    control_bounds: Bounds = eqx.field(default=((-0.75, 1.0),), static=True)

    @override
    def dynamics(
        self, x: Float[Array, "state"], u: Float[Array, "action"], t: Float[ArrayLike, ""]
    ) -> Float[Array, "state"]:
        del t
        velocity, position = x
        damping = self.a * (1.0 - position**2)
        return jnp.stack([damping * velocity - position + u[0], velocity])

    @override
    def cost(
        self, x: Float[Array, "state"], u: Float[Array, "action"], t: Float[ArrayLike, ""]
    ) -> Float[Array, ""]:
        del t
        return jnp.sum(x**2) + u[0] ** 2
