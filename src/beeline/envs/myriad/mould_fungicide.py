"""Fungicide against mould."""

import typing
from typing import ClassVar

import equinox as eqx
from jax.typing import ArrayLike
from jaxtyping import Array, Float
from typing_extensions import override

from beeline.envs._control_system import Bounds, ControlSystem


@typing.final
class MouldFungicide(ControlSystem):
    r"""Hold a mould down with a fungicide.

    The mould of concentration x grows towards M, and the fungicide u kills a share of it per unit
    of time:

        ẋ = r (M - x) - u x.

    States are held to [0, 5], although an untreated mould would go on to M = 10. From horizon 24 up
    no level of the fungicide takes the mould to 0 in one step. Below, a high one does, and the
    bound holds it there: coarse steps overstate the fungicide, and the best return (-74.0 at
    horizon 5, -84.2 at 20) is better than that of the continuous problem (-85.2 at 100).

    Attributes:
        r: Growth rate, per unit of time.
        m: M, the concentration that an untreated mould tends to.
        a: A, the weight of the mould against the fungicide in the cost.
        x_0: The start.
        duration: T, the length of an episode.
        state_bounds: The box that states are held to.
        control_bounds: The box of allowed controls.

    State:
        | entry | meaning | unit | range |
        |---|---|---|---|
        | 0 | mould concentration x | 1 | [0, 5] |

    Action:
        | entry | meaning | unit | action -1 | action +1 |
        |---|---|---|---|---|
        | 0 | fungicide level u | 1 | 0 | 5 |

    Reward:
        -dt (A x² + u²). There is no terminal reward.

    Start:
        x = 1, always.

    End:
        After `horizon` steps, which is T = 5 units of time; never earlier.

    References:
        - S. Lenhart and J. T. Workman, *Optimal Control Applied to Biological Models*,
            Chapman & Hall/CRC, 2007, chapter 6 (lab 2).
        - N. Howe et al., "Myriad: a real-world testbed to bridge trajectory optimization and deep
            learning", NeurIPS 2022.
    """

    name: ClassVar[str] = "mould-fungicide"
    state_names: ClassVar[tuple[str, ...]] = ("mould concentration",)
    state_units: ClassVar[tuple[str, ...]] = ("1",)
    control_names: ClassVar[tuple[str, ...]] = ("fungicide level",)
    control_units: ClassVar[tuple[str, ...]] = ("1",)
    time_unit: ClassVar[str] = "1"

    r: float = 0.3
    m: float = 10.0
    a: float = 10.0
    x_0: tuple[float, ...] = eqx.field(default=(1.0,), static=True)
    duration: float = eqx.field(default=5.0, static=True)
    state_bounds: Bounds = eqx.field(default=((0.0, 5.0),), static=True)
    control_bounds: Bounds = eqx.field(default=((0.0, 5.0),), static=True)

    @override
    def dynamics(
        self, x: Float[Array, "state"], u: Float[Array, "action"], t: Float[ArrayLike, ""]
    ) -> Float[Array, "state"]:
        del t
        return self.r * (self.m - x) - u * x

    @override
    def cost(
        self, x: Float[Array, "state"], u: Float[Array, "action"], t: Float[ArrayLike, ""]
    ) -> Float[Array, ""]:
        del t
        return self.a * x[0] ** 2 + u[0] ** 2
