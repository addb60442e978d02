"""Five patches of an invasive plant."""

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
class InvasivePlant(ControlSystem):
    r"""Clear an invasive plant from five patches.

    Each patch of radius xⱼ would grow in a year to g(xⱼ) = xⱼ + k xⱼ / (ε + xⱼ), and a share uⱼ of
    it is removed. The source is a yearly map, xⱼ⁺ = (1 - uⱼ) g(xⱼ). The vector field here is the
    change in a year, f = (1 - u) g(x) - x, so that a step of length dt is

        x_{k+1} = (1 - dt) x_k + dt (1 - u_k) g(x_k).

    With `horizon=10`, dt is one year and this *is* the yearly map. With a longer one it is a
    relaxed map, in which a step goes the fraction dt of the way: a single step of full control no
    longer clears a patch. In a shorter one, a step would go more than all of the way: radii would
    fall below 0 and across the pole of g at -ε, so that it is refused. Patches do not act on one
    another.

    Process noise can lead a small radius below 0 and to the pole too: with noise, hold them with
    `state_bounds=((0.0, math.inf),) * 5`.

    Attributes:
        b: B, the weight of the effort.
        k: The largest growth of a radius in a year.
        epsilon: ε, the radius at which growth is half of that, above 0.
        x_0: The start.
        duration: T, the length of an episode.
        state_bounds: The box that states are held to.
        control_bounds: The box of allowed controls.

    State:
        | entry | meaning | unit | range |
        |---|---|---|---|
        | 0 to 4 | radius of each patch | 1 | unbounded; without noise it stays at least 0 |

    Action:
        | entry | meaning | unit | action -1 | action +1 |
        |---|---|---|---|---|
        | 0 to 4 | share removed from each patch | 1 | 0 | 1 |

    Reward:
        -dt B Σ uⱼ², and -Σ xⱼ more at the last step, of the state before the last move.

    Start:
        x = (0.5, 1, 1.5, 2, 10), always.

    End:
        After `horizon` steps, at least 10, which is T = 10 years; never earlier.

    References:
        - S. Lenhart and J. T. Workman, *Optimal Control Applied to Biological Models*,
            Chapman & Hall/CRC, 2007, chapter 24 (lab 14).
        - M. E. Moody and R. N. Mack, "Controlling the spread of plant invasions: the importance of
            nascent foci", Journal of Applied Ecology 25, 1988.
        - A. J. Whittle, S. Lenhart and L. J. Gross, "Optimal control for management of an invasive
            plant species", Mathematical Biosciences and Engineering 4(1), 2007.
        - N. Howe et al., "Myriad: a real-world testbed to bridge trajectory optimization and deep
            learning", NeurIPS 2022.
    """

    name: ClassVar[str] = "invasive-plant"
    state_names: ClassVar[tuple[str, ...]] = tuple(f"radius of patch {j}" for j in range(1, 6))
    state_units: ClassVar[tuple[str, ...]] = ("1",) * 5
    control_names: ClassVar[tuple[str, ...]] = tuple(
        f"share removed from patch {j}" for j in range(1, 6)
    )
    control_units: ClassVar[tuple[str, ...]] = ("1",) * 5
    time_unit: ClassVar[str] = "year"
    positive: ClassVar[tuple[str, ...]] = ("epsilon",)

    b: float = 1.0
    k: float = 1.0
    epsilon: float = 0.01
    x_0: tuple[float, ...] = eqx.field(default=(0.5, 1.0, 1.5, 2.0, 10.0), static=True)
    duration: float = eqx.field(default=10.0, static=True)
    state_bounds: Bounds = eqx.field(default=((-math.inf, math.inf),) * 5, static=True)
    control_bounds: Bounds = eqx.field(default=((0.0, 1.0),) * 5, static=True)

    @property
    def longest_step(self) -> float:
        """The step that goes all of the way.

        Returns:
            A year.
        """
        return 1.0

    @override
    def dynamics(
        self, x: Float[Array, "state"], u: Float[Array, "action"], t: Float[ArrayLike, ""]
    ) -> Float[Array, "state"]:
        del t
        grown = x + self.k * x / (self.epsilon + x)
        return (1.0 - u) * grown - x

    @override
    def cost(
        self, x: Float[Array, "state"], u: Float[Array, "action"], t: Float[ArrayLike, ""]
    ) -> Float[Array, ""]:
        del t, x
        return self.b * jnp.sum(u**2)

    @override
    def terminal_cost(self, x: Float[Array, "state"]) -> Float[Array, ""]:
        return jnp.sum(x)
