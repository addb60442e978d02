"""Chemotherapy against a tumour."""

import typing
from typing import ClassVar

import equinox as eqx
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float
from typing_extensions import override

from beeline.envs._control_system import Bounds, ControlSystem


@typing.final
class CancerTreatment(ControlSystem):
    r"""Treat a tumour with as little drug as will do.

    The tumour density x grows by Gompertz's law, and the drug kills a share of it per unit of time
    (log-kill):

        ẋ = r x ln(1/x) - δ u x.

    From horizon 19 up no dose takes the tumour to its lower bound in one step. Below, a strong one
    does, and the bound holds it there: coarse steps overstate the drug, and the best return (-13.6
    at horizon 8) is better than that of the continuous problem (-20.5 at 100).

    Attributes:
        r: Growth rate of the tumour, per day.
        a: Weight of the tumour against the drug in the cost.
        delta: δ, the strength of the drug's effect, per day and unit of drug.
        x_0: The start.
        duration: T, the length of an episode.
        state_bounds: The box that states are held to.
        control_bounds: The box of allowed controls.

    State:
        | entry | meaning | unit | range |
        |---|---|---|---|
        | 0 | tumour density x, as a share of its largest | 1 | [0.001, 1] |

    Action:
        | entry | meaning | unit | action -1 | action +1 |
        |---|---|---|---|---|
        | 0 | drug strength u | 1 | 0 | 2 |

    Reward:
        -dt (a x² + u²). There is no terminal reward.

    Start:
        x = 0.975, always.

    End:
        After `horizon` steps, which is T = 20 days; never earlier.

    References:
        - S. Lenhart and J. T. Workman, *Optimal Control Applied to Biological Models*,
            Chapman & Hall/CRC, 2007, chapter 10 (lab 5).
        - K. R. Fister and J. C. Panetta, "Optimal control applied to competing chemotherapeutic
            cell-kill strategies", SIAM Journal on Applied Mathematics 63(6), 2003.
        - N. Howe et al., "Myriad: a real-world testbed to bridge trajectory optimization and deep
            learning", NeurIPS 2022.
    """

    name: ClassVar[str] = "cancer-treatment"
    state_names: ClassVar[tuple[str, ...]] = ("tumour density",)
    state_units: ClassVar[tuple[str, ...]] = ("1",)
    control_names: ClassVar[tuple[str, ...]] = ("drug strength",)
    control_units: ClassVar[tuple[str, ...]] = ("1",)
    time_unit: ClassVar[str] = "day"
    positive: ClassVar[tuple[str, ...]] = ("state_bounds",)

    r: float = 0.3
    a: float = 3.0
    delta: float = 0.45
    x_0: tuple[float, ...] = eqx.field(default=(0.975,), static=True)
    duration: float = eqx.field(default=20.0, static=True)
    state_bounds: Bounds = eqx.field(default=((0.001, 1.0),), static=True)
    control_bounds: Bounds = eqx.field(default=((0.0, 2.0),), static=True)

    @override
    def dynamics(
        self, x: Float[Array, "state"], u: Float[Array, "action"], t: Float[ArrayLike, ""]
    ) -> Float[Array, "state"]:
        del t
        # The lower state bound keeps x away from 0, where the logarithm has no derivative.
        return -self.r * x * jnp.log(x) - self.delta * u * x

    @override
    def cost(
        self, x: Float[Array, "state"], u: Float[Array, "action"], t: Float[ArrayLike, ""]
    ) -> Float[Array, ""]:
        del t
        return self.a * x[0] ** 2 + u[0] ** 2
