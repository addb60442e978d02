"""Policy gradients by sample, and their angles."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from beeline.diagnostics import align, default_route, policy_gradient_norms, policy_gradients
from beeline.gradients import Direct, Objective, Unrolled
from beeline.models import MarkovModel
from beeline.policies import SquashedGaussian
from beeline.sequence import SelfAttention
from beeline.theory.instances import BareCore, EqualSlopes
from tests.networks import drawn, normal

HORIZON = 4


def problem():
    policy = drawn(SquashedGaussian, 2, 1, HORIZON, hidden_sizes=(3,))
    model = drawn(MarkovModel, 2, 1, HORIZON, hidden_sizes=(4,), seed=1)
    objective = Objective(lambda s, a, t: jnp.sum(s**2), jnp.ones(()), jnp.zeros(()))
    return policy, model, objective, normal(6, 2, seed=2), normal(6, HORIZON, 1, seed=3)


def test_samples_average_to_the_gradient_of_the_batch():
    given = problem()
    gradients = policy_gradients(*given)
    _, slope = eqx.filter_jit(Unrolled())(*given)
    np.testing.assert_allclose(gradients.mean(axis=0), ravel_pytree(slope)[0], atol=1e-6)
    norms = policy_gradient_norms(*given)
    np.testing.assert_allclose(norms, np.linalg.norm(gradients, axis=1), rtol=1e-5)


def test_routes_by_kind_of_model():
    core = SelfAttention(2, key=jax.random.key(0))
    assert isinstance(default_route(BareCore(core)), Direct)
    assert isinstance(default_route(EqualSlopes(1.0, 1.0)), Unrolled)


@pytest.mark.parametrize("scale", [1e-25, 1.0, 1e25])
def test_alignment_of_known_angles(scale):
    noise = np.random.default_rng(0)
    truth = jnp.asarray(noise.normal(size=(8, 3)) + 2, jnp.float32)
    same = align(2 * scale * truth, scale * truth)
    np.testing.assert_allclose([same.cosine, same.norm_ratio], [1, 2], rtol=1e-5)
    np.testing.assert_allclose(same.sample_cosines, 1, rtol=1e-5)
    assert same.deviation < 1e-3
    assert align(-truth, truth).cosine == pytest.approx(-1)
    quarter = jnp.tile(jnp.array([1.0, 0.0]), (4, 1)), jnp.tile(jnp.array([1.0, 1.0]), (4, 1))
    assert align(*quarter).cosine == pytest.approx(2**-0.5)


def test_jackknife_error_is_the_spread_over_fresh_samples():
    noise = np.random.default_rng(1)
    truth = jnp.ones((25, 4))

    def draw():
        return align(truth + jnp.asarray(noise.normal(size=truth.shape), jnp.float32), truth)

    drawn = [draw() for _ in range(60)]
    spread = np.std([float(a.cosine) for a in drawn])
    assert np.mean([float(a.deviation) for a in drawn]) == pytest.approx(spread, rel=0.35)


def test_a_gradient_of_zero_has_no_direction():
    assert jnp.isnan(align(jnp.zeros((2, 3)), jnp.ones((2, 3))).cosine)


def test_one_sample_is_refused():
    with pytest.raises(ValueError, match="1 sample was given: give two or more"):
        align(jnp.ones((1, 3)), jnp.ones((1, 3)))
