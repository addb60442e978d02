import jax
import jax.numpy as jnp
import numpy as np
import pytest

from beeline.sequence._attention import causal_attention


def oracle(query, key, value):
    scores = np.einsum("qhc,khc->hqk", query, key)
    scores[:, np.triu(np.ones(scores.shape[1:], bool), 1)] = -np.inf
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    return np.einsum("hqk,khc->qhc", weights / weights.sum(-1, keepdims=True), value)


# Blocks are 64 long up to 512 tokens, then an eighth of the length.
@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("length", [1, 63, 64, 65, 511, 513, 521])
def test_blocks_add_up_to_the_full_square(length):
    drawn = np.random.default_rng(0).normal(size=(3, length, 2, 4))
    attended = jax.jit(causal_attention)(*jnp.array(drawn))
    np.testing.assert_allclose(attended, oracle(*drawn), rtol=1e-10, atol=1e-12)


def test_large_scores_do_not_overflow():
    drawn = jax.random.normal(jax.random.key(0), (3, 80, 2, 4))
    slope = jax.jit(jax.grad(lambda x: (causal_attention(*x) ** 2).sum()))(1e4 * drawn)
    assert jnp.isfinite(slope).all()
