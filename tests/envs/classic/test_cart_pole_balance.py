"""The cart-pole to balance against Gymnasium's CartPole, and how an episode of it ends."""

import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from beeline import envs
from beeline.control import closed_loop_return, random_return, reference_return
from beeline.envs import Environment, check
from beeline.envs._identity import equations, identity
from beeline.envs.gymnasium import GymnasiumTask


@pytest.mark.usefixtures("float64")
def test_episodes_are_those_of_gymnasium():
    env = envs.make("cart-pole-balance", horizon=500)
    step, terminated = jax.jit(env.step), jax.jit(env.terminated)
    theirs = gymnasium.make("CartPole-v1").unwrapped
    lengths = []
    for seed in range(5):
        theirs.reset(seed=seed)
        state, over, t = jnp.asarray(theirs.state), False, 0
        pushes = np.random.default_rng(seed).integers(2, size=500)
        while not over:
            force = jnp.asarray([10.0 if pushes[t] else -10.0])
            _, reward, over, _, _ = theirs.step(pushes[t])
            assert reward == env.reward(state, force, t)
            after = step(state, force, t)
            np.testing.assert_allclose(after, theirs.state, rtol=1e-12, atol=1e-12)
            assert bool(terminated(state, force, t, after)) == over
            state, t = after, t + 1
        lengths.append(t)
    assert len(set(lengths)) > 2


@pytest.mark.usefixtures("float64")
def test_a_weaker_force_does_less():
    env = envs.make("cart-pole-balance", horizon=5)
    still, weak, full = (env.step(jnp.zeros(4), jnp.asarray([f]), 0) for f in (0.0, 2.5, 10.0))
    np.testing.assert_array_equal(still, 0)
    np.testing.assert_allclose(4 * weak, full, rtol=1e-12)


def test_either_bound_ends_it():
    env = envs.make("cart-pole-balance", horizon=5)
    rest, push = jnp.zeros(4), jnp.zeros(1)
    for entry, bound in ((0, 2.4), (2, np.radians(12))):
        for sign in (-1, 1):
            inside, outside = (
                rest.at[entry].set(sign * factor * bound) for factor in (0.999, 1.001)
            )
            assert not env.terminated(rest, push, 0, inside)
            assert env.terminated(rest, push, 0, outside)
    # Speed and rate may be anything, and it is the next state that counts.
    assert not env.terminated(outside, push, 0, jnp.asarray([0.0, 99.0, 0.0, 99.0]))


def test_returns_count_steps():
    env = envs.make("cart-pole-balance", horizon=200)
    assert reference_return(env) == 200
    assert 15 < random_return(env, 200).mean < 35
    gains = jnp.asarray([0.1, 0.2, 3.0, 0.6])
    assert closed_loop_return(env, lambda state, t: state @ gains[:, None], 20).mean == 200


def test_starts_are_near_rest():
    env = envs.make("cart-pole-balance", horizon=5)
    keys = jax.random.split(jax.random.key(0), 500)
    starts = np.asarray(jax.vmap(lambda key: env.initial_state(key=key))(keys))
    assert np.abs(starts).max() <= 0.05
    np.testing.assert_allclose(np.std(starts, axis=0), 0.05 / np.sqrt(3), rtol=0.1)
    with pytest.raises(ValueError, match="cart-pole-balance: pole_mass must be finite and above 0"):
        envs.make("cart-pole-balance", horizon=5, pole_mass=0.0)


def test_in_gymnasium_a_fall_terminates_and_the_horizon_truncates():
    env = GymnasiumTask("cart-pole-balance", horizon=40)
    env.reset(seed=0)
    ends = [env.step(np.ones(1, np.float32))[1:4]]
    while not (ends[-1][1] or ends[-1][2]):
        ends.append(env.step(np.ones(1, np.float32))[1:4])
    assert ends[-1] == (1.0, True, False)
    assert len(ends) < 15
    with pytest.raises(gymnasium.error.ResetNeeded, match="no episode is under way"):
        env.step(np.ones(1, np.float32))
    env = GymnasiumTask("cart-pole-balance", horizon=3)
    for _ in range(2):
        env.reset(seed=0)
        ends = [env.step(np.zeros(1, np.float32))[2:4] for _ in range(3)]
        assert ends == [(False, False), (False, False), (False, True)]


class Still(Environment):
    """Nothing moves; what ends it is up to a class below."""

    horizon: int = 3
    name = "still"
    state_dim = action_dim = 1
    dt = 1.0

    def initial_state(self, *, key=None):
        del key
        return jnp.zeros(1)

    def step(self, state, action, t, *, key=None):
        del action, t, key
        return state

    def reward(self, state, action, t):
        del action, t
        return state[0]


def with_termination(terminated):
    return type("Ending", (Still,), {"terminated": terminated})


COUNT = iter(range(10**6))


@pytest.mark.parametrize(
    ("terminated", "rule", "what"),
    [
        (lambda self, s, a, t, n: n[0], "precision", "terminated gives float32, not bool"),
        (lambda self, s, a, t, n: n > 1, "shape", r"terminated has shape \(1,\), not \(\)"),
        (lambda self, s, a, t, n: bool(n[0]), "tracing", "terminated raises Tracer"),
        (
            lambda self, s, a, t, n: jnp.asarray(next(COUNT) % 2 == 0),
            "determinism",
            "step, reward and terminated give",
        ),
    ],
)
def test_a_termination_that_is_none_is_named(terminated, rule, what):
    report = check(with_termination(terminated)())
    assert {violation.rule for violation in report.violations} == {rule}
    assert report.violations[0].what.startswith(what.replace("\\", ""))


def test_a_termination_has_the_parameters_of_one():
    with pytest.raises(ValueError, match=r"still: terminated takes \(state, action\): let it take"):
        with_termination(lambda self, state, action: False)()
    with pytest.raises(ValueError, match="still: terminated must be a method that takes"):
        with_termination(True)()


def test_what_ends_an_episode_is_part_of_the_equations():
    def ending(bound):
        return with_termination(lambda self, s, a, t, n: n[0] < bound)()

    assert equations(ending(1.0)) == equations(ending(1.0)) != equations(ending(2.0))
    assert equations(Still()) != equations(ending(1.0))
    # Another version of JAX compares what a few steps earn, and how many of them end.
    probes = {identity(env).rpartition("probe=")[2] for env in (Still(), ending(1.0))}
    assert len(probes) == 2
