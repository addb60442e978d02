import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from beeline.sequence import Transformer


def arrays(layer):
    return np.asarray(layer.weight), np.asarray(layer.bias)


def affine(layer, x):
    weight, bias = arrays(layer)
    return x @ weight + bias


def normalise(layer, x):
    weight, bias = arrays(layer)
    centred = x - x.mean(-1, keepdims=True)
    return centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5) * weight + bias


def gelu(x):
    return 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def attention(block, x):
    length, width = x.shape
    channels = width // block.heads
    fused = affine(block.query_key_value, normalise(block.attention_norm, x))
    heads = []
    for head in range(block.heads):
        query, key, value = (
            fused[:, part * width + head * channels :][:, :channels] for part in range(3)
        )
        scores = query @ key.T / math.sqrt(channels)
        scores[np.triu_indices(length, 1)] = -np.inf
        weights = np.exp(scores - scores.max(-1, keepdims=True))
        heads.append(weights / weights.sum(-1, keepdims=True) @ value)
    return affine(block.projection, np.concatenate(heads, axis=-1))


def oracle(core, tokens):
    x = tokens if core.table is None else tokens + np.asarray(core.table)[: len(tokens)]
    for block in core.blocks:
        x = x + attention(block, x)
        hidden, out = block.mlp.layers
        x = x + affine(out, gelu(affine(hidden, normalise(block.mlp_norm, x))))
    return normalise(core.norm, x)


def shaken(core):
    """Weights away from their special starts: zero biases, unit normalisations."""
    leaves, structure = jax.tree.flatten(core)
    keys = jax.random.split(jax.random.key(9), len(leaves))
    moved = [x + 0.3 * jax.random.normal(k, x.shape) for x, k in zip(leaves, keys, strict=True)]
    return jax.tree.unflatten(structure, moved)


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize(("length", "positions"), [(1, None), (64, 200), (131, None)])
def test_parallel_against_numpy(length, positions):
    core = Transformer(12, 2, 3, mlp_width=20, positions=positions, key=jax.random.key(0))
    core = shaken(core)
    tokens = np.random.default_rng(0).normal(size=(length, 12))
    outputs = jax.jit(lambda core, x: core.parallel(x))(core, jnp.array(tokens))
    np.testing.assert_allclose(outputs, oracle(core, tokens), rtol=1e-9, atol=1e-11)


def test_defaults_are_the_papers():
    core = eqx.filter_eval_shape(lambda key: Transformer(key=key), jax.random.key(0))
    assert (core.width, core.heads, len(core.blocks)) == (72, 3, 2)
    assert core.blocks[0].mlp.layers[0].weight.shape == (72, 288)


@pytest.mark.parametrize(("width", "heads"), [(12, 5), (12, 0), (12, -1)])
def test_heads_must_divide_the_width(width, heads):
    with pytest.raises(ValueError, match=f"width {width} is not divisible by {heads} heads"):
        Transformer(width, 1, heads, key=jax.random.key(0))


def test_a_position_table_limits_the_length():
    core = Transformer(12, 1, 3, positions=4, key=jax.random.key(0))
    for use in (
        lambda: core.parallel(jnp.zeros((5, 12))),
        lambda: core.start(5),
        lambda: core.reserve(core.start(4), 5),
    ):
        with pytest.raises(ValueError, match=r"5 tokens .* 4 learned positions"):
            use()
