"""Direct transcription: states are unknowns beside the actions, and the dynamics constraints."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from beeline.control._rollout import Player
from beeline.envs import Environment, reward_of
from beeline.envs._constraints import Constraints
from beeline.envs._transition import move, reward_with

DENSE = 150
"""Largest number of unknowns for the dense method, whose time is cubic in it."""


def small(env: Environment) -> bool:
    """Tell whether the dense method is used, which is quick and solves more of what is hard.

    Args:
        env: The task.

    Returns:
        Whether it has few enough unknowns.
    """
    return env.horizon * (env.state_dim + env.action_dim) <= DENSE


def transcribe(
    env: Environment,
    replay: Player,
    plan: Float[np.ndarray, "time action"],
    starts: Float[np.ndarray, "start time action"],
    constraints: tuple[Constraints, ...] = (),
) -> list[Float[np.ndarray, "time action"]]:
    r"""Solve a task as a nonlinear program, from a plan and from starting points.

    Minimise -Σ r(s_t, a_t, t) over s_0, a_0, ..., s_{H-1}, a_{H-1}, subject to s_0 being the start,
    s_{t+1} = step(s_t, a_t, t) and |a_t| ≤ 1. On the way the states need not belong to the actions,
    which takes the search past what traps shooting: dynamics that amplify every change, and
    states held at a bound, where the return has no slope. Rollouts lie at such bounds; so the
    states of a starting point all rest at s_0 instead, and those of the plan alone are its own.

    Small programs are solved by sequential quadratic programming, large ones by a barrier method
    with sparse second derivatives. A plan fulfils the dynamics to a solver's tolerance, which the
    dynamics may amplify: judge it by replaying it.

    Args:
        env: The task, without process noise. Call this with float64 enabled.
        replay: Plays plans on the task.
        plan: The best actions known.
        starts: Other starting points.
        constraints: What plans have to keep, along the states of the program.

    Returns:
        The plans found, entries in [-1, 1]; none of a search that failed, for want of finite
        derivatives, say.

    References:
        - J. T. Betts, *Practical Methods for Optimal Control and Estimation Using Nonlinear
          Programming*, SIAM, 2nd edition, 2010, chapter 4.
        - D. Kraft, "A software package for sequential quadratic programming", DFVLR-FB 88-28, 1988
          (SLSQP).
        - R. H. Byrd, M. E. Hribar and J. Nocedal, "An interior point algorithm for large-scale
          nonlinear programming", SIAM Journal on Optimization 9(4), 1999 (`trust-constr`).
    """
    states, returns = replay(np.stack([plan, *starts]))
    program = _Program(env, _size(states, axis=(0, 1)), _size(returns, axis=0), constraints)
    rest = np.broadcast_to(states[0, 0], states[0, :-1].shape)
    plans = []
    for guess in [(states[0, :-1], plan), *((rest, start) for start in starts)]:
        try:
            found = program.solve(*guess)
        except Exception:
            # A task of a user's own may fail under derivatives that shooting does not take, in
            # whatever way. This search adds candidates; it must not cost those that there are.
            continue
        if np.all(np.isfinite(found)):
            plans.append(found)
    return plans


class _Program:
    """A task as a nonlinear program in x = (s_0, a_0, ..., s_{H-1}, a_{H-1}).

    States and returns are scaled to about 1, which is what the solvers' tolerances are made for.
    """

    def __init__(
        self,
        env: Environment,
        state_unit: np.ndarray,
        return_unit: np.ndarray,
        constraints: tuple[Constraints, ...],
    ):
        self.dense = small(env)
        self.state_unit = state_unit
        # Always a key, as in `open_loop`.
        key = jax.random.key(0)
        start = env.initial_state(key=key) / state_unit
        unit, weight = jnp.asarray(state_unit), jnp.asarray(env.horizon / return_unit)
        width, reward = env.state_dim, reward_of(env)
        times = jnp.arange(env.horizon)

        def following(z, t):
            return move(env, z[:width] * unit, z[width:], t, key=key)

        def step(z, t):
            return following(z, t) / unit

        def loss(z, t):
            # A next state is the one that the dynamics give, on the way there too.
            earned = reward_with(reward, z[:width] * unit, z[width:], t, lambda: following(z, t))
            return -weight * earned

        def priced_step(z, t, multiplier):
            return multiplier @ step(z, t)

        def defects(z):
            return jnp.concatenate(
                [z[:1, :width] - start, jax.vmap(step)(z[:-1], times[:-1]) - z[1:, :width]]
            )

        def limits(x):
            z = x.reshape(env.horizon, -1)
            states = jnp.concatenate([z[:, :width] * unit, following(z[-1], times[-1])[None]])
            values = [one.along(states, z[:, width:]) for one in constraints]
            return jnp.concatenate([jnp.ravel(value) for value in jax.tree.leaves(values)])

        self.constrained = bool(constraints)
        self._limits = jax.jit(limits)
        self._limit_slopes = jax.jit(jax.jacrev(limits))
        self.shape = (env.horizon, width + env.action_dim)
        self._loss = jax.jit(lambda z: jnp.sum(jax.vmap(loss)(z, times)))
        self._gradient = jax.jit(lambda z: jax.vmap(jax.grad(loss))(z, times))
        self._defects = jax.jit(defects)
        self._slopes = jax.jit(lambda z: jax.vmap(jax.jacfwd(step))(z[:-1], times[:-1]))
        self._loss_curvature = jax.jit(lambda z: jax.vmap(_hessian(loss))(z, times))
        self._step_curvature = jax.jit(
            lambda z, multipliers: jax.vmap(_hessian(priced_step))(
                z[:-1], times[:-1], multipliers[1:]
            )
        )

    def solve(self, states: np.ndarray, actions: np.ndarray) -> np.ndarray:
        split = states.shape[1]
        # The barrier method needs room between its first actions and their bounds.
        guess = np.concatenate([states / self.state_unit, 0.99 * actions], axis=1)
        low = np.full(self.shape, -np.inf)
        low[:, split:] = -1.0
        method = self._solve_dense if self.dense else self._solve_sparse
        with np.errstate(all="ignore"):
            x = method(guess.ravel(), low.ravel())
        return np.clip(x.reshape(self.shape)[:, split:], -1.0, 1.0)

    def _solve_dense(self, guess: np.ndarray, low: np.ndarray) -> np.ndarray:
        from scipy.optimize import minimize

        dynamics = {
            "type": "eq",
            "fun": self.defects,
            "jac": lambda x: self.jacobian(x).toarray(),
        }
        limits = {
            "type": "ineq",
            "fun": lambda x: -np.asarray(self._limits(x)),
            "jac": lambda x: -np.asarray(self._limit_slopes(x)),
        }
        return minimize(
            self.loss,
            guess,
            jac=self.gradient,
            bounds=np.stack([low, -low], axis=1),
            constraints=[dynamics, limits] if self.constrained else dynamics,
            method="SLSQP",
            options={"ftol": 1e-13, "maxiter": 300},
        ).x

    def _solve_sparse(self, guess: np.ndarray, low: Any) -> np.ndarray:
        from scipy.optimize import BFGS, Bounds, NonlinearConstraint, minimize

        derivatives: Any = {"jac": self.jacobian, "hess": self.defect_curvature}
        dynamics = NonlinearConstraint(self.defects, 0.0, 0.0, **derivatives)
        more: Any = {"jac": lambda x: np.asarray(self._limit_slopes(x)), "hess": BFGS()}
        limits = NonlinearConstraint(lambda x: np.asarray(self._limits(x)), -np.inf, 0.0, **more)
        return minimize(
            self.loss,
            guess,
            jac=self.gradient,
            hess=self.loss_curvature,
            bounds=Bounds(low, -low, keep_feasible=True),
            constraints=[dynamics, limits] if self.constrained else dynamics,
            method="trust-constr",
            options={"gtol": 1e-8, "xtol": 1e-10, "barrier_tol": 1e-8, "maxiter": 150},
        ).x

    def loss(self, x: np.ndarray) -> float:
        return float(self._loss(x.reshape(self.shape)))

    def gradient(self, x: np.ndarray) -> np.ndarray:
        return np.asarray(self._gradient(x.reshape(self.shape))).ravel()

    def loss_curvature(self, x: np.ndarray) -> Any:
        blocks = self._loss_curvature(x.reshape(self.shape))
        return _block_matrix(blocks, np.arange(self.shape[0]), self.shape[0])

    def defects(self, x: np.ndarray) -> np.ndarray:
        return np.asarray(self._defects(x.reshape(self.shape))).ravel()

    def jacobian(self, x: np.ndarray) -> Any:
        horizon, width = self.shape
        select = np.tile(np.eye(len(self.state_unit), width), (horizon, 1, 1))
        select[1:] *= -1.0
        every = np.arange(horizon)
        slopes = _block_matrix(self._slopes(x.reshape(self.shape)), every[1:], horizon)
        return slopes + _block_matrix(select, every, horizon)

    def defect_curvature(self, x: np.ndarray, multipliers: np.ndarray) -> Any:
        horizon = self.shape[0]
        blocks = self._step_curvature(x.reshape(self.shape), multipliers.reshape(horizon, -1))
        return _block_matrix(blocks, np.arange(horizon - 1), horizon)


def _block_matrix(
    blocks: Float[ArrayLike, "block row column"], rows: np.ndarray, count: int
) -> Any:
    # Block i goes into block row rows[i] and block column i.
    from scipy.sparse import bsr_array

    data = np.asarray(blocks)
    ends = np.searchsorted(rows, np.arange(count + 1))
    shape = (count * data.shape[1], count * data.shape[2])
    return bsr_array((data, np.arange(len(data)), ends), shape=shape).tocsr()


def _hessian(function: Callable[..., Float[Array, ""]]) -> Callable[..., Float[Array, "in in"]]:
    # Forward over forward, which compiles several times faster than over reverse through a solver
    # of differential equations, and at these sizes is no slower to run.
    return jax.jacfwd(jax.jacfwd(function))


def _size(values: np.ndarray, axis: int | tuple[int, ...]) -> np.ndarray:
    # Mean magnitude of the finite values; 1 where all of them are zero.
    size = np.ma.filled(np.ma.masked_invalid(np.abs(values)).mean(axis), 1.0)
    return np.where(size > 0.0, size, 1.0)
