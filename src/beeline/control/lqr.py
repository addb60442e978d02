"""The best feedback for linear dynamics and quadratic rewards."""

from typing import NamedTuple, final

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int

from beeline._module import Module
from beeline.control.chance import moves_alike
from beeline.envs import Environment, reward_of
from beeline.envs._declared import takes_next_state
from beeline.envs._transition import move, reward_with, transition

_PROBES = 8
_REACHES = (1.0, 100.0)
"""How far from the middle it is tried whether the equations are what they should be."""
_TOLERANCE = 1e-6
_FLAT = 1e-12
"""Curvature, relative to the largest, that counts as none."""


@final
class LinearFeedback(Module):
    """Actions that are linear in the state, for each step by its own gains.

    Attributes:
        gains: How the action answers to the state.
        offsets: What is added to it.
        quadratic: The value as a quadratic form in (state, 1).
    """

    gains: Float[np.ndarray, "time action state"]
    offsets: Float[np.ndarray, "time action"]
    quadratic: Float[np.ndarray, "state+1 state+1"]

    def mode(self, state: Float[Array, "state"], t: Int[ArrayLike, ""]) -> Float[Array, "action"]:
        """Choose an action, as policies do.

        Args:
            state: The state in physical units.
            t: The step index.

        Returns:
            The action, clipped to [-1, 1].
        """
        gain, offset = (jnp.asarray(part, state.dtype)[t] for part in (self.gains, self.offsets))
        return jnp.clip(gain @ state + offset, -1.0, 1.0)

    def value(self, state: Float[np.ndarray, "state"] | Float[Array, "state"]) -> float:
        """Tell what an episode earns from a start, were actions not clipped.

        Args:
            state: The state at step index 0.

        Returns:
            The expected return; that of the linearisation, if it is one.
        """
        z = np.append(np.asarray(state, float), 1.0)
        return float(z @ self.quadratic @ z)


def lqr(
    env: Environment,
    *,
    noise_covariance: Float[ArrayLike, "state state"] | None = None,
    around: Float[ArrayLike, "state"] | None = None,
) -> LinearFeedback:
    r"""Solve a linear-quadratic task by the Riccati recursion, backwards from its end.

    With s' = A s + B a + c + w, where w has mean 0 and the covariance that is given, and a reward r
    that is quadratic in s and a, the expected return from step t on is quadratic too. In
    z = (s, 1), V_t(z) = z' P_t z, where

        V_t(z) = max_a r_t(s, a) + E V_{t+1}(A_t s + B_t a + c_t + w),

    and the maximum is at a = K_t s + k_t. Without bounds of the actions this is the best of all
    policies, and the noise changes the value alone. A, B and r may vary with time; they come from
    the environment by differentiating it.

    Args:
        env: The task, whose step leaves nothing to chance. The start may. Precision is raised to
            float64 for the call only.
        noise_covariance: Of what noise adds to the state in each step; left out, there is none.
        around: A state to expand the equations about, to first order, and the reward to second;
            with the action in the middle of its bounds. Left out, they have to be linear and
            quadratic.

    Returns:
        The feedback, whose actions are clipped, and its value.

    Raises:
        ValueError: If the equations are not linear and quadratic, the step leaves something to
            chance, no action is the best, or the covariance or the state has another shape.

    References:
        D. P. Bertsekas, *Dynamic Programming and Optimal Control*, volume I, Athena Scientific,
        4th edition, 2017, section 3.1.
    """
    n, m = env.state_dim, env.action_dim
    noise = None if noise_covariance is None else np.asarray(noise_covariance, float)
    middle = np.zeros(n) if around is None else np.asarray(around, float)
    for name, given, shape in (("noise_covariance", noise, (n, n)), ("around", middle, (n,))):
        if given is not None and given.shape != shape:
            raise ValueError(f"{name} must have shape {shape}, got {given.shape}")
    with jax.enable_x64(True):
        if not moves_alike(env, *_probes(env, middle)):
            raise ValueError(
                f"{env.name} moves by chance: make it without noise, and give the covariance of "
                "the noise as noise_covariance="
            )
        expand = jax.jit(lambda t: _expand(env, jnp.asarray(middle), t, noise is not None))
        wrong = None if around is not None else jax.jit(lambda e, t: _errors(env, e, middle, t))
        gains, value = [], np.zeros((n + 1, n + 1))
        for t in reversed(range(env.horizon)):
            expansion = expand(t)
            if wrong is not None:
                _check_form(env, np.asarray(wrong(expansion, t)), t)
            step, reward, curvature = (np.asarray(part) for part in expansion)
            total = reward + step.T @ value @ step
            if noise is not None:
                total[-1, -1] += np.sum(noise * (value[:n, :n] + 0.5 * curvature))
            gain, value = _best(env, total, n, m, t)
            gains.append(gain)
    # In deviations from the middle until here.
    shift = np.eye(n + 1)
    shift[:n, -1] = -middle
    every = np.stack(gains[::-1]) @ shift
    return LinearFeedback(every[..., :n], every[..., n], shift.T @ value @ shift)


