"""Algae that make a dye in the light."""

import typing
from typing import ClassVar

import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int, PRNGKeyArray
from typing_extensions import override

from beeline.envs.process._base import ProcessTask


@typing.final
class Photobioreactor(ProcessTask):
    r"""Have as much phycocyanin as can be at the end, by light on algae and nitrate fed to them.

    With biomass c_x, nitrate c_N, the dye c_q, light I and feed F_N:

        g = 0.0572 I / (I + 178.9 + I² / 447.1) c_x c_N / (c_N + 393.1),
        dc_x/dt = g,    dc_N/dt = -504.5 g + F_N,
        dc_q/dt = 1.6e-4 I / (I + 23.51 + I² / 800) c_x - 0.281 c_q / (c_N + 16.89).

    What counts is c_q at the end. It is paid as it grows, so that the return is just that. Steps of
    integration are of at most 0.5 h.

    Differs from the published package, which asks for c_q to follow a setpoint of 120, where no
    more than 0.057 can be made in 200 hours.

    Attributes:
        horizon: H, the number of steps, at least 2; 60 are usual.
        name: The task's name in the registry.
        state_dim: How many entries a state has.
        action_dim: How many entries an action has.

    State:
        | entry | meaning | unit | range |
        |---|---|---|---|
        | 0 | biomass c_x | g/l | from 1 |
        | 1 | nitrate c_N | mg/l | from 0 |
        | 2 | phycocyanin c_q | g/l | [0, 0.06] |

    Action:
        | entry | meaning | unit | lowest | highest |
        |---|---|---|---|---|
        | 0 | light I | μmol/(m² s) | 100 | 400 |
        | 1 | nitrate feed F_N | mg/(l h) | 0 | 10 |

    Reward:
        1000 times the change of c_q in the step: milligrams per litre.

    Start:
        c_x = 1, c_N = 150, c_q = 0, always.

    End:
        After `horizon` steps, which is 200 hours; never earlier.

    References:
        - E. Bradford et al., "Dynamic modeling and optimization of sustainable algal production
            with uncertainty using multivariate Gaussian processes", Computers and Chemical
            Engineering 118, 2018.
        - M. Bloor et al., "PC-Gym: benchmark environments for process control problems", Computers
            and Chemical Engineering 204, 109363, 2025.
    """

    name = "photobioreactor"
    state_dim, action_dim = 3, 2
    action_low, action_high = (100.0, 0.0), (400.0, 10.0)
    state_names, state_units = ("biomass", "nitrate", "phycocyanin"), ("g/l", "mg/l", "g/l")
    action_names, action_units = ("light", "nitrate feed"), ("μmol/(m² s)", "mg/(l h)")
    time_unit = "h"
    x_0: ClassVar[tuple[float, ...]] = (1.0, 150.0, 0.0)
    duration: ClassVar[float] = 200.0
    longest_part: ClassVar[float] = 0.5

    @override
    def dynamics(
        self,
        x: Float[Array, " plant"],
        u: Float[Array, " action"],
        d: Float[Array, " disturbance"],
    ) -> Float[Array, " plant"]:
        biomass, nitrate, dye = x
        light, feed = u
        grown = 0.0572 * light / (light + 178.9 + light**2 / 447.1)
        grown = grown * biomass * nitrate / (nitrate + 393.1)
        made = 1.6e-4 * light / (light + 23.51 + light**2 / 800) * biomass
        return jnp.stack([grown, feed - 504.5 * grown, made - 0.281 * dye / (nitrate + 16.89)])

    @override
    def initial_state(self, *, key: PRNGKeyArray | None = None) -> Float[Array, "state"]:
        del key
        return jnp.asarray(self.x_0, dtype=float)

    @override
    def step(
        self,
        state: Float[Array, "state"],
        action: Float[Array, "action"],
        t: Int[ArrayLike, ""],
        *,
        key: PRNGKeyArray | None = None,
    ) -> Float[Array, "state"]:
        del key
        self._check(state, action, t)
        return self.advance(state, action, state[:0])

    @override
    def reward(
        self,
        state: Float[Array, "state"],
        action: Float[Array, "action"],
        t: Int[ArrayLike, ""],
        next_state: Float[Array, "state"],
    ) -> Float[Array, ""]:
        self._check(state, action, t)
        return 1000 * (next_state[2] - state[2])
