"""Random actions and noise: within bounds, stationary, and as slow as they claim."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from beeline.training import CorrelatedNoise, IndependentNoise
from beeline.training.exploration import _autoregressive

HORIZON = 32


def many(function, count=8000):
    return np.asarray(jax.jit(jax.vmap(function))(jax.random.split(jax.random.key(0), count)))


@pytest.mark.parametrize("exploration", [IndependentNoise(), CorrelatedNoise(0.6)])
def test_random_actions_fill_the_box_and_stay_within(exploration):
    drawn = many(lambda key: exploration.random_actions(HORIZON, 2, key=key))
    assert drawn.shape == (8000, HORIZON, 2)
    assert np.abs(drawn).max() <= 1
    assert drawn.min() < -0.99
    assert drawn.max() > 0.99
    assert np.abs(drawn.mean(axis=0)).max() < 0.04


def test_independent_actions_are_uniform():
    drawn = many(lambda key: IndependentNoise().random_actions(8, 1, key=key)).ravel()
    levels = np.quantile(drawn, [0.1, 0.25, 0.5, 0.75, 0.9])
    np.testing.assert_allclose(levels, [-0.8, -0.5, 0, 0.5, 0.8], atol=0.01)


def test_independent_noise_adds_nothing():
    offsets = IndependentNoise().offsets(HORIZON, 2, key=jax.random.key(0))
    np.testing.assert_array_equal(offsets, np.zeros((HORIZON, 2)))


def test_correlated_noise_is_stationary_with_unit_variance():
    noise = many(lambda key: _autoregressive(HORIZON, 1, key=key))[..., 0]
    np.testing.assert_allclose(noise.mean(axis=0), 0, atol=0.05)
    np.testing.assert_allclose(noise.std(axis=0), 1, atol=0.03)


def test_correlation_falls_as_its_time_scale_says():
    noise = many(lambda key: _autoregressive(HORIZON, 1, key=key))[..., 0]
    # The logarithm of the time scale is uniform on [0, log H]; below it, over 40 / H more, the
    # correlation of neighbours falls evenly from 1 / e to -1.
    memory = np.concatenate(
        [np.exp(-1 / HORIZON ** np.linspace(0, 1, 10_000)), np.linspace(np.exp(-1), -1, 10_000)]
    )
    share = np.repeat([np.log(HORIZON), 40 / HORIZON], 10_000)
    share /= share.sum()
    for lag in (1, 2, 5, 15, 30):
        measured = np.mean(noise[:, 0] * noise[:, lag])
        assert measured == pytest.approx(np.sum(share * memory**lag), abs=0.04)


@pytest.mark.parametrize(("horizon", "share"), [(20, 0.15), (400, 0.006)])
def test_some_noise_alternates_and_less_where_steps_are_many(horizon, share):
    noise = many(lambda key: _autoregressive(horizon, 1, key=key))[..., 0]
    neighbours = np.mean(noise[:, 1:] * noise[:, :-1], axis=1) / np.mean(noise**2, axis=1)
    assert np.mean(neighbours < -0.5) == pytest.approx(share, rel=0.35)


def test_offsets_grow_with_the_amplitude():
    small, large = (
        many(lambda key, a=a: CorrelatedNoise(a).offsets(HORIZON, 1, key=key)) for a in (0.1, 0.6)
    )
    np.testing.assert_allclose(6 * small, large, rtol=1e-5)
    # Of a size uniform on [0, 0.6]: the variance is 0.6² / 3.
    assert large.std() == pytest.approx(0.6 / np.sqrt(3), rel=0.03)
    assert not CorrelatedNoise(0.0).offsets(HORIZON, 1, key=jax.random.key(0)).any()


def test_entries_of_an_action_are_drawn_apart():
    noise = many(lambda key: CorrelatedNoise(0.6).offsets(HORIZON, 2, key=key))[:, HORIZON // 2]
    assert abs(np.corrcoef(noise.T)[0, 1]) < 0.05


def test_double_precision_gives_double_precision(float64):
    assert CorrelatedNoise(0.6).offsets(4, 1, key=jax.random.key(0)).dtype == jnp.float64
