"""Black bears in a park, a forest and a town."""

import typing
from typing import ClassVar

import equinox as eqx
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float
from typing_extensions import override

from beeline.envs._control_system import Bounds, ControlSystem


@typing.final
class BearPopulations(ControlSystem):
    r"""Keep black bears out of town by hunting in a park and a forest.

    Bears of density P in a park and F in a forest multiply by themselves. Those that find no room
    go over to the other, and where that is full too, to the town, of density O. With κ = r/K,

        Ṗ = r P - κ P² + κ m_f (1 - P/K) F² - u₁ P
        Ḟ = r F - κ F² + κ m_p (1 - F/K) P² - u₂ F
        Ȯ = κ (1 - m_p) P² + κ (1 - m_f) F² + (κ/K) (m_f P F² + m_p P² F)

    Hunting in the park costs so much that the best rate there is below 0.002, and what random
    actions lose (-3300) is nearly all of it. Hunting in the forest is worth the rest: without any,
    the return is -17.0 at horizon 100, and at best -12.1.

    From horizon 5 up no step takes all of the bears. Below, hunting at the highest rate does, and
    the bound holds them at 0.

    Attributes:
        r: Growth rate, per unit of time.
        k: K, the density at which a park or forest is full, above 0.
        m_p: Share of the park's border that is with the forest.
        m_f: Share of the forest's border that is with the park.
        c_p: The cost of hunting in the park.
        c_f: The cost of hunting in the forest.
        x_0: The start.
        duration: T, the length of an episode.
        state_bounds: The box that states are held to.
        control_bounds: The box of allowed controls.

    State:
        | entry | meaning | unit | range |
        |---|---|---|---|
        | 0 | density in the park P | 1 | [0, 2] |
        | 1 | density in the forest F | 1 | [0, 2] |
        | 2 | density in town O | 1 | [0, 2] |

    Action:
        | entry | meaning | unit | action -1 | action +1 |
        |---|---|---|---|---|
        | 0 | hunting rate in the park u₁ | per unit of time | 0 | 0.2 |
        | 1 | hunting rate in the forest u₂ | per unit of time | 0 | 0.2 |

    Reward:
        -dt (O + c_p u₁² + c_f u₂²). There is no terminal reward.

    Start:
        (P, F, O) = (0.4, 0.2, 0), always.

    End:
        After `horizon` steps, which is T = 25 units of time; never earlier.

    References:
        - S. Lenhart and J. T. Workman, *Optimal Control Applied to Biological Models*,
            Chapman & Hall/CRC, 2007, chapter 15 (lab 9).
        - R. A. Salinas, S. Lenhart and L. J. Gross, "Control of a metapopulation harvesting model
            for black bears", Natural Resource Modeling 18(3), 2005.
        - N. Howe et al., "Myriad: a real-world testbed to bridge trajectory optimization and deep
            learning", NeurIPS 2022.
    """

    name: ClassVar[str] = "bear-populations"
    state_names: ClassVar[tuple[str, ...]] = (
        "density in the park",
        "density in the forest",
        "density in town",
    )
    state_units: ClassVar[tuple[str, ...]] = ("1",) * 3
    control_names: ClassVar[tuple[str, ...]] = (
        "hunting rate in the park",
        "hunting rate in the forest",
    )
    control_units: ClassVar[tuple[str, ...]] = ("1",) * 2
    time_unit: ClassVar[str] = "1"
    positive: ClassVar[tuple[str, ...]] = ("k",)

    r: float = 0.1
    k: float = 0.75
    m_p: float = 0.5
    m_f: float = 0.5
    c_p: float = 10_000.0
    c_f: float = 10.0
    x_0: tuple[float, ...] = eqx.field(default=(0.4, 0.2, 0.0), static=True)
    duration: float = eqx.field(default=25.0, static=True)
    state_bounds: Bounds = eqx.field(default=((0.0, 2.0),) * 3, static=True)
    control_bounds: Bounds = eqx.field(default=((0.0, 0.2),) * 2, static=True)

    @override
    def dynamics(
        self, x: Float[Array, "state"], u: Float[Array, "action"], t: Float[ArrayLike, ""]
    ) -> Float[Array, "state"]:
        del t
        park, forest, _ = x
        crowding = self.r / self.k
        from_park, from_forest = crowding * park**2, crowding * forest**2
        to_forest, to_park = self.m_p * from_park, self.m_f * from_forest
        refused = to_park * park / self.k + to_forest * forest / self.k
        return jnp.stack(
            [
                self.r * park - from_park + to_park * (1.0 - park / self.k) - u[0] * park,
                self.r * forest - from_forest + to_forest * (1.0 - forest / self.k) - u[1] * forest,
                from_park - to_forest + from_forest - to_park + refused,
            ]
        )

    @override
    def cost(
        self, x: Float[Array, "state"], u: Float[Array, "action"], t: Float[ArrayLike, ""]
    ) -> Float[Array, ""]:
        del t
        return x[2] + self.c_p * u[0] ** 2 + self.c_f * u[1] ** 2
