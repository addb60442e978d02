"""Two pendulums on one another: smooth, and chaotic."""

import functools
import math
import typing
from types import ModuleType
from typing import Any

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int, PRNGKeyArray
from scipy.integrate import solve_ivp
from typing_extensions import override

from beeline.envs._base import Environment
from beeline.envs._checks import check_action, check_horizon, check_state, check_step_index

GRAVITY = 9.8
"""In m/s²."""
_DT = 0.05
_SUBSTEPS = 4
"""Dopri8 steps a time step: the greatest error of one time step is then below 1e-8."""


@typing.final
class DoublePendulum(Environment):
    r"""Choose the angle to drop a double pendulum from, so that it swings to a given state.

    Two unit masses on massless rods of unit length, without friction. With δ = θ₂ - θ₁ and
    D = 2 - cos²δ,

        θ̈₁ = (ω₁² sin δ cos δ + g sin θ₂ cos δ + ω₂² sin δ - 2 g sin θ₁) / D,
        θ̈₂ = (-ω₂² sin δ cos δ + 2 g sin θ₁ cos δ - 2 ω₁² sin δ - 2 g sin θ₂) / D.

    Step 0 places the pendulums at rest, the inner one at the angle that the action says and the
    outer one at `outer_angle`; every step after it lets them swing for dt and ignores its action.
    Two nearby angles end far apart: the derivative of the last state with respect to the first
    action grows exponentially with the horizon, on average over actions.

    A step is four steps of an eighth-order Runge-Kutta method (Dormand and Prince's, in Diffrax)
    of equal length. Over 6,000 states from random starts its greatest error against a
    tolerance of 1e-13 was 6e-9, and the median below 1e-12; the total energy of a swing of 100
    steps drifts by less than 1e-7 J in double precision, where starts differ by up to 39 J. Both
    forward and reverse differentiation see exactly what is computed.

    Angles are not wrapped, neither in the state nor in the reward: the return is then a smooth
    function of the first action, and a full turn is a difference. The goal is integrated to a
    tolerance of 1e-12 and is reached, to rounding times the growth above, by `goal_action`.

    Differences from the code published with the paper, where the paper's text decides:

    - That code takes the action times 180 as *radians*, which makes the dynamics repeat 57 times
      over the range of actions. Here, as in the paper's Appendix E, an action of -0.4 is an angle
      of -0.4 · 180°, and states are in radians.
    - That code scales the second entry of its goal action once for the goal and twice for the
      episode, so that the goal could not be reached. Here both start from `outer_angle`. The
      paper names one number for the goal, -0.4, and no second one, so it is taken for both
      pendulums: the goal is reached from a straight arm at -72°. Let go at 0° instead, the outer
      pendulum makes a swing that is hardly chaotic: the derivative's mean norm at H = 100 is then
      some 20 times smaller.
    - That code starts an episode in the goal state, which step 0 discards. Here the start is the
      same for every horizon: both at rest, the inner pendulum straight down.
    - Neither the step index nor anything that never changes is an entry of the state.

    Attributes:
        horizon: H, the number of steps, at least 2.
        goal_action: The first action that leads to the goal, in [-1, 1].
        outer_angle: Where the outer pendulum is let go, in degrees from straight down.
        name: The task's name in the registry.
        state_dim: How many entries a state has.
        action_dim: How many entries an action has.
        dt: The length of one step, in seconds.

    State:
        | entry | meaning | unit | range |
        |---|---|---|---|
        | 0 | inner angle θ₁ from straight down | rad | unbounded |
        | 1 | its rate ω₁ | rad/s | about ±11 |
        | 2 | outer angle θ₂ from straight down | rad | unbounded |
        | 3 | its rate ω₂ | rad/s | about ±15 |

    Action:
        | entry | meaning | unit | action -1 | action +1 |
        |---|---|---|---|---|
        | 0 | inner angle at the start, at step 0 only | rad | -π | π |

    Reward:
        At t = H - 1, minus the mean over the four entries of (state - goal)², of the state before
        that step, which has swung for H - 2 steps; 0 before.

    Start:
        θ₁ = 0, ω₁ = 0, θ₂ = `outer_angle`, ω₂ = 0, always.

    End:
        After `horizon` steps; never earlier.

    References:
        Paper, section 5.1, Figure 4 and Appendix E.
    """

    horizon: int = eqx.field(converter=check_horizon, static=True)
    goal_action: float = eqx.field(default=-0.4, converter=float, static=True)
    outer_angle: float = eqx.field(default=-72.0, converter=float, static=True)
    name = "double-pendulum"
    state_dim = 4
    action_dim = 1
    dt = _DT
    deterministic = True

    def __check_init__(self) -> None:
        """Refuse a scene that makes no sense.

        Raises:
            ValueError: If the goal action is outside [-1, 1] or the outer angle not finite.
        """
        if not -1 <= self.goal_action <= 1:
            raise ValueError(f"goal_action must lie in [-1, 1], got {self.goal_action}")
        if not math.isfinite(self.outer_angle):
            raise ValueError(f"outer_angle must be finite, in degrees, got {self.outer_angle}")

    @property
    def goal(self) -> tuple[float, ...]:
        """The state at step index H - 1 that `goal_action` leads to.

        Returns:
            Its four entries.
        """
        start = (math.pi * self.goal_action, 0.0, math.radians(self.outer_angle), 0.0)
        return _goal(start, (self.horizon - 2) * _DT)

    @override
    def initial_state(self, *, key: PRNGKeyArray | None = None) -> Float[Array, "state"]:
        del key
        return jnp.asarray([0.0, 0.0, math.radians(self.outer_angle), 0.0], dtype=float)

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
        check_state(state, self.state_dim)
        check_action(action, self.action_dim)
        check_step_index(t)
        rest = jnp.zeros((), state.dtype)
        inner = math.pi * action[0].astype(state.dtype)
        outer = jnp.asarray(math.radians(self.outer_angle), state.dtype)
        placed = jnp.stack([inner, rest, outer, rest])
        return jnp.where(jnp.asarray(t) == 0, placed, _swing(state))

    @override
    def reward(
        self,
        state: Float[Array, "state"],
        action: Float[Array, "action"],
        t: Int[ArrayLike, ""],
    ) -> Float[Array, ""]:
        check_state(state, self.state_dim)
        check_action(action, self.action_dim)
        check_step_index(t)
        distance = jnp.mean((state - jnp.asarray(self.goal, state.dtype)) ** 2)
        return jnp.where(jnp.asarray(t) == self.horizon - 1, -distance, jnp.zeros_like(distance))


