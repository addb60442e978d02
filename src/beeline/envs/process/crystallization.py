"""Crystals that grow from a solution as it cools."""

import typing
from typing import ClassVar

import equinox as eqx
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int
from typing_extensions import override

from beeline.envs.process._base import Levels, Output, TrackingTask

_COLDEST, _WARMEST = 10.0, 40.0
_A, _B = 0.50523693, 7.271241375


@typing.final
class Crystallization(TrackingTask):
    r"""Grow crystals of potassium sulphate of a given size and spread of sizes, by cooling.

    The moments μ₀ to μ₃ of the crystals' sizes and the concentration c of the solution follow the
    rates of birth B and growth G, with K the temperature in kelvin and S how much more is dissolved
    than would be in equilibrium:

        S = 1000 c + 686.2686 - 3.579165 K + 0.00292874 K²,
        B = 0.923714966 exp(-6754.878558 / K) S^0.92229965554 μ₃^1.341205945,
        G = 48.07514464 exp(-4921.261419 / K) S^1.871281405,
        dμ₀/dt = B,  dμ_n/dt = n G (1e4 a μ_{n-1} + b μ_n) for n = 1, 2, 3 with growth a + b size,
        dc/dt = -0.5 · 2.658 · 7.510905767 G (1e-8 a μ₂ + 1e-12 b μ₃),

    a = 0.50523693, b = 7.271241375. The coefficient of variation is CV = √(μ₂ μ₀ / μ₁² - 1) and the
    mean size Ln = μ₁ / μ₀. The temperature changes at the beginning of a step, by the rate times
    dt, within 10 and 40 °C. Steps of integration are of at most 0.1 min.

    Differs from the published package: below saturation nothing is born and nothing grows, where
    there crystals grow as fast as above; `growth_below_saturation` has it as published. CV and Ln
    are computed from the moments, where there they are integrated beside them. Time is in minutes,
    as the constants have it. Every change of temperature is charged, also the first; an episode has
    H steps, not H - 1.

    Attributes:
        horizon: H, the number of steps, at least 2; 30 are usual.
        setpoints: CV and Ln to follow, each for an equal share of the episode.
        disturbances: None.
        growth_below_saturation: Whether S is taken without its sign.
        name: The task's name in the registry.
        state_dim: How many entries a state has.
        action_dim: How many entries an action has.

    State:
        | entry | meaning | unit | range |
        |---|---|---|---|
        | 0 to 3 | moments μ₀ to μ₃ | μmⁿ | from 0 |
        | 4 | concentration c | g/cm³ | [0, 0.5] |
        | 5 | temperature | °C | [10, 40] |

    Action:
        | entry | meaning | unit | action -1 | action +1 |
        |---|---|---|---|---|
        | 0 | change of temperature | K/min | -1 | 1 |

    Context:
        The setpoints of CV and Ln that are to be reached.

    Reward:
        -(((CV - setpoint) / 2)² + ((Ln - setpoint) / 20)² + 0.01 (change / 2)²), after the step.

    Start:
        A suspension at 39 °C with CV = 2.02 and Ln = 15.6 μm, always.

    End:
        After `horizon` steps, which is 30 minutes; never earlier.

    References:
        M. Bloor et al., "PC-Gym: benchmark environments for process control problems", Computers
        and Chemical Engineering 204, 109363, 2025.
    """

    setpoints: Levels = eqx.field(default=((1.0,), (15.0,)), static=True)
    disturbances: Levels = eqx.field(default=(), static=True)
    growth_below_saturation: bool = eqx.field(default=False, static=True)
    name = "crystallization"
    state_dim, action_dim = 6, 1
    action_low, action_high = (-1.0,), (1.0,)
    state_names = (*(f"moment {i}" for i in range(4)), "concentration", "temperature")
    state_units = ("1", "μm", "μm²", "μm³", "g/cm³", "°C")
    action_names, action_units = ("change of temperature",), ("K/min",)
    time_unit = "min"
    x_0: ClassVar[tuple[float, ...]] = (
        *(1478.00986666666, 22995.8230590611, 1800863.24079725, 248516167.940593),
        *(0.15861523304, 39.0),
    )
    duration: ClassVar[float] = 30.0
    longest_part: ClassVar[float] = 0.1
    outputs: ClassVar[tuple[Output, ...]] = (
        Output("CV", 2.0, 1.0, 0.9, 2.0),
        Output("Ln", 20.0, 1.0, 12.0, 22.0),
    )
    move_weight: ClassVar[float] = 0.0

    @override
    def dynamics(
        self,
        x: Float[Array, " plant"],
        u: Float[Array, " action"],
        d: Float[Array, " disturbance"],
    ) -> Float[Array, " plant"]:
        m0, m1, m2, m3, c, temperature = x
        kelvin = temperature + 273.15
        above = 1000 * c + 686.2686 - 3.579165 * kelvin + 0.00292874 * kelvin**2
        above = jnp.abs(above) if self.growth_below_saturation else above
        grows = above > 0
        # A power below 1 has no slope at 0.
        above = jnp.where(grows, above, 1)
        birth = 0.923714966 * jnp.exp(-6754.878558 / kelvin) * above**0.92229965554
        birth = jnp.where(grows, birth * m3**1.341205945, 0)
        growth = 48.07514464 * jnp.exp(-4921.261419 / kelvin) * above**1.871281405
        growth = jnp.where(grows, growth, 0)
        a, b = 1e4 * _A, _B
        taken = 0.5 * 2.658 * 7.510905767 * (1e-8 * _A * m2 + 1e-12 * _B * m3)
        return jnp.stack(
            [
                birth,
                growth * (a * m0 + b * m1),
                2 * growth * (a * m1 + b * m2),
                3 * growth * (a * m2 + b * m3),
                -growth * taken,
                jnp.zeros_like(c),
            ]
        )

    @override
    def advance(
        self,
        x: Float[Array, " plant"],
        u: Float[Array, " action"],
        d: Float[Array, " disturbance"],
    ) -> Float[Array, " plant"]:
        temperature = jnp.clip(x[5] + self.dt * u[0], _COLDEST, _WARMEST)
        return super().advance(x.at[5].set(temperature), u, d)

    @override
    def outputs_of(self, x: Float[Array, " plant"]) -> Float[Array, " output"]:
        m0, m1, m2 = x[:3]
        # A model may predict moments that no sizes have.
        some = m1**2 > 0
        ratio = jnp.where(some, m2 * m0 / jnp.where(some, m1**2, 1), 1) - 1
        wide = ratio > 1e-6
        spread = jnp.where(wide, jnp.sqrt(jnp.where(wide, ratio, 1)), 1e-3)
        size = m1 / jnp.where(jnp.abs(m0) > 1, m0, 1)
        return jnp.stack([spread, size])

    @override
    def reward(
        self,
        state: Float[Array, "state"],
        action: Float[Array, "action"],
        t: Int[ArrayLike, ""],
        next_state: Float[Array, "state"],
    ) -> Float[Array, ""]:
        return super().reward(state, action, t, next_state) - 0.01 * (action[0] / 2) ** 2
