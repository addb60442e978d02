import jax
import jax.numpy as jnp
import numpy as np
import pytest

from beeline.sequence import SelfAttention


def oracle(weights, tokens):
    """One token at a time, as the equation reads."""
    to_query, to_key, to_value = np.split(weights, 3, axis=1)
    outputs = []
    for t in range(len(tokens)):
        scores = (tokens[t] @ to_query) @ (tokens[: t + 1] @ to_key).T
        weight = np.exp(scores - scores.max())
        outputs.append(weight / weight.sum() @ (tokens[: t + 1] @ to_value))
    return np.stack(outputs)


@pytest.mark.usefixtures("float64")
def test_parallel_against_numpy():
    core = SelfAttention(6, key=jax.random.key(0))
    tokens = np.random.default_rng(0).normal(size=(70, 6))
    outputs = jax.jit(lambda core, x: core.parallel(x))(core, jnp.array(tokens))
    expected = oracle(np.asarray(core.query_key_value), tokens)
    np.testing.assert_allclose(outputs, expected, rtol=1e-10, atol=1e-12)


def test_scores_start_with_unit_variance():
    core = SelfAttention(64, key=jax.random.key(0))
    query, key, value = jnp.split(
        jax.random.normal(jax.random.key(1), (400, 64)) @ core.query_key_value, 3, axis=-1
    )
    assert abs((query @ key.T).std() - 1) < 0.1
    assert abs(value.std() - 1) < 0.1


def test_there_are_three_matrices_and_nothing_else():
    (weights,) = jax.tree.leaves(SelfAttention(6, key=jax.random.key(0)))
    assert weights.shape == (6, 18)
