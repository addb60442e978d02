import jax
import jax.numpy as jnp
import numpy as np
import pytest

from beeline.networks.layers import MLP, LayerNorm, Linear

pytestmark = pytest.mark.usefixtures("float64")


def draw(*shape):
    return np.random.default_rng(0).normal(size=shape)


@pytest.mark.parametrize("batch", [(), (7,), (2, 3)])
def test_linear_multiplies_from_the_right(batch):
    layer = Linear(4, 5, key=jax.random.key(0))
    x = draw(*batch, 4)
    expected = x @ np.asarray(layer.weight) + np.asarray(layer.bias)
    np.testing.assert_allclose(layer(jnp.array(x)), expected, rtol=1e-12)


def test_linear_keeps_the_variance_unless_told_otherwise():
    assert Linear(400, 300, key=jax.random.key(0)).weight.std() == pytest.approx(0.05, rel=0.02)
    narrow = Linear(400, 300, scale=0.01, key=jax.random.key(0))
    assert narrow.weight.std() == pytest.approx(0.01, rel=0.02)
    assert not narrow.bias.any()


def test_layer_norm_against_numpy():
    x, weight, bias = draw(6, 8) * 3 + 1, draw(8), np.arange(8.0)
    norm = jax.tree.unflatten(
        jax.tree.structure(LayerNorm(8)), [jnp.array(weight), jnp.array(bias)]
    )
    deviation = np.sqrt(x.var(axis=-1, keepdims=True) + 1e-5)
    expected = (x - x.mean(axis=-1, keepdims=True)) / deviation * weight + bias
    np.testing.assert_allclose(norm(jnp.array(x)), expected, rtol=1e-10)


def test_layer_norm_of_a_constant_row_has_a_finite_gradient():
    slope = jax.grad(lambda x: (LayerNorm(8)(x) ** 2).sum())(jnp.ones(8))
    assert jnp.isfinite(slope).all()


def test_mlp_activates_between_its_layers_only():
    network = MLP((3, 7, 5, 2), jnp.tanh, key=jax.random.key(1))
    x = draw(4, 3)
    value = x
    for layer in network.layers[:-1]:
        value = np.tanh(value @ np.asarray(layer.weight))
    value = value @ np.asarray(network.layers[-1].weight)
    np.testing.assert_allclose(network(jnp.array(x)), value, rtol=1e-12)
    assert [layer.weight.shape for layer in network.layers] == [(3, 7), (7, 5), (5, 2)]


def test_mlp_scales_its_last_layer_alone():
    network = MLP((300, 300, 200), last_scale=0.01, key=jax.random.key(1))
    first, last = (float(layer.weight.std()) for layer in network.layers)
    assert first == pytest.approx(300**-0.5, rel=0.05)
    assert last == pytest.approx(0.01, rel=0.05)
