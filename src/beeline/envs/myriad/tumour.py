"""A tumour and its blood vessels."""

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
class Tumour(ControlSystem):
    r"""Shrink a tumour by starving it of blood, with a given amount of drug.

    The volume p of the tumour grows towards what its vessels can feed, the capacity q; the drug u
    kills vessels, and y is the amount used:

        ṗ = -ξ p ln(p/q)
        q̇ = q (b - μ - d p^(2/3) - G u)
        ẏ = u

    Untreated, both tend to p̄ = ((b - μ)/d)^(3/2) = 17258 mm³. The state here has x₁ = ln(p/p̄) and
    x₂ = ln(q/p̄), which are of the size of y; no step then leads to a volume of 0, where the
    equations have a pole, and d drops out:

        ẋ₁ = ξ (x₂ - x₁)
        ẋ₂ = (b - μ) (1 - e^(2x₁/3)) - G u

    The testbed's documentation has b p for the growth of q, where its code and Betts have b q, as
    here. The testbed holds y to the supply A, where treatment goes on and is no longer counted;
    here what is used beyond A has a quadratic terminal cost, whose weight w = 0.01 per mg² leaves
    the best plan 0.25 mg above.

    The best plan gives the full dose until the drug is used up, and returns -0.438 at horizon 100,
    as against -0.529 without any drug. Random actions use three times as much as there is (-9.1).

    Attributes:
        xi: ξ, the growth rate of the tumour, per day.
        b: Birth rate of vessels, per day.
        mu: μ, their natural death rate, per day.
        g: G, the strength of the drug, per mg.
        supply: A, the amount of drug that there is, in mg.
        w: The weight of what is used beyond, per mg².
        x_0: The start.
        duration: T, the length of an episode.
        state_bounds: The box that states are held to.
        control_bounds: The box of allowed controls.

    State:
        | entry | meaning | unit | range |
        |---|---|---|---|
        | 0 | logarithm x₁ of the volume, as a share of p̄ | 1 | unbounded |
        | 1 | logarithm x₂ of the vascular capacity, as a share of p̄ | 1 | unbounded |
        | 2 | drug used y | mg | unbounded; it stays at least 0 without noise |

    Action:
        | entry | meaning | unit | action -1 | action +1 |
        |---|---|---|---|---|
        | 0 | dose rate u | mg/day | 0 | 75 |

    Reward:
        0, and -e^x₁ - w max(y - A, 0)² at the last step, of the state before the last move.

    Start:
        x = (ln 1/2, ln 1/4, 0), always.

    End:
        After `horizon` steps, which is T = 1.2 days; never earlier.

    References:
        - J. T. Betts, *Practical Methods for Optimal Control Using Nonlinear Programming*, 3rd
            edition, SIAM, 2020, section 10.70.
        - U. Ledzewicz and H. Schättler, "Analysis of optimal controls for a mathematical model of
            tumour anti-angiogenesis", Optimal Control Applications and Methods 29(1), 2008.
        - N. Howe et al., "Myriad: a real-world testbed to bridge trajectory optimization and deep
            learning", NeurIPS 2022.
    """

    name: ClassVar[str] = "tumour"
    state_names: ClassVar[tuple[str, ...]] = (
        "logarithm of the volume",
        "logarithm of the vascular capacity",
        "drug used",
    )
    state_units: ClassVar[tuple[str, ...]] = ("1", "1", "mg")
    control_names: ClassVar[tuple[str, ...]] = ("dose rate",)
    control_units: ClassVar[tuple[str, ...]] = ("mg/day",)
    time_unit: ClassVar[str] = "day"

    xi: float = 0.084
    b: float = 5.85
    mu: float = 0.02
    g: float = 0.15
    supply: float = 15.0
    w: float = 0.01
    x_0: tuple[float, ...] = eqx.field(default=(math.log(0.5), math.log(0.25), 0.0), static=True)
    duration: float = eqx.field(default=1.2, static=True)
    state_bounds: Bounds = eqx.field(default=((-math.inf, math.inf),) * 3, static=True)
    control_bounds: Bounds = eqx.field(default=((0.0, 75.0),), static=True)

    @override
    def dynamics(
        self, x: Float[Array, "state"], u: Float[Array, "action"], t: Float[ArrayLike, ""]
    ) -> Float[Array, "state"]:
        del t
        volume, capacity, _ = x
        room = 1.0 - jnp.exp(2.0 / 3.0 * volume)
        return jnp.stack(
            [
                self.xi * (capacity - volume),
                (self.b - self.mu) * room - self.g * u[0],
                u[0],
            ]
        )

    @override
    def cost(
        self, x: Float[Array, "state"], u: Float[Array, "action"], t: Float[ArrayLike, ""]
    ) -> Float[Array, ""]:
        del t, u
        return jnp.zeros_like(x[0])

    @override
    def terminal_cost(self, x: Float[Array, "state"]) -> Float[Array, ""]:
        excess = jnp.maximum(x[2] - self.supply, 0.0)
        return jnp.exp(x[0]) + self.w * excess**2
