"""A tube in a shell, in eight cells."""

import math
import typing
from typing import ClassVar

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float
from typing_extensions import override

from beeline.envs.process._base import Levels, Output, TrackingTask


@typing.final
class HeatExchanger(TrackingTask):
    r"""Cool what flows through a tube to setpoints, by what flows around it the other way.

    Eight cells in a row, each with the temperatures of tube t, wall m and shell s:

        dt_i/dt = F_t (t_{i-1} - t_i) / V - (t_i - m_i),
        3 dm_i/dt = (t_i - m_i) - 2 (m_i - s_i),
        5 ds_i/dt = F_s (s_{i+1} - s_i) / V + 2 (m_i - s_i),

    with t₀ and s₉ those of the inlets. Steps of integration are of at most 0.02 min.

    Differs from the published package: a cell has the volume V = π/4 of a cylinder of diameter 1
    and length 1, not π, so that fluids pass four times as fast; `volume` says otherwise. Other
    properties of the fluids are 1, as there. The setpoint of the reward is the one that is seen.

    Attributes:
        horizon: H, the number of steps, at least 2; 60 are usual.
        setpoints: Outlet temperatures t₈ to follow, in K, each for an equal share of the episode.
        disturbances: None.
        volume: V, of a cell.
        name: The task's name in the registry.
        state_dim: How many entries a state has.
        action_dim: How many entries an action has.

    State:
        | entry | meaning | unit | range |
        |---|---|---|---|
        | 3i, 3i + 1, 3i + 2 | tube, wall and shell of cell i + 1 | K | [300, 360] |

    Action:
        | entry | meaning | unit | lowest | highest |
        |---|---|---|---|---|
        | 0, 1 | flows F_t, F_s of tube and shell | 1/min | 0.5 | 5 |
        | 2 | inlet temperature t₀ of the tube | K | 340 | 360 |
        | 3 | inlet temperature s₉ of the shell | K | 300 | 320 |

    Context:
        The setpoint of t₈ that is to be reached.

    Reward:
        -((t₈ - setpoint) / 120)², t₈ after the step.

    Start:
        t = 350, m = 340, s = 310 in all cells, always.

    End:
        After `horizon` steps, which is 10 minutes; never earlier.

    References:
        - J. Ingham et al., *Chemical Engineering Dynamics*, Wiley, 2007.
        - M. Bloor et al., "PC-Gym: benchmark environments for process control problems", Computers
            and Chemical Engineering 204, 109363, 2025.
    """

    setpoints: Levels = eqx.field(default=((330.0, 320.0),), static=True)
    disturbances: Levels = eqx.field(default=(), static=True)
    volume: float = eqx.field(default=math.pi / 4, converter=float, static=True)
    name = "heat-exchanger"
    state_dim, action_dim = 24, 4
    action_low, action_high = (0.5, 0.5, 340.0, 300.0), (5.0, 5.0, 360.0, 320.0)
    state_names = tuple(f"{part} {i}" for i in range(1, 9) for part in ("tube", "wall", "shell"))
    state_units = tuple("K" for _ in range(24))
    action_names = ("tube flow", "shell flow", "tube inlet", "shell inlet")
    action_units = ("1/min", "1/min", "K", "K")
    time_unit = "min"
    x_0: ClassVar[tuple[float, ...]] = (350.0, 340.0, 310.0) * 8
    duration: ClassVar[float] = 10.0
    longest_part: ClassVar[float] = 0.02
    outputs: ClassVar[tuple[Output, ...]] = (Output("the tube's outlet", 120.0, 1.0, 301.0, 353.0),)
    move_weight: ClassVar[float] = 0.0

    @override
    def dynamics(
        self,
        x: Float[Array, " plant"],
        u: Float[Array, " action"],
        d: Float[Array, " disturbance"],
    ) -> Float[Array, " plant"]:
        tube, wall, shell = x[0::3], x[1::3], x[2::3]
        before = jnp.concatenate([u[2:3], tube[:-1]])
        after = jnp.concatenate([shell[1:], u[3:4]])
        into, out = tube - wall, 2 * (wall - shell)
        change = (
            u[0] / self.volume * (before - tube) - into,
            (into - out) / 3,
            (u[1] / self.volume * (after - shell) + out) / 5,
        )
        return jnp.stack(change, axis=-1).ravel()

    @override
    def outputs_of(self, x: Float[Array, " plant"]) -> Float[Array, " output"]:
        return x[21:22]
