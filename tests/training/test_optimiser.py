"""The optimiser against optax, and its cosine."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from beeline.networks.layers import Linear
from beeline.training import Optimiser


@pytest.fixture
def weights():
    return Linear(3, 2, key=jax.random.key(0))


def gradients(weights, count):
    def draw(key):
        keys = iter(jax.random.split(key, 2))
        return jax.tree.map(lambda w: 3 * jax.random.normal(next(keys), w.shape), weights)

    return [draw(jax.random.key(i)) for i in range(1, count + 1)]


def descend(optimiser, weights, steps, progress):
    state = optimiser.init(weights)
    for gradient in gradients(weights, steps):
        weights, state, descent = optimiser.step(weights, gradient, state, jnp.asarray(progress))
    return weights, descent.gradient_norm


@pytest.mark.parametrize("decay", [0.0, 0.1])
@pytest.mark.parametrize("clip", [0.5, 100.0])
def test_is_adam_with_clipping_and_decay(weights, decay, clip):
    ours, norm = descend(Optimiser(0.01, 1.0, clip, decay), weights, 5, 0.3)
    reference = optax.chain(
        optax.clip_by_global_norm(clip),
        optax.adamw(0.01, weight_decay=decay, mask=lambda tree: jax.tree.map(_is_matrix, tree)),
    )
    theirs, state = weights, reference.init(weights)
    for gradient in gradients(weights, 5):
        updates, state = reference.update(gradient, state, theirs)
        theirs = eqx.apply_updates(theirs, updates)
    np.testing.assert_allclose(ours.weight, theirs.weight, rtol=1e-5)
    np.testing.assert_allclose(ours.bias, theirs.bias, rtol=1e-5)
    last = gradients(weights, 5)[-1]
    assert float(norm) == pytest.approx(float(optax.tree.norm(last)), rel=1e-6)


@pytest.mark.parametrize(
    ("progress", "share"), [(0.0, 1.0), (0.5, 0.55), (1.0, 0.1), (1 / 3, 0.775)]
)
def test_the_rate_falls_on_a_cosine_over_the_run(weights, progress, share):
    full, _ = descend(Optimiser(0.01, 1.0, 1e9), weights, 1, progress)
    part, _ = descend(Optimiser(0.01, 0.1, 1e9), weights, 1, progress)
    moved = np.asarray(part.weight - weights.weight) / np.asarray(full.weight - weights.weight)
    np.testing.assert_allclose(moved, share, rtol=1e-3)


def test_clipping_can_be_left_out(weights):
    ours, _ = descend(Optimiser(0.01, 1.0, float("inf")), weights, 3, 0.0)
    theirs, _ = descend(Optimiser(0.01, 1.0, 1e9), weights, 3, 0.0)
    np.testing.assert_allclose(ours.weight, theirs.weight, rtol=1e-6)


@pytest.mark.parametrize("limit", [1.0, float("inf")])
def test_gradients_of_every_finite_size_are_clipped_alike(weights, limit):
    exact = jax.tree.map(lambda g: np.asarray(g, np.float64) / 10, gradients(weights, 1)[0])
    optimiser = Optimiser(0.01, 1.0, limit)
    descend_once = jax.jit(
        lambda g: optimiser.step(weights, g, optimiser.init(weights), jnp.zeros(()))
    )
    for size in (1e-12, 1.0, 1e10, 1e25, 3e38):
        norm = size * np.sqrt(sum(np.sum(g**2) for g in jax.tree.leaves(exact)))
        after, state, descent = descend_once(
            jax.tree.map(lambda g, size=size: jnp.asarray(g * size, jnp.float32), exact)
        )
        assert bool(descent.taken)
        assert float(descent.gradient_norm) == pytest.approx(norm, rel=1e-5)
        assert bool(descent.clipped) == (norm >= min(limit, 1e15))
        clipped = size * min(1.0, min(limit, 1e15) / norm)
        for mean, g in zip(jax.tree.leaves(state[1].mu), jax.tree.leaves(exact), strict=True):
            np.testing.assert_allclose(mean, 0.1 * clipped * g, rtol=1e-5)
        for leaf in jax.tree.leaves((after, state)):
            assert np.isfinite(leaf).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_no_step_is_taken_along_what_is_not_finite(weights, bad):
    optimiser = Optimiser(0.01, 1.0, 1.0)
    gradient = gradients(weights, 1)[0]
    before, state, _ = optimiser.step(weights, gradient, optimiser.init(weights), jnp.zeros(()))
    entries = [leaf.size for leaf in jax.tree.leaves(gradient)]
    broken = eqx.tree_at(lambda w: w.bias, gradient, gradient.bias.at[1].set(bad))
    cases = {
        sum(entries[: _position(gradient)]) + 1: (broken, 0.0),
        -1: (gradient, bad),
    }
    for entry, (given, value) in cases.items():
        after, held, descent = optimiser.step(
            before, given, state, jnp.zeros(()), value=jnp.asarray(value)
        )
        assert not descent.taken
        assert int(descent.bad_entry) == entry
        for ours, theirs in zip(
            *map(jax.tree.leaves, ((after, held), (before, state))), strict=True
        ):
            np.testing.assert_array_equal(ours, theirs)


def test_a_lower_rate_takes_a_shorter_step(weights):
    optimiser = Optimiser(0.01, 0.1, 1.0)
    gradient, state = gradients(weights, 1)[0], optimiser.init(weights)
    full, half = (
        optimiser.step(weights, gradient, state, jnp.asarray(0.3), rate=rate).weights
        for rate in (1.0, 0.5)
    )
    np.testing.assert_allclose(
        half.weight - weights.weight, 0.5 * (full.weight - weights.weight), rtol=1e-4, atol=1e-7
    )


def _position(gradient):
    return next(i for i, leaf in enumerate(jax.tree.leaves(gradient)) if leaf.ndim == 1)


def _is_matrix(weight):
    return weight.ndim >= 2


def test_muon_turns_the_gradient_of_a_matrix_into_an_orthogonal_one():
    weights = Linear(24, 16, key=jax.random.key(0))
    rows, columns = (jax.random.normal(jax.random.key(i), (n, 16)) for i, n in ((1, 24), (2, 16)))
    # Directions of very different steepness.
    steep = jnp.logspace(0, -3, 16)
    matrix = jnp.linalg.qr(rows)[0] * steep @ jnp.linalg.qr(columns)[0].T
    gradient = eqx.tree_at(
        lambda w: (w.weight, w.bias), weights, (matrix, jnp.linspace(-2.0, 2.0, 16))
    )
    optimiser = Optimiser(0.01, 1.0, 1e9, method="muon")
    step = optimiser.step(weights, gradient, optimiser.init(weights), jnp.zeros(()))
    moved = (weights.weight - step.weights.weight) / 0.01
    # Newton and Schulz's polynomial leaves singular values near one, but for the flattest.
    sizes = np.linalg.svd(moved, compute_uv=False)
    assert sizes.max() < 1.3
    assert np.all(sizes[:12] > 0.6)
    left, _, right = np.linalg.svd(np.asarray(matrix), full_matrices=False)
    assert np.sum(np.asarray(moved) * (left @ right)) > 0.7 * 16
    # What is not a matrix follows Adam, whose first step is the sign.
    bias = (weights.bias - step.weights.bias) / 0.01
    np.testing.assert_allclose(np.sign(bias), np.sign(gradient.bias))
    assert np.ptp(np.abs(bias)) < 1e-3
    assert step.descent.taken


def test_muon_decays_matrices_alone():
    weights = Linear(4, 3, key=jax.random.key(0))
    still = jax.tree.map(jnp.zeros_like, weights)
    optimiser = Optimiser(0.1, 1.0, 1.0, 0.5, "muon")
    step = optimiser.step(weights, still, optimiser.init(weights), jnp.zeros(()))
    np.testing.assert_allclose(step.weights.weight, 0.95 * weights.weight, rtol=1e-5)
    np.testing.assert_array_equal(step.weights.bias, weights.bias)
