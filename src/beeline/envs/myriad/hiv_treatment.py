"""Chemotherapy against HIV."""

import typing
from typing import ClassVar

import equinox as eqx
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float
from typing_extensions import override

from beeline.envs._control_system import Bounds, ControlSystem


@typing.final
class HIVTreatment(ControlSystem):
    r"""Keep healthy T cells many with as little HIV therapy as will do.

    Healthy CD4 T cells x₁ are made, die, and become infected cells x₂ by meeting the virus x₃;
    infected cells die and release N virus each:

        ẋ₁ = s/(1 + x₃) - m₁ x₁ + r x₁ (1 - (x₁ + x₂)/T_max) - u k x₁ x₃
        ẋ₂ = u k x₁ x₃ - m₂ x₂
        ẋ₃ = N m₂ x₂ - m₃ x₃

    The virus clears at 4.4 per day, which explicit Euler follows badly in long steps: the factor
    1 - m₃ dt of one step is -3.4 at horizon 20 (the virus alternates between its bounds and returns
    depend on actions in the extreme), -0.76 at 50 and 0.12 at 100.

    Attributes:
        s: Supply of new healthy cells, per day.
        m_1: Death rate of healthy cells, per day.
        m_2: Death rate of infected cells, per day.
        m_3: Clearance rate of the virus, per day.
        r: Growth rate of healthy cells, per day.
        t_max: T_max, the number of cells at which growth stops.
        k: Rate of infection, per day and virus.
        n: N, the virus released by one infected cell.
        a: A, the weight of healthy cells against therapy in the cost.
        x_0: The start.
        duration: T, the length of an episode.
        state_bounds: The box that states are held to.
        control_bounds: The box of allowed controls.

    State:
        | entry | meaning | unit | range |
        |---|---|---|---|
        | 0 | healthy T cells x₁ | per mm³ | [0, 1600] |
        | 1 | infected T cells x₂ | per mm³ | [0, 100] |
        | 2 | free virus x₃ | per mm³ | [0, 100] |

    Action:
        | entry | meaning | unit | action -1 | action +1 |
        |---|---|---|---|---|
        | 0 | remaining infectivity u | 1 | 0, full therapy | 1, none |

    Reward:
        dt (A x₁ - (1 - u)²). There is no terminal reward.

    Start:
        x = (800, 0.04, 1.5), always.

    End:
        After `horizon` steps, which is T = 20 days; never earlier.

    References:
        - S. Lenhart and J. T. Workman, *Optimal Control Applied to Biological Models*,
            Chapman & Hall/CRC, 2007, chapter 14 (lab 8).
        - S. Butler, D. Kirschner and S. Lenhart, "Optimal control of chemotherapy affecting the
            infectivity of HIV", in Advances in Mathematical Population Dynamics, 1997.
        - N. Howe et al., "Myriad: a real-world testbed to bridge trajectory optimization and deep
            learning", NeurIPS 2022.
    """

    name: ClassVar[str] = "hiv-treatment"
    state_names: ClassVar[tuple[str, ...]] = ("healthy T cells", "infected T cells", "free virus")
    state_units: ClassVar[tuple[str, ...]] = ("1/mm³", "1/mm³", "1/mm³")
    control_names: ClassVar[tuple[str, ...]] = ("remaining infectivity",)
    control_units: ClassVar[tuple[str, ...]] = ("1",)
    time_unit: ClassVar[str] = "day"
    positive: ClassVar[tuple[str, ...]] = ("t_max",)

    s: float = 10.0
    m_1: float = 0.02
    m_2: float = 0.5
    m_3: float = 4.4
    r: float = 0.03
    t_max: float = 1500.0
    k: float = 2.4e-5
    n: float = 300.0
    a: float = 0.05
    x_0: tuple[float, ...] = eqx.field(default=(800.0, 0.04, 1.5), static=True)
    duration: float = eqx.field(default=20.0, static=True)
    state_bounds: Bounds = eqx.field(
        default=((0.0, 1600.0), (0.0, 100.0), (0.0, 100.0)), static=True
    )
    control_bounds: Bounds = eqx.field(default=((0.0, 1.0),), static=True)

    @override
    def dynamics(
        self, x: Float[Array, "state"], u: Float[Array, "action"], t: Float[ArrayLike, ""]
    ) -> Float[Array, "state"]:
        del t
        healthy, infected, virus = x
        infection = u[0] * self.k * healthy * virus
        growth = self.r * healthy * (1.0 - (healthy + infected) / self.t_max)
        return jnp.stack(
            [
                self.s / (1.0 + virus) - self.m_1 * healthy + growth - infection,
                infection - self.m_2 * infected,
                self.n * self.m_2 * infected - self.m_3 * virus,
            ]
        )

    @override
    def cost(
        self, x: Float[Array, "state"], u: Float[Array, "action"], t: Float[ArrayLike, ""]
    ) -> Float[Array, ""]:
        del t
        return -self.a * x[0] + (1.0 - u[0]) ** 2
