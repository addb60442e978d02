"""Control tasks written out again in NumPy, and what tests of them share."""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np


class Oracle(NamedTuple):
    """A control problem in NumPy, in double precision."""

    start: list
    duration: float
    states: list
    controls: list
    slope: Callable
    cost: Callable
    final: Callable = lambda x: 0.0


def play(task, actions):
    """Play an episode in NumPy."""
    horizon = len(actions)
    dt = task.duration / horizon
    low, high = np.array(task.states, float).T
    least, most = np.array(task.controls, float).T
    states, rewards = [np.array(task.start, float)], []
    for k, action in enumerate(actions):
        x, time = states[-1], k * dt
        u = (least * (1 - action) + most * (1 + action)) / 2
        rewards.append(-task.cost(x, u, time) * dt)
        if k == horizon - 1:
            rewards[-1] -= task.final(x)
        states.append(np.minimum(np.maximum(x + dt * task.slope(x, u, time), low), high))
    return np.array(states), np.array(rewards)


def random_actions(task, horizon, seed=0):
    """Draw one episode of actions."""
    return np.random.default_rng(seed).uniform(-1, 1, (horizon, len(task.controls)))


def extreme_actions(task, horizon):
    """Random ones, corners, switches between corners at each step, and constants."""
    random, size = np.random.default_rng(1), len(task.controls)
    switching = np.where(np.arange(horizon) % 2, 1.0, -1.0)[:, None] * np.ones(size)
    constants = [np.full((horizon, size), level) for level in (-1.0, 0.0, 1.0)]
    many = (40, horizon, size)
    return np.concatenate(
        [
            random.uniform(-1, 1, many),
            random.choice([-1.0, 1.0], many),
            np.stack([switching, -switching, *constants]),
        ]
    )


def roll(env, actions):
    """Play an episode in JAX: the states reached, and the rewards."""

    def advance(state, inputs):
        return env.step(state, *inputs), env.reward(state, *inputs)

    inputs = actions, jnp.arange(env.horizon)
    return jax.lax.scan(advance, env.initial_state(), inputs)[1]


def batched(env):
    """Compile `step` and `reward` for a batch."""
    return jax.jit(jax.vmap(lambda *inputs: (env.step(*inputs), env.reward(*inputs))))


def agrees_with_finite_differences(env, state, action, *, paid_at_the_end=False):
    """Compare derivatives of `step` and `reward` in both modes, on the way and at the end.

    Every entry has some, but for the reward on the way where the task is only paid at the end.
    """

    def both(flat, t):
        state, action = flat[: env.state_dim], flat[env.state_dim :]
        return jnp.append(env.step(state, action, t), env.reward(state, action, t))

    flat = np.concatenate([state, action])
    widths = 1e-5 * np.maximum(np.abs(flat), 0.1)
    shifts = np.diag(widths)

    @jax.jit
    def evaluate(flat, moved, t):
        jacobians = jax.jacfwd(both)(flat, t), jax.jacrev(both)(flat, t)
        return jax.vmap(both, in_axes=(0, None))(moved, t), jacobians

    for step in (env.horizon // 3, env.horizon - 1):
        moved, jacobians = evaluate(flat, np.concatenate([flat + shifts, flat - shifts]), step)
        ahead, behind = np.split(np.asarray(moved), 2)
        slopes = (ahead - behind).T / (2 * widths)
        scale = 1e-7 * np.abs(slopes).max(axis=1, keepdims=True)
        for jacobian in jacobians:
            assert np.all(np.abs(jacobian - slopes) <= 1e-6 * np.abs(slopes) + scale)
        moving = np.any(np.abs(slopes) > 1e-6, axis=1)
        assert moving[:-1].all()
        assert moving[-1] == (step == env.horizon - 1 or not paid_at_the_end)
