"""Insulin against too much blood sugar."""

import typing
from typing import ClassVar

import equinox as eqx
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float
from typing_extensions import override

from beeline.envs._control_system import Bounds, ControlSystem


@typing.final
class Glucose(ControlSystem):
    r"""Bring blood sugar down to a wanted level with as little insulin as will do.

    Glucose x₁ is used up, faster by the hormones x₂ that injected insulin u adds to:

        ẋ₁ = -a x₁ - b x₂
        ẋ₂ = -c x₂ + u

    In a fifth of a day, insulin within its bounds moves glucose by less than 0.0002, a 700th of
    what it falls by itself, so that a learned model hardly sees it. The best plan gains 0.12 over
    no insulin at all (action -1), of a return of -1363 at horizon 100; the factor 10⁵ of the source
    makes that visible.

    Attributes:
        a: Rate at which the body uses glucose, per day.
        b: Rate at which hormones take glucose away, per day.
        c: Rate at which hormones decay, per day.
        weight: A, the weight of the distance from the level against insulin in the cost.
        level: l, the wanted level of glucose.
        scale: The factor of the whole cost.
        x_0: The start.
        duration: T, the length of an episode.
        state_bounds: The box that states are held to.
        control_bounds: The box of allowed controls.

    State:
        | entry | meaning | unit | range |
        |---|---|---|---|
        | 0 | blood glucose x₁ | 1 | [0, 1] |
        | 1 | net hormones x₂ | 1 | [0, 1] |

    Action:
        | entry | meaning | unit | action -1 | action +1 |
        |---|---|---|---|---|
        | 0 | insulin rate u | per day | 0 | 0.01 |

    Reward:
        -dt · 10⁵ (A (x₁ - l)² + u²). There is no terminal reward.

    Start:
        x = (0.75, 0), always.

    End:
        After `horizon` steps, which is T = 0.2 days; never earlier.

    References:
        - S. Lenhart and J. T. Workman, *Optimal Control Applied to Biological Models*,
            Chapman & Hall/CRC, 2007, chapter 16 (lab 10).
        - M. Eisen, *Mathematical Methods and Models in the Biological Sciences*, Prentice Hall,
            1988.
        - N. Howe et al., "Myriad: a real-world testbed to bridge trajectory optimization and deep
            learning", NeurIPS 2022.
    """

    name: ClassVar[str] = "glucose"
    state_names: ClassVar[tuple[str, ...]] = ("blood glucose", "net hormones")
    state_units: ClassVar[tuple[str, ...]] = ("1", "1")
    control_names: ClassVar[tuple[str, ...]] = ("insulin rate",)
    control_units: ClassVar[tuple[str, ...]] = ("1/day",)
    time_unit: ClassVar[str] = "day"

    a: float = 1.0
    b: float = 1.0
    c: float = 1.0
    weight: float = 2.0
    level: float = 0.5
    scale: float = 1e5
    x_0: tuple[float, ...] = eqx.field(default=(0.75, 0.0), static=True)
    duration: float = eqx.field(default=0.2, static=True)
    state_bounds: Bounds = eqx.field(default=((0.0, 1.0), (0.0, 1.0)), static=True)
    control_bounds: Bounds = eqx.field(default=((0.0, 0.01),), static=True)

    @override
    def dynamics(
        self, x: Float[Array, "state"], u: Float[Array, "action"], t: Float[ArrayLike, ""]
    ) -> Float[Array, "state"]:
        del t
        glucose, hormones = x
        return jnp.stack([-self.a * glucose - self.b * hormones, u[0] - self.c * hormones])

    @override
    def cost(
        self, x: Float[Array, "state"], u: Float[Array, "action"], t: Float[ArrayLike, ""]
    ) -> Float[Array, ""]:
        del t
        return self.scale * (self.weight * (x[0] - self.level) ** 2 + u[0] ** 2)
