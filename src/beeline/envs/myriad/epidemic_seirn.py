"""Vaccination against an epidemic."""

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
class EpidemicSEIRN(ControlSystem):
    r"""Vaccinate against an epidemic as little as will do.

    The susceptible S are born, vaccinated and infected by the infectious I; the exposed E fall ill
    after a while, and N is the whole population, the immune included:

        Ṡ = b N - d S - c S I - u S
        Ė = c S I - (e + d) E
        İ = e E - (g + a + d) I
        Ṅ = (b - d) N - a I

    With these constants the epidemic dies out by itself: no vaccination at all (action -1) earns
    -13.44 at horizon 100, and the best plan -13.39.

    The source leaves the states unbounded; here they stay at least 0. From horizon 20 up they do so
    by themselves. Below, more of the exposed would fall ill in a step than there are, and the bound
    holds them at 0.

    Attributes:
        b: Birth rate.
        d: Natural death rate.
        c: Rate of infection, per infectious.
        e: Rate at which the exposed become infectious.
        g: Rate of recovery.
        a: Death rate by the disease.
        weight: A, the weight of the infectious against vaccination in the cost.
        x_0: The start.
        duration: T, the length of an episode.
        state_bounds: The box that states are held to.
        control_bounds: The box of allowed controls.

    State:
        | entry | meaning | unit | range |
        |---|---|---|---|
        | 0 | susceptible S | 1 | [0, ∞) |
        | 1 | exposed E | 1 | [0, ∞) |
        | 2 | infectious I | 1 | [0, ∞) |
        | 3 | population N | 1 | [0, ∞) |

    Action:
        | entry | meaning | unit | action -1 | action +1 |
        |---|---|---|---|---|
        | 0 | vaccination rate u | per unit of time | 0 | 0.9 |

    Reward:
        -dt (A I + u²). There is no terminal reward.

    Start:
        (S, E, I, N) = (1000, 100, 50, 1165), always.

    End:
        After `horizon` steps, which is T = 20 units of time; never earlier.

    References:
        - S. Lenhart and J. T. Workman, *Optimal Control Applied to Biological Models*,
            Chapman & Hall/CRC, 2007, chapter 13 (lab 7).
        - H. R. Joshi, S. Lenhart, M. Y. Li and L. Wang, "Optimal control methods applied to
            disease models", AMS Contemporary Mathematics 410, 2006.
        - N. Howe et al., "Myriad: a real-world testbed to bridge trajectory optimization and deep
            learning", NeurIPS 2022.
    """

    name: ClassVar[str] = "epidemic-seirn"
    state_names: ClassVar[tuple[str, ...]] = ("susceptible", "exposed", "infectious", "population")
    state_units: ClassVar[tuple[str, ...]] = ("1",) * 4
    control_names: ClassVar[tuple[str, ...]] = ("vaccination rate",)
    control_units: ClassVar[tuple[str, ...]] = ("1",)
    time_unit: ClassVar[str] = "1"

    b: float = 0.525
    d: float = 0.5
    c: float = 1e-4
    e: float = 0.5
    g: float = 0.1
    a: float = 0.2
    weight: float = 0.1
    x_0: tuple[float, ...] = eqx.field(default=(1000.0, 100.0, 50.0, 1165.0), static=True)
    duration: float = eqx.field(default=20.0, static=True)
    state_bounds: Bounds = eqx.field(default=((0.0, math.inf),) * 4, static=True)
    control_bounds: Bounds = eqx.field(default=((0.0, 0.9),), static=True)

    @override
    def dynamics(
        self, x: Float[Array, "state"], u: Float[Array, "action"], t: Float[ArrayLike, ""]
    ) -> Float[Array, "state"]:
        del t
        susceptible, exposed, infectious, population = x
        infection = self.c * susceptible * infectious
        return jnp.stack(
            [
                self.b * population - (self.d + u[0]) * susceptible - infection,
                infection - (self.e + self.d) * exposed,
                self.e * exposed - (self.g + self.a + self.d) * infectious,
                (self.b - self.d) * population - self.a * infectious,
            ]
        )

    @override
    def cost(
        self, x: Float[Array, "state"], u: Float[Array, "action"], t: Float[ArrayLike, ""]
    ) -> Float[Array, ""]:
        del t
        return self.weight * x[2] + u[0] ** 2
