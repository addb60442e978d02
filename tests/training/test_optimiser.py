"""The optimiser against optax, and its cosine."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from beeline._layers import Linear
from beeline.training import Optimiser

pytestmark = pytest.mark.usefixtures("hasty")


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
        weights, state, norm = optimiser.step(weights, gradient, state, jnp.asarray(progress))
    return weights, norm


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


def _is_matrix(weight):
    return weight.ndim >= 2