@jax.jit
def _swing(state: Float[Array, "state"]) -> Float[Array, "state"]:
    end, length = (jnp.asarray(x, state.dtype) for x in (_DT, _DT / _SUBSTEPS))
    states = diffrax.diffeqsolve(
        diffrax.ODETerm(_vector_field),
        diffrax.Dopri8(),
        jnp.zeros_like(end),
        end,
        length,
        state,
        adjoint=diffrax.DirectAdjoint(),
        max_steps=_SUBSTEPS,
        throw=False,
    ).ys
    return typing.cast(Array, states)[-1]


@functools.cache
def _goal(start: tuple[float, ...], duration: float) -> tuple[float, ...]:
    # With SciPy, which needs no compiling, to well below the error of the steps.
    swing = solve_ivp(
        lambda t, y: _vector_field(t, y, None, np),
        (0.0, duration),
        np.array(start),
        method="DOP853",
        rtol=1e-12,
        atol=1e-12,
    )
    return tuple(float(entry) for entry in swing.y[:, -1])


def _vector_field(t: Any, y: Any, args: None, lib: ModuleType = jnp) -> Any:
    del t, args
    inner, inner_rate, outer, outer_rate = y
    sine, cosine = lib.sin(outer - inner), lib.cos(outer - inner)
    pull, outer_pull = GRAVITY * lib.sin(inner), GRAVITY * lib.sin(outer)
    swirl, outer_swirl = inner_rate**2 * sine, outer_rate**2 * sine
    inertia = 2 - cosine**2
    inner_acceleration = (swirl * cosine + outer_pull * cosine + outer_swirl - 2 * pull) / inertia
    outer_acceleration = (
        2 * pull * cosine - outer_swirl * cosine - 2 * swirl - 2 * outer_pull
    ) / inertia
    return lib.stack([inner_rate, inner_acceleration, outer_rate, outer_acceleration])
