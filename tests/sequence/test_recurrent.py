"""The recurrent cores against their equations in NumPy, a token at a time."""

import functools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from beeline.sequence import GRU, LSTM, RNN

LENGTH, WIDTH = 30, 5


pytestmark = pytest.mark.usefixtures("float64")


def shaken(make):
    """Weights away from their special starts, zero biases among them."""
    draws = np.random.default_rng(9)
    return jax.tree.map(
        lambda x: jnp.asarray(0.5 * draws.normal(size=x.shape)),
        eqx.filter_eval_shape(make, key=jax.random.key(0)),
    )


def draw():
    return np.random.default_rng(0).normal(size=(LENGTH, WIDTH))


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def unpack(cell):
    return (np.asarray(x) for x in (cell.recurrent, cell.inputs.weight, cell.inputs.bias))


def rnn_layer(cell, tokens):
    recurrent, weight, bias = unpack(cell)
    memory, outputs = np.zeros(len(recurrent)), []
    for token in tokens:
        memory = np.asarray(cell.activation(memory @ recurrent)) + token @ weight + bias
        outputs.append(memory)
    return np.stack(outputs)


def lstm_layer(cell, tokens):
    recurrent, weight, bias = unpack(cell)
    hidden = remembered = np.zeros(len(recurrent))
    outputs = []
    for token in tokens:
        i, f, o, g = np.split(token @ weight + hidden @ recurrent + bias, 4)
        remembered = sigmoid(f) * remembered + sigmoid(i) * np.tanh(g)
        hidden = sigmoid(o) * np.tanh(remembered)
        outputs.append(hidden)
    return np.stack(outputs)


def gru_layer(cell, tokens):
    recurrent, weight, bias = unpack(cell)
    hidden, outputs = np.zeros(len(recurrent)), []
    for token in tokens:
        from_reset, from_keep, from_candidate = np.split(token @ weight + bias, 3)
        to_reset, to_keep, to_candidate = np.split(hidden @ recurrent, 3)
        reset, keep = sigmoid(from_reset + to_reset), sigmoid(from_keep + to_keep)
        to_candidate = to_candidate + np.asarray(cell.candidate_bias)
        hidden = keep * hidden + (1 - keep) * np.tanh(from_candidate + reset * to_candidate)
        outputs.append(hidden)
    return np.stack(outputs)


@pytest.mark.parametrize(
    ("make", "layer"),
    [
        (RNN, rnn_layer),
        (functools.partial(RNN, activation=jax.nn.relu), rnn_layer),
        (LSTM, lstm_layer),
        (GRU, gru_layer),
    ],
    ids=["rnn", "rnn of relu", "lstm", "gru"],
)
@pytest.mark.parametrize("sizes", [(4,), (4, 6)])
def test_parallel_against_numpy(make, layer, sizes):
    core, tokens = shaken(functools.partial(make, WIDTH, sizes)), draw()
    expected = tokens
    for cell in core.cells:
        expected = layer(cell, expected)
    outputs = eqx.filter_jit(lambda core, x: core.parallel(x))(core, jnp.array(tokens))
    np.testing.assert_allclose(outputs, expected @ np.asarray(core.readout), rtol=1e-10)


def test_the_rnns_worst_case_gradient_is_that_of_its_corollary():
    """A scalar linear RNN of weight w passes w ** (H - 1) from its first token to its last."""
    core = RNN(1, (1,), lambda x: x, key=jax.random.key(0))
    ones = jax.tree.map(jnp.ones_like, core)
    core = eqx.tree_at(lambda core: core.cells[0].recurrent, ones, jnp.array([[1.5]]))
    slope = jax.jit(jax.grad(lambda x: core.parallel(x)[-1, 0]))(jnp.zeros((20, 1)))
    np.testing.assert_allclose(slope[:, 0], 1.5 ** np.arange(19, -1, -1.0), rtol=1e-12)


def test_an_lstm_starts_with_its_forget_gates_open():
    bias = LSTM(WIDTH, (4,), key=jax.random.key(0)).cells[0].inputs.bias
    np.testing.assert_array_equal(bias, np.repeat([0.0, 1.0, 0.0, 0.0], 4))


def test_recurrent_weights_start_orthogonal():
    recurrent = RNN(WIDTH, (6,), key=jax.random.key(0)).cells[0].recurrent
    np.testing.assert_allclose(recurrent @ recurrent.T, np.eye(6), atol=1e-12)
