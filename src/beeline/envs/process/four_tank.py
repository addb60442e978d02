"""Two pumps that fill four tanks."""

import typing
from typing import ClassVar

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float
from typing_extensions import override

from beeline.envs.process._base import Levels, Output, TrackingTask

_SHALLOW = 1e-4
"""Level, in m, below which outflow is proportional to it: a root has no slope at 0."""
_OUTLETS = (3.5e-3, 3e-3, 2e-3, 2.5e-3)
"""Cross sections, in m²."""


@typing.final
class FourTank(TrackingTask):
    r"""Bring the levels of two tanks to setpoints, by two pumps that fill four.

    Tanks 3 and 4 drain into 1 and 2. Pump 1 fills 1 and 4, pump 2 fills 2 and 3:

        A dh₁/dt = f₃ - f₁ + γ k₁ v₁,        A dh₂/dt = f₄ - f₂ + γ k₂ v₂,
        A dh₃/dt = (1 - γ) k₂ v₂ - f₃,       A dh₄/dt = (1 - γ) k₁ v₁ - f₄,

    with f_i = a_i √(2 g h_i), a = (3.5, 3, 2, 2.5) · 10⁻³ m², A = 1 m², g = 9.81 m/s², γ = 0.2,
    k₁ = 8.5e-4 and k₂ = 9.5e-4 m³/(V s). Steps of integration are of at most 1 s.

    Differs from the published package: below 0.1 mm the outflow is proportional to the level; the
    setpoint of the reward is the one that is seen, not the next one; the first move of every
    episode is free, where there it is charged against the last action of the episode before; and
    an episode has H steps, not H - 1.

    Attributes:
        horizon: H, the number of steps, at least 2; 60 are usual.
        setpoints: Levels of tanks 3 and 4, in m, each for an equal share of the episode.
        disturbances: None.
        name: The task's name in the registry.
        state_dim: How many entries a state has.
        action_dim: How many entries an action has.

    State:
        | entry | meaning | unit | range |
        |---|---|---|---|
        | 0 to 3 | levels h₁ to h₄ | m | mostly in [0, 0.6] |
        | 4, 5 | voltages of the step before | V | [0.1, 10] |

    Action:
        | entry | meaning | unit | lowest | highest |
        |---|---|---|---|---|
        | 0, 1 | voltages v₁, v₂ of the pumps | V | 0.1 | 10 |

    Context:
        The setpoints of h₃ and h₄ that are to be reached.

    Reward:
        -(Σ ((h_j - setpoint) / 0.6)² + 0.1 Σ ((v_i - v_i before) / 9.9)²), levels after the step.

    Start:
        h = (0.141, 0.112, 0.072, 0.42), always.

    End:
        After `horizon` steps, which is 1000 seconds; never earlier.

    References:
        - K. H. Johansson, "The quadruple-tank process", IEEE Transactions on Control Systems
            Technology 8(3), 2000.
        - M. Bloor et al., "PC-Gym: benchmark environments for process control problems", Computers
            and Chemical Engineering 204, 109363, 2025.
    """

    setpoints: Levels = eqx.field(default=((0.5, 0.1), (0.2, 0.3)), static=True)
    disturbances: Levels = eqx.field(default=(), static=True)
    name = "four-tank"
    state_dim, action_dim = 6, 2
    action_low, action_high = (0.1, 0.1), (10.0, 10.0)
    state_names = (
        *(f"level of tank {i}" for i in range(1, 5)),
        *(f"voltage {i} before" for i in (1, 2)),
    )
    state_units = ("m", "m", "m", "m", "V", "V")
    action_names, action_units = ("voltage 1", "voltage 2"), ("V", "V")
    time_unit = "s"
    x_0: ClassVar[tuple[float, ...]] = (0.141, 0.112, 0.072, 0.42)
    duration: ClassVar[float] = 1000.0
    longest_part: ClassVar[float] = 1.0
    outputs: ClassVar[tuple[Output, ...]] = (
        Output("the level of tank 3", 0.6, 1.0, 0.001, 0.73),
        Output("the level of tank 4", 0.6, 1.0, 0.001, 0.37),
    )
    move_weight: ClassVar[float] = 0.1

    @override
    def dynamics(
        self,
        x: Float[Array, " plant"],
        u: Float[Array, " action"],
        d: Float[Array, " disturbance"],
    ) -> Float[Array, " plant"]:
        deep = x > _SHALLOW
        root = jnp.where(deep, jnp.sqrt(jnp.where(deep, x, 1)), x / _SHALLOW**0.5)
        f1, f2, f3, f4 = jnp.asarray(_OUTLETS, x.dtype) * (2 * 9.81) ** 0.5 * root
        one, two = 8.5e-4 * u[0], 9.5e-4 * u[1]
        return jnp.stack([f3 - f1 + 0.2 * one, f4 - f2 + 0.2 * two, 0.8 * two - f3, 0.8 * one - f4])

    @override
    def outputs_of(self, x: Float[Array, " plant"]) -> Float[Array, " output"]:
        return x[2:]
