import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beeline.networks.scaling import StateScaling, action_features, symexp, symlog, time_features


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=8))
@settings(max_examples=50, deadline=None)
def test_symexp_inverts_symlog(values):
    with jax.enable_x64(True):
        x = jnp.array(values)
        np.testing.assert_allclose(symexp(symlog(x)), x, rtol=1e-12, atol=1e-15)


def test_symlog_is_its_formula():
    x = np.array([-5000.0, -0.04, 0.0, 0.04, 1.0, 5000.0])
    with jax.enable_x64(True):
        np.testing.assert_allclose(
            symlog(jnp.array(x)), np.sign(x) * np.log(1 + np.abs(x)), rtol=1e-14
        )


def test_slopes_are_those_of_the_formulas_and_one_at_zero():
    with jax.enable_x64(True):
        x = jnp.array([-7.0, -0.5, 0.0, 0.5, 7.0])
        np.testing.assert_allclose(jax.vmap(jax.grad(symlog))(x), 1 / (1 + np.abs(x)), rtol=1e-12)
        np.testing.assert_allclose(jax.vmap(jax.grad(symexp))(x), np.exp(np.abs(x)), rtol=1e-12)


def episodes():
    draws = np.random.default_rng(0).normal(size=(5, 40, 3))
    return np.exp(draws * [0.1, 2.0, 4.0]) * [0.04, -1.0, 50.0]


@pytest.mark.parametrize("compress", [True, False])
def test_fit_standardises_every_entry(compress):
    with jax.enable_x64(True):
        states = jnp.array(episodes())
        values = StateScaling.fit(states, compress=compress).encode(states).reshape(-1, 3)
        np.testing.assert_allclose(values.mean(0), 0, atol=1e-12)
        np.testing.assert_allclose(values.std(0), 1, rtol=1e-12)


@pytest.mark.parametrize("compress", [True, False])
def test_decode_inverts_encode(compress):
    with jax.enable_x64(True):
        states = jnp.array(episodes())
        scaling = StateScaling.fit(states, compress=compress)
        np.testing.assert_allclose(
            scaling.decode(scaling.encode(states)), states, rtol=1e-11, atol=1e-10
        )


def test_identity_changes_nothing():
    states = jnp.array(episodes(), dtype=jnp.float32)
    scaling = StateScaling.identity(3)
    assert (scaling.encode(states) == states).all()
    assert (scaling.decode(states) == states).all()


def test_a_constant_entry_stays_finite_both_ways():
    states = jnp.stack([jnp.full(100, 5000.0), jnp.linspace(-1, 1, 100)], axis=-1)
    scaling = StateScaling.fit(states)
    values = scaling.encode(states)
    assert jnp.isfinite(values).all()
    np.testing.assert_allclose(scaling.decode(values), states, rtol=1e-5, atol=1e-6)


def test_no_gradient_reaches_the_statistics():
    states = jnp.array(episodes(), dtype=jnp.float32)
    scaling = StateScaling.fit(states)

    def total(scaling, states):
        return (scaling.encode(states) ** 2).sum() + scaling.decode(0.1 * states[:, :5]).sum()

    to_statistics, to_states = jax.grad(total, argnums=(0, 1))(scaling, states)
    assert not to_statistics.mean.any()
    assert not to_statistics.scale.any()
    assert to_states.all()


@pytest.mark.parametrize("frequencies", [0, 1, 3])
def test_time_features_are_scaled_time_and_pairs(frequencies):
    t = np.arange(21)
    features = time_features(jnp.array(t), 20, frequencies)
    assert features.shape == (21, 1 + 2 * frequencies)
    phase = t / 20
    angles = [np.pi * 2.0**k * phase for k in range(frequencies)]
    expected = [2 * phase - 1, *map(np.sin, angles), *map(np.cos, angles)]
    np.testing.assert_allclose(features, np.stack(expected, axis=-1), atol=1e-5)


def test_time_features_of_one_step():
    np.testing.assert_allclose(time_features(jnp.array(5), 20), [-0.5])


@pytest.mark.parametrize("harmonics", [0, 1, 3])
def test_action_features_are_actions_and_pairs(harmonics):
    actions = np.random.default_rng(0).uniform(-1, 1, (6, 2))
    features = action_features(jnp.array(actions), harmonics)
    expected = [actions]
    for k in range(1, harmonics + 1):
        expected += [np.sin(np.pi * k * actions / 2) / 2, np.cos(np.pi * k * actions / 2) / 2]
    np.testing.assert_allclose(features, np.concatenate(expected, axis=-1), atol=1e-5)
