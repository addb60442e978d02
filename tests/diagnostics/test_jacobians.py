"""Jacobians of rollouts, against closed forms, finite differences and the chain rule by hand."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from beeline.diagnostics import action_jacobian, first_action_norms, open_loop, path_map
from beeline.diagnostics.jacobians import spectral_norm
from beeline.models import ActionsModel, HistoryModel
from beeline.sequence import SelfAttention, Transformer
from beeline.theory.instances import EqualSlopes
from tests.networks import drawn, normal

STATE, ACTION, LENGTH = 2, 1, 6


def history_model(*, key):
    core = SelfAttention(4, key=jax.random.key(0))
    return HistoryModel(core, STATE, ACTION, LENGTH, decoder_sizes=(5,), key=key)


def actions_model(*, key):
    core = Transformer(4, 1, 2, mlp_width=5, key=jax.random.key(0))
    return ActionsModel(core, STATE, ACTION, LENGTH, decoder_sizes=(), key=key)


def make_inputs():
    actions = np.random.default_rng(2).uniform(-1, 1, (LENGTH, ACTION))
    return jnp.array([0.3, -0.4]), jnp.asarray(actions)


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("make_model", [history_model, actions_model])
def test_jacobian_agrees_with_finite_differences(make_model):
    model, (state, actions) = drawn(make_model, seed=1), make_inputs()
    jacobian = action_jacobian(model, state, actions)
    unrolled = eqx.filter_jit(open_loop)
    for k in (0, 3):
        ahead, behind = (unrolled(model, state, actions.at[k].add(step)) for step in (1e-6, -1e-6))
        np.testing.assert_allclose(jacobian[:, :, k, 0], (ahead - behind) / 2e-6, atol=1e-8)


@pytest.mark.usefixtures("float64")
def test_direct_and_circuitous_paths_obey_the_recursion_of_theorem_1():
    model, (state, actions) = drawn(history_model, seed=1), make_inputs()
    after = eqx.filter_jit(open_loop)(model, state, actions)
    states = jnp.concatenate([state[None], after[:-1]])
    partials = jax.jit(jax.jacrev(model.predict, argnums=(0, 1)))
    by_state, by_action = map(np.asarray, partials(states, actions))
    total = np.zeros((LENGTH, STATE, LENGTH, ACTION))
    for t in range(LENGTH):
        total[t] = by_action[t]
        for i in range(1, t + 1):
            total[t] += np.einsum("ij,jka->ika", by_state[t, :, i], total[i - 1])
    np.testing.assert_allclose(action_jacobian(model, state, actions), total, atol=1e-12)
    direct = action_jacobian(model, state, actions, through_states=0.0)
    np.testing.assert_allclose(direct, by_action, atol=1e-12)
    paths = path_map(model, state, actions)
    rest = np.linalg.norm(total - np.asarray(by_action), axis=(1, 3))
    np.testing.assert_allclose(paths.circuitous, rest, atol=1e-12)
    assert rest[-1, 0] > 1e-4


def test_a_model_of_actions_has_no_circuitous_paths():
    paths = path_map(drawn(actions_model, seed=1), *make_inputs())
    assert np.diag(paths.total).all()
    assert not np.triu(paths.total, 1).any()
    np.testing.assert_array_equal(paths.direct, paths.total)
    assert not np.any(paths.circuitous)


@pytest.mark.parametrize("memory", [False, True])
def test_equal_slopes_in_closed_form(memory):
    model = EqualSlopes(0.7, 0.5, memory=memory)
    paths = path_map(model, jnp.array([0.2]), jnp.ones((5, 1)))
    gaps = np.arange(5)[:, None] - np.arange(5)
    base = 1.5 if memory else 0.5
    np.testing.assert_allclose(paths.total, np.tril(0.7 * base ** np.abs(gaps)), rtol=1e-6)
    direct = np.tril(np.full((5, 5), 0.7)) if memory else 0.7 * np.eye(5)
    np.testing.assert_allclose(paths.direct, direct, rtol=1e-6)
    actions = normal(3, 5, 1, seed=0)
    norms = first_action_norms(model, jnp.zeros((3, 1)), actions)
    np.testing.assert_allclose(norms, 0.7 * base**4, rtol=1e-6)


@pytest.mark.parametrize("shape", [(1, 3), (3, 1), (3, 2)])
def test_spectral_norm_is_the_largest_singular_value_at_any_scale(shape):
    matrices = np.random.default_rng(0).normal(size=(4, *shape)).astype(np.float32)
    expected = np.linalg.svd(matrices, compute_uv=False).max(axis=-1)
    for scale in (1e-30, 1.0, 1e30):
        measured = spectral_norm(jnp.asarray(matrices * np.float32(scale)))
        np.testing.assert_allclose(measured, expected * scale, rtol=1e-5)
    assert spectral_norm(jnp.zeros(shape)) == 0
    assert spectral_norm(jnp.full(shape, jnp.inf)) == jnp.inf
    assert jnp.isnan(spectral_norm(jnp.full(shape, jnp.nan)))