class _Expansion(NamedTuple):
    """Of one step, in y = (state, action, 1), less the middle."""

    step: Float[Array, "state+1 all"]
    """y to (next state, 1)."""
    reward: Float[Array, "all all"]
    """As a quadratic form."""
    curvature: Float[Array, "state state"]
    """The reward's second derivative by the next state, where noise asks for it."""


def _expand(env: Environment, middle: Array, t: Array, noisy: bool) -> _Expansion:
    n, m = env.state_dim, env.action_dim
    here = jnp.zeros(n + m)

    def outcome(y: Array) -> Array:
        return _step(env, middle + y[:n], y[n:], t) - middle

    def earned(y: Array, w: Array) -> Array:
        state, action = middle + y[:n], y[n:]
        after = lambda: _step(env, state, action, t) + w  # noqa: E731
        return reward_with(reward_of(env), state, action, t, after)

    nothing = jnp.zeros(n)
    slopes, slope = jax.jacfwd(outcome)(here), jax.grad(earned)(here, nothing)
    bend = jax.hessian(earned)(here, nothing)
    seen = noisy and takes_next_state(type(env).reward)
    curvature = jax.hessian(earned, 1)(here, nothing) if seen else jnp.zeros((n, n))
    step = jnp.block([[slopes, outcome(here)[:, None]], [jnp.zeros((1, n + m)), jnp.ones((1, 1))]])
    level = earned(here, nothing)[None, None]
    reward = jnp.block([[0.5 * bend, 0.5 * slope[:, None]], [0.5 * slope[None], level]])
    return _Expansion(step, reward, curvature)


def _step(env: Environment, state: Array, action: Array, t: ArrayLike) -> Array:
    # Always a key, as the contract says.
    return move(env, state, action, t, key=jax.random.key(0))


def _errors(
    env: Environment, expansion: _Expansion, middle: np.ndarray, t: Array
) -> Float[Array, "2"]:
    # How far the expansion is off, of the step and of the reward, relative to what they are.
    def of_one(state: Array, action: Array) -> Array:
        y = jnp.concatenate([state - middle, action, jnp.ones(1)])
        after, reward = transition(env, state, action, t, key=jax.random.key(0))
        guess, earned = (expansion.step @ y)[:-1], y @ expansion.reward @ y
        size, level = 1 + jnp.max(jnp.abs(after)), 1 + jnp.abs(reward)
        wrong = jnp.max(jnp.abs(after - middle - guess)) / size
        return jnp.stack([wrong, jnp.abs(reward - earned) / level])

    states, actions = map(jnp.asarray, _probes(env, middle))
    return jnp.max(jax.vmap(of_one)(states, actions), axis=0)


def _probes(env: Environment, middle: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    states = random.standard_normal((len(_REACHES), _PROBES, env.state_dim))
    states = (states * np.reshape(_REACHES, (-1, 1, 1))).reshape(-1, env.state_dim)
    return middle + states, random.uniform(-1, 1, (len(states), env.action_dim))


def _check_form(env: Environment, wrong: np.ndarray, t: int) -> None:
    for what, form, error in zip(("step", "reward"), ("linear", "quadratic"), wrong, strict=True):
        if not error <= _TOLERANCE:
            raise ValueError(
                f"{env.name} is not linear-quadratic: its {what} at t = {t} is not {form} in state "
                "and action; give around= a state to take the linearisation about it"
            )


def _best(
    env: Environment, total: np.ndarray, n: int, m: int, t: int
) -> tuple[np.ndarray, np.ndarray]:
    # Maximise a quadratic form in (state, action, 1) over the action.
    free, rest = np.arange(n, n + m), np.append(np.arange(n), n + m)
    bend, slope = total[np.ix_(free, free)], total[np.ix_(free, rest)]
    heights = np.linalg.eigvalsh(bend)
    size = np.abs(total).max()
    gain = -np.linalg.pinv(bend, rcond=_FLAT, hermitian=True) @ slope
    if not (heights.max() <= _FLAT * size and np.abs(bend @ gain + slope).max() <= 1e-9 * size):
        raise ValueError(
            f"{env.name} has no best action at t = {t}: its return is not concave in the action"
        )
    value = total[np.ix_(rest, rest)] + slope.T @ gain
    return gain, 0.5 * (value + value.T)
