"""Timber income, spent or re-invested."""

import typing
from typing import ClassVar

import equinox as eqx
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float
from typing_extensions import override

from beeline.envs._control_system import Bounds, ControlSystem


@typing.final
class TimberHarvest(ControlSystem):
    r"""Re-invest income from timber at first, and take it out later.

    Timber production x grows by the share u of the income that is re-invested:

        ẋ = k x u.

    The rest is profit. The best policy is bang-bang: re-invest all, then nothing.

    Attributes:
        r: Discount rate of profit, per year; 0 by default, so that time does not matter.
        k: Return on investment, per year.
        x_0: The start.
        duration: T, the length of an episode.
        state_bounds: The box that states are held to.
        control_bounds: The box of allowed controls.

    State:
        | entry | meaning | unit | range |
        |---|---|---|---|
        | 0 | timber production x | 1 | [0, 20000] |

    Action:
        | entry | meaning | unit | action -1 | action +1 |
        |---|---|---|---|---|
        | 0 | share of income re-invested u | 1 | 0 | 1 |

    Reward:
        dt e^(-r t) x (1 - u), with t the time. There is no terminal reward.

    Start:
        x = 100, always.

    End:
        After `horizon` steps, which is T = 5 years; never earlier.

    References:
        - S. Lenhart and J. T. Workman, *Optimal Control Applied to Biological Models*,
            Chapman & Hall/CRC, 2007, chapter 18 (lab 11).
        - M. I. Kamien and N. L. Schwartz, *Dynamic Optimization*, 2nd edition, North-Holland, 1991.
        - N. Howe et al., "Myriad: a real-world testbed to bridge trajectory optimization and deep
            learning", NeurIPS 2022.
    """

    name: ClassVar[str] = "timber-harvest"
    state_names: ClassVar[tuple[str, ...]] = ("timber production",)
    state_units: ClassVar[tuple[str, ...]] = ("1",)
    control_names: ClassVar[tuple[str, ...]] = ("share of income re-invested",)
    control_units: ClassVar[tuple[str, ...]] = ("1",)
    time_unit: ClassVar[str] = "year"

    r: float = 0.0
    k: float = 1.0
    x_0: tuple[float, ...] = eqx.field(default=(100.0,), static=True)
    duration: float = eqx.field(default=5.0, static=True)
    state_bounds: Bounds = eqx.field(default=((0.0, 20000.0),), static=True)
    control_bounds: Bounds = eqx.field(default=((0.0, 1.0),), static=True)

    @override
    def dynamics(
        self, x: Float[Array, "state"], u: Float[Array, "action"], t: Float[ArrayLike, ""]
    ) -> Float[Array, "state"]:
        del t
        return self.k * x * u

    @override
    def cost(
        self, x: Float[Array, "state"], u: Float[Array, "action"], t: Float[ArrayLike, ""]
    ) -> Float[Array, ""]:
        return -jnp.exp(-self.r * t) * x[0] * (1.0 - u[0])
