import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from beeline.compute import microbatch as _microbatch
from beeline.compute.microbatch import group_size, mean_in_groups


@given(st.integers(1, 200), st.integers(1, 5000))
def test_groups_divide_the_batch_and_fit_unless_one_episode_does_not(batch, tokens):
    size = group_size(batch, tokens)
    assert batch % size == 0
    assert size == 1 or size * tokens <= _microbatch._CPU_TOKENS


def test_groups_are_as_large_as_fits():
    assert group_size(16, 500) == 2
    assert group_size(16, 64) == 16
    assert group_size(17, 500) == 1


def test_accelerators_take_the_batch_whole(monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert group_size(64, 10_000) == 64


def mean_and_each(x, y):
    each = {"sum": x.sum(axis=1), "product": x * y[:, None]}
    return {"mean": (x.sum(axis=1) * y).mean(), "columns": jnp.exp(x).mean(axis=0)}, each


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("size", [1, 2, 3, 6, 12])
def test_groups_give_what_the_whole_batch_gives(size):
    draws = np.random.default_rng(0).normal(size=(12, 5))
    x, y = jnp.array(draws[:, :4]), jnp.array(draws[:, 4])
    whole = mean_and_each(x, y)
    parts = jax.jit(lambda x, y: mean_in_groups(mean_and_each, x, y, size=size))(x, y)
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-12), parts, whole)
