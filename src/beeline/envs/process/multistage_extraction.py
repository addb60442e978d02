"""Five stages in which a gas takes a solute out of a liquid."""

import typing
from typing import ClassVar

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float
from typing_extensions import override

from beeline.envs.process._base import Levels, Output, TrackingTask


@typing.final
class MultistageExtraction(TrackingTask):
    r"""Hold what is left of a solute after five stages of extraction at setpoints.

    Liquid flows from stage 1 to 5 with concentrations X_i, gas from 5 to 1 with Y_i:

        dX_i/dt = (L / 5) (X_{i-1} - X_i) - q_i,     q_i = 5 (X_i - Y_i²),
        dY_i/dt = (G / 5) (Y_{i+1} - Y_i) + q_i,

    with X₀ and Y₆ those of the feeds. Steps of integration are of at most 1/200 h: the fastest
    stages settle at 405 per hour, and steps of more than 1/145 h would not be stable.

    Differs from the published package: the setpoint of the reward is the one that is seen, not the
    next one; the first move of every episode is free, where there it is charged against the last
    action of the episode before; and an episode has H steps, not H - 1. Equilibrium is Y², as its
    program has it and not its manual.

    Attributes:
        horizon: H, the number of steps, at least 4; 60 are usual.
        setpoints: Concentrations X₅ to follow, in kg/m³, each for an equal share of the episode.
        disturbances: The feeds X₀ and Y₆, in kg/m³.
        name: The task's name in the registry.
        state_dim: How many entries a state has.
        action_dim: How many entries an action has.

    State:
        | entry | meaning | unit | range |
        |---|---|---|---|
        | 0, 2, 4, 6, 8 | concentrations X₁ to X₅ in the liquid | kg/m³ | [0, 1] |
        | 1, 3, 5, 7, 9 | concentrations Y₁ to Y₅ in the gas | kg/m³ | [0, 1] |
        | 10, 11 | flows of the step before | m³/h | [5, 500] and [10, 1000] |

    Action:
        | entry | meaning | unit | lowest | highest |
        |---|---|---|---|---|
        | 0 | flow L of the liquid | m³/h | 5 | 500 |
        | 1 | flow G of the gas | m³/h | 10 | 1000 |

    Context:
        The setpoint of X₅ that is to be reached, X₀ and Y₆.

    Reward:
        -((X₅ - setpoint)² + 0.1 Σ (change of a flow / its range)²), X₅ after the step.

    Start:
        X = (0.55, 0.45, 0.4, 0.35, 0.25), Y = (0.3, 0.25, 0.2, 0.15, 0.1), always.

    End:
        After `horizon` steps, which is 60 hours; never earlier.

    References:
        - J. Ingham et al., *Chemical Engineering Dynamics*, Wiley, 2007.
        - M. Bloor et al., "PC-Gym: benchmark environments for process control problems", Computers
            and Chemical Engineering 204, 109363, 2025.
    """

    setpoints: Levels = eqx.field(default=((0.3, 0.4, 0.4, 0.3),), static=True)
    disturbances: Levels = eqx.field(default=((0.6,), (0.05,)), static=True)
    name = "multistage-extraction"
    state_dim, action_dim = 12, 2
    action_low, action_high = (5.0, 10.0), (500.0, 1000.0)
    state_names = (
        *(f"{phase} {i}" for i in range(1, 6) for phase in ("liquid", "gas")),
        "liquid flow before",
        "gas flow before",
    )
    state_units = (*("kg/m³" for _ in range(10)), "m³/h", "m³/h")
    action_names, action_units = ("liquid flow", "gas flow"), ("m³/h", "m³/h")
    time_unit = "h"
    x_0: ClassVar[tuple[float, ...]] = (0.55, 0.3, 0.45, 0.25, 0.4, 0.2, 0.35, 0.15, 0.25, 0.1)
    duration: ClassVar[float] = 60.0
    longest_part: ClassVar[float] = 1 / 200
    outputs: ClassVar[tuple[Output, ...]] = (Output("what is left", 1.0, 1.0, 0.01, 0.58),)
    move_weight: ClassVar[float] = 0.1

    @override
    def dynamics(
        self,
        x: Float[Array, " plant"],
        u: Float[Array, " action"],
        d: Float[Array, " disturbance"],
    ) -> Float[Array, " plant"]:
        liquid, gas = x[0::2], x[1::2]
        moved = 5 * (liquid - gas**2)
        above = jnp.concatenate([d[:1], liquid[:-1]])
        below = jnp.concatenate([gas[1:], d[1:]])
        change = u[0] / 5 * (above - liquid) - moved, u[1] / 5 * (below - gas) + moved
        return jnp.stack(change, axis=-1).ravel()

    @override
    def outputs_of(self, x: Float[Array, " plant"]) -> Float[Array, " output"]:
        return x[8:9]
