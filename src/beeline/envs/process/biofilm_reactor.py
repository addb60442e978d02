"""Bacteria on beds that turn ammonia into nitrate."""

import typing
from typing import ClassVar

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float
from typing_extensions import override

from beeline.envs.process._base import Levels, Output, TrackingTask


@typing.final
class BiofilmReactor(TrackingTask):
    r"""Hold the nitrite that leaves a nitrifying reactor at setpoints.

    Water circulates at a rate F_r through three stages of biofilm and an absorber, where air and
    the feed F come in. In each are ammonia S₁, nitrite S₂, nitrate S₃ and oxygen O. In the stages,

        r₁ = 0.8 S₁ / (0.5 + S₁) O / (1.5 + O),    r₂ = S₂ / (0.1 + S₂) O / (0.5 + O),
        dz_n/dt = F_r / 10 (z_{n-1} - z_n) + (-r₁, r₁ - r₂, r₂, -3.5 r₁ - 1.1 r₂),

    with z₀ that of the absorber, in which

        dS_i/dt = F_r / 15 (S_{i,3} - S_i) + F / 15 (S_{i,F} - S_i),
        dO/dt = F_r / 15 (O₃ - O) + 1.5 (O* - O).

    Steps of integration are of at most 0.02 h.

    Differs from the published package: there the signs of what reacts are the wrong way round, so
    that ammonia and oxygen arise and nitrate falls below 0. The oxygen of saturation O* is 150, as
    its manual has it, where its program has 600. Its setpoint of nitrite, 2, cannot be reached, as
    the feed brings no more than 2 of ammonia and nitrite together. The setpoint of the reward is
    the one that is seen.

    Attributes:
        horizon: H, the number of steps, at least 2; 60 are usual.
        setpoints: Nitrite S₂ in the absorber to follow, each for an equal share of the episode.
        disturbances: None.
        name: The task's name in the registry.
        state_dim: How many entries a state has.
        action_dim: How many entries an action has.

    State:
        | entry | meaning | unit | range |
        |---|---|---|---|
        | 4n to 4n + 3 | S₁, S₂, S₃, O of stage n + 1, then of the absorber | mg/l | from 0 |

    Action:
        | entry | meaning | unit | lowest | highest |
        |---|---|---|---|---|
        | 0 | feed F | m³/h | 0 | 10 |
        | 1 | circulation F_r | m³/h | 1 | 30 |
        | 2, 3, 4 | S₁, S₂, S₃ of the feed | mg/l | 0.05 | 1 |

    Context:
        The setpoint of S₂ that is to be reached.

    Reward:
        -(S₂ - setpoint)², of the absorber after the step.

    Start:
        S = (2, 0.1, 10), O = 0.1 everywhere, always.

    End:
        After `horizon` steps, which is 100 hours; never earlier.

    References:
        - J. Ingham et al., *Chemical Engineering Dynamics*, Wiley, 2007.
        - M. Bloor et al., "PC-Gym: benchmark environments for process control problems", Computers
            and Chemical Engineering 204, 109363, 2025.
    """

    setpoints: Levels = eqx.field(default=((0.5, 0.8),), static=True)
    disturbances: Levels = eqx.field(default=(), static=True)
    name = "biofilm-reactor"
    state_dim, action_dim = 16, 5
    action_low, action_high = (0.0, 1.0, 0.05, 0.05, 0.05), (10.0, 30.0, 1.0, 1.0, 1.0)
    state_names = tuple(
        f"{what} {where}"
        for where in ("1", "2", "3", "absorber")
        for what in ("ammonia", "nitrite", "nitrate", "oxygen")
    )
    state_units = tuple("mg/l" for _ in range(16))
    action_names = ("feed", "circulation", "ammonia fed", "nitrite fed", "nitrate fed")
    action_units = ("m³/h", "m³/h", "mg/l", "mg/l", "mg/l")
    time_unit = "h"
    x_0: ClassVar[tuple[float, ...]] = (2.0, 0.1, 10.0, 0.1) * 4
    duration: ClassVar[float] = 100.0
    longest_part: ClassVar[float] = 0.02
    outputs: ClassVar[tuple[Output, ...]] = (Output("nitrite", 1.0, 1.0, 0.01, 0.9),)
    move_weight: ClassVar[float] = 0.0

    @override
    def dynamics(
        self,
        x: Float[Array, " plant"],
        u: Float[Array, " action"],
        d: Float[Array, " disturbance"],
    ) -> Float[Array, " plant"]:
        cells = x.reshape(4, 4)
        stages, absorber = cells[:3], cells[3]
        feed, circulation = u[0], u[1]
        ammonia, nitrite, _, oxygen = stages.T
        one = 0.8 * ammonia / (0.5 + ammonia) * oxygen / (1.5 + oxygen)
        two = nitrite / (0.1 + nitrite) * oxygen / (0.5 + oxygen)
        arises = jnp.stack([-one, one - two, two, -3.5 * one - 1.1 * two], axis=-1)
        before = jnp.concatenate([absorber[None], stages[:2]])
        flows = circulation / 10 * (before - stages) + arises
        mixed = circulation / 15 * (stages[2] - absorber)
        fed = feed / 15 * (u[2:5] - absorber[:3])
        aired = 1.5 * (150 - absorber[3:])
        return jnp.concatenate([flows.ravel(), mixed + jnp.concatenate([fed, aired])])

    @override
    def outputs_of(self, x: Float[Array, " plant"]) -> Float[Array, " output"]:
        return x[13:14]
