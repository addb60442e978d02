import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from beeline.models import HistoryModel
from beeline.networks.scaling import StateScaling
from beeline.sequence import GRU, Transformer

LENGTH = 9
CORES = {
    "gru": lambda: GRU(8, (5,), key=jax.random.key(0)),
    "transformer": lambda: Transformer(8, 1, 2, mlp_width=10, key=jax.random.key(0)),
}


pytestmark = pytest.mark.usefixtures("float64")


def make_model(core="gru", **options):
    scaling = StateScaling.fit(jnp.array([[1.0, -200.0], [3.0, 500.0], [0.1, 0.0]]))
    return HistoryModel(
        CORES[core](),
        2,
        3,
        LENGTH,
        decoder_sizes=(6,),
        scaling=scaling,
        key=jax.random.key(1),
        **options,
    )


def draw():
    states, actions = np.random.default_rng(2).normal(size=(2, LENGTH, 3))
    return jnp.asarray(states[:, :2]), jnp.asarray(np.tanh(actions))


@eqx.filter_jit
def teacher_forced(model, states, actions):
    def step(carry, inputs):
        return model.step(carry, *inputs)

    return jax.lax.scan(
        step, model.start(states[0], LENGTH), (states, actions, jnp.arange(LENGTH))
    )[1]


@eqx.filter_jit
def roll_out(model, state, actions):
    def step(loop, inputs):
        loop = model.step(*loop, *inputs)
        return loop, loop[1]

    loop = (model.start(state, LENGTH), state)
    return jax.lax.scan(step, loop, (actions, jnp.arange(LENGTH)))[1]


@eqx.filter_jit
def predict(model, states, actions):
    return model.predict(states, actions)


@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("difference", [False, True])
def test_predict_equals_steps_from_the_states_given(core, difference):
    model, (states, actions) = make_model(core, difference=difference, frequencies=1), draw()
    whole = predict(model, states, actions)
    np.testing.assert_allclose(whole, teacher_forced(model, states, actions), rtol=1e-10)
    assert model.state_fed


def test_a_rollout_predicts_itself():
    model, (states, actions) = make_model(), draw()
    visited = roll_out(model, states[0], actions)
    before = jnp.concatenate([states[:1], visited[:-1]])
    np.testing.assert_allclose(predict(model, before, actions), visited, rtol=1e-10)


def test_every_earlier_state_and_action_is_read_and_no_later_one():
    model, (states, actions) = make_model(), draw()
    slopes = jax.jit(jax.jacrev(model.predict, argnums=(0, 1)))(states, actions)
    later = np.triu(np.ones((LENGTH, LENGTH), bool), 1)
    for slope in slopes:
        reaches = np.abs(slope).max(axis=(1, 3))
        assert (reaches[later] == 0).all()
        assert (reaches[~later] > 0).all()


def test_a_silent_decoder_keeps_the_state_if_it_predicts_the_difference():
    states, actions = draw()
    for difference in (False, True):
        model = make_model(difference=difference)
        quiet = jax.tree.map(jnp.zeros_like, model.decoder)
        model = eqx.tree_at(lambda m: m.decoder, model, quiet)
        expected = (
            states
            if difference
            else jnp.broadcast_to(model.scaling.decode(0.0 * states), states.shape)
        )
        np.testing.assert_allclose(predict(model, states, actions), expected, rtol=1e-10)


def test_tokens_against_numpy():
    model, (states, actions) = make_model(), draw()
    time = 2 * np.arange(LENGTH)[:, None] / LENGTH - 1
    tokens = np.concatenate([model.scaling.encode(states), actions, time], axis=-1)
    tokens = tokens @ np.asarray(model.embed.weight) + np.asarray(model.embed.bias)
    outputs = jax.jit(lambda x: model.decoder(model.core.parallel(x)))(jnp.array(tokens))
    expected = model.scaling.decode(outputs)
    np.testing.assert_allclose(predict(model, states, actions), expected, rtol=1e-10)
