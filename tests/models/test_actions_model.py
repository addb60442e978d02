import jax
import jax.numpy as jnp
import numpy as np
import pytest

from beeline.models import ActionsModel
from beeline.networks.scaling import StateScaling
from beeline.sequence import Transformer
from tests.networks import drawn

LENGTH = 9


pytestmark = pytest.mark.usefixtures("float64")


def actions_model(frequencies, *, key):
    core_key, key = jax.random.split(key)
    core = Transformer(8, 1, 2, mlp_width=10, key=core_key)
    scaling = StateScaling.fit(jnp.array([[1.0, -200.0], [3.0, 500.0], [0.1, 0.0]]))
    sizes = {"decoder_sizes": (6,), "frequencies": frequencies}
    return ActionsModel(core, 2, 3, LENGTH, scaling=scaling, key=key, **sizes)


def make_model(frequencies=1):
    return drawn(actions_model, frequencies)


def draw():
    states, actions = np.random.default_rng(2).normal(size=(2, LENGTH, 3))
    return jnp.asarray(states[:, :2]), jnp.asarray(np.tanh(actions))


@jax.jit
def predict(model, states, actions):
    return model.predict(states, actions)


def roll_out(model, state, actions, states_given):
    def step(carry, inputs):
        action, given, t = inputs
        return model.step(carry, given, action, t)

    inputs = (actions, states_given, jnp.arange(LENGTH))
    return jax.lax.scan(step, model.start(state, LENGTH), inputs)[1]


@pytest.mark.parametrize("frequencies", [0, 2])
def test_predict_equals_start_and_step(frequencies):
    model, (states, actions) = make_model(frequencies), draw()
    whole = predict(model, states, actions)
    stepped = jax.jit(roll_out)(model, states[0], actions, states)
    np.testing.assert_allclose(whole, stepped, rtol=1e-11)


def test_only_the_first_state_is_read():
    model, (states, actions) = make_model(), draw()
    others = jnp.asarray(np.where(np.arange(LENGTH)[:, None] > 0, np.nan, states))
    expected = predict(model, states, actions)
    np.testing.assert_array_equal(predict(model, others, actions), expected)
    stepped = jax.jit(roll_out)(model, states[0], actions, jnp.full_like(states, jnp.nan))
    np.testing.assert_allclose(stepped, expected, rtol=1e-11)
    assert not model.state_fed


def test_no_state_depends_on_a_later_action():
    model, (states, actions) = make_model(), draw()
    to_states, to_actions = jax.jit(jax.jacrev(model.predict, argnums=(0, 1)))(states, actions)
    assert not to_states[:, :, 1:].any()
    assert jnp.abs(to_states[:, :, 0]).max(axis=(1, 2)).all()
    reaches = np.abs(to_actions).max(axis=(1, 3))
    later = np.triu(np.ones((LENGTH, LENGTH), bool), 1)
    assert (reaches[later] == 0).all()
    assert (reaches[~later] > 0).all()


def test_tokens_and_decoder_against_numpy():
    model, (states, actions) = make_model(frequencies=1), draw()

    def features(t):
        phase = t / LENGTH
        return [2 * phase - 1, np.sin(np.pi * phase), np.cos(np.pi * phase)]

    def affine(layer, x):
        return x @ np.asarray(layer.weight) + np.asarray(layer.bias)

    first = np.concatenate([model.scaling.encode(states)[0], features(0)])
    rest = [np.concatenate([np.asarray(actions)[t], features(t)]) for t in range(LENGTH)]
    tokens = np.stack(
        [affine(model.embed_state, first), *(affine(model.embed_action, x) for x in rest)]
    )
    outputs = np.asarray(jax.jit(lambda core, x: core.parallel(x))(model.core, tokens))[1:]
    hidden, out = model.decoder.layers
    values = affine(out, np.maximum(affine(hidden, outputs), 0))
    whole = jax.jit(lambda model: model.standardised(states, actions))(model)
    np.testing.assert_allclose(whole, values, rtol=1e-11)
    np.testing.assert_allclose(predict(model, states, actions), model.scaling.decode(whole))
