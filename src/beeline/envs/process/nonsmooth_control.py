"""A damped oscillator whose best input switches between its bounds."""

import typing
from typing import ClassVar

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float
from typing_extensions import override

from beeline.envs.process._base import Levels, Output, TrackingTask


@typing.final
class NonsmoothControl(TrackingTask):
    r"""Bring a damped oscillator to setpoints, by an input that is often best at its bounds.

    The oscillator is linear,

        dx₁/dt = x₂,    dx₂/dt = -2 x₁ - 3 x₂ + u,

    and moves of the input cost nothing, so that the best input switches. Steps of integration are
    of at most 0.02.

    Differs from the published package: the setpoint of the reward is the one that is seen.

    Attributes:
        horizon: H, the number of steps, at least 2; 60 are usual.
        setpoints: Places x₁ to follow, each for an equal share of the episode.
        disturbances: None.
        name: The task's name in the registry.
        state_dim: How many entries a state has.
        action_dim: How many entries an action has.

    State:
        | entry | meaning | unit | range |
        |---|---|---|---|
        | 0 | place x₁ | 1 | [-1, 1] |
        | 1 | speed x₂ | 1 | [-1, 1] |

    Action:
        | entry | meaning | unit | action -1 | action +1 |
        |---|---|---|---|---|
        | 0 | input u | 1 | -1 | 1 |

    Context:
        The setpoint of x₁ that is to be reached.

    Reward:
        -(x₁ - setpoint)², x₁ after the step.

    Start:
        x = (0.8, 0), always.

    End:
        After `horizon` steps, which is 5 units of time; never earlier.

    References:
        M. Bloor et al., "PC-Gym: benchmark environments for process control problems", Computers
        and Chemical Engineering 204, 109363, 2025.
    """

    setpoints: Levels = eqx.field(default=((0.0,),), static=True)
    disturbances: Levels = eqx.field(default=(), static=True)
    name = "nonsmooth-control"
    state_dim, action_dim = 2, 1
    action_low, action_high = (-1.0,), (1.0,)
    state_names, state_units = ("place", "speed"), ("1", "1")
    action_names, action_units = ("input",), ("1",)
    time_unit = "1"
    x_0: ClassVar[tuple[float, ...]] = (0.8, 0.0)
    duration: ClassVar[float] = 5.0
    longest_part: ClassVar[float] = 0.02
    outputs: ClassVar[tuple[Output, ...]] = (Output("the place", 1.0, 1.0, -0.5, 0.5),)
    move_weight: ClassVar[float] = 0.0

    @override
    def dynamics(
        self,
        x: Float[Array, " plant"],
        u: Float[Array, " action"],
        d: Float[Array, " disturbance"],
    ) -> Float[Array, " plant"]:
        return jnp.stack([x[1], -2 * x[0] - 3 * x[1] + u[0]])

    @override
    def outputs_of(self, x: Float[Array, " plant"]) -> Float[Array, " output"]:
        return x[:1]
