"""A cooled tank in which a reaction gives off heat."""

import typing
from typing import ClassVar

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float
from typing_extensions import override

from beeline.envs.process._base import Levels, Output, TrackingTask


@typing.final
class StirredTank(TrackingTask):
    r"""Hold the concentration in a stirred tank at setpoints, by the temperature of its jacket.

    A reaction A → B of first order gives off heat, which makes it faster. With
    r = k₀ exp(-E/(RT)) c:

        dc/dt = (q/V) (c_f - c) - r,
        dT/dt = (q/V) (T_f - T) + (-ΔH) / (ρ C) r + UA / (ρ C V) (T_j - T),

    k₀ = 7.2e10 /min, E/R = 8750 K, q = 100 l/min, V = 100 l, ρ = 1000 g/l, C = 0.239 J/(g K),
    -ΔH = 5e4 J/mol, UA = 5e4 J/(min K). Steps of integration are of at most 0.02 min.

    Differs from the published package: the setpoint of the reward is the one that is seen, not the
    next one; the first move of every episode is free, where there it is charged against the last
    action of the episode before; and an episode has H steps, not H - 1.

    Attributes:
        horizon: H, the number of steps, at least 3; 60 are usual.
        setpoints: Concentrations to follow, in mol/l, each for an equal share of the episode.
        disturbances: Temperatures T_f of the feed, in K, and concentrations c_f in it, in mol/l.
        name: The task's name in the registry.
        state_dim: How many entries a state has.
        action_dim: How many entries an action has.

    State:
        | entry | meaning | unit | range |
        |---|---|---|---|
        | 0 | concentration c | mol/l | mostly in [0.7, 1] |
        | 1 | temperature T | K | mostly in [300, 350] |
        | 2 | jacket temperature of the step before | K | [295, 302] |

    Action:
        | entry | meaning | unit | lowest | highest |
        |---|---|---|---|---|
        | 0 | jacket temperature T_j | K | 295 | 302 |

    Context:
        The setpoint of c that is to be reached, T_f and c_f.

    Reward:
        -(1000 ((c - setpoint) / 0.3)² + 0.1 ((T_j - T_j before) / 7)²), c after the step.

    Start:
        c = 0.8, T = 330, always.

    End:
        After `horizon` steps, which is 26 minutes; never earlier.

    References:
        M. Bloor et al., "PC-Gym: benchmark environments for process control problems", Computers
        and Chemical Engineering 204, 109363, 2025.
    """

    setpoints: Levels = eqx.field(default=((0.85, 0.9, 0.87),), static=True)
    disturbances: Levels = eqx.field(default=((350.0,), (1.0,)), static=True)
    name = "stirred-tank"
    state_dim, action_dim = 3, 1
    action_low, action_high = (295.0,), (302.0,)
    state_names = ("concentration", "temperature", "jacket temperature before")
    state_units = ("mol/l", "K", "K")
    action_names, action_units = ("jacket temperature",), ("K",)
    time_unit = "min"
    x_0: ClassVar[tuple[float, ...]] = (0.8, 330.0)
    duration: ClassVar[float] = 26.0
    longest_part: ClassVar[float] = 0.02
    outputs: ClassVar[tuple[Output, ...]] = (Output("concentration", 0.3, 1e3, 0.835, 0.926),)
    move_weight: ClassVar[float] = 0.1

    @override
    def dynamics(
        self,
        x: Float[Array, " plant"],
        u: Float[Array, " action"],
        d: Float[Array, " disturbance"],
    ) -> Float[Array, " plant"]:
        c, temperature = x
        feed, concentration = d
        rate = 7.2e10 * jnp.exp(-8750 / temperature) * c
        heat = 5e4 / (1000 * 0.239) * rate + 5e4 / (1000 * 0.239 * 100) * (u[0] - temperature)
        return jnp.stack([concentration - c - rate, feed - temperature + heat])

    @override
    def outputs_of(self, x: Float[Array, " plant"]) -> Float[Array, " output"]:
        return x[:1]
