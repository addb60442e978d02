"""Improving the policy: the noise that it is improved under."""

import dataclasses
from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from beeline.build import build_bpo, build_model, build_policy
from beeline.config import preset
from beeline.gradients import Imagined, PolicyGradient
from beeline.training import Buffer, Context


@final
class Spread(PolicyGradient):
    """Gives the spread of the noise as the return."""

    def __call__(self, policy, model, objective, initial_states, noise):
        zeros = jnp.zeros(noise.shape[:2])
        spread = jnp.full(noise.shape[0], noise.std() * policy.width)
        imagined = Imagined(zeros[..., None], zeros[..., None], zeros, spread)
        return (jnp.zeros(()), imagined), jax.tree.map(jnp.zeros_like, policy)


@pytest.mark.parametrize("name", ["default", "paper"])
def test_noise_narrows_down_to_the_policys_own(name, float64):
    config = preset(name, horizon=100, model="markov")
    algorithm, key = build_bpo(config), jax.random.key(0)
    env = algorithm.env
    improvement = dataclasses.replace(algorithm.improvement, gradient=Spread())
    policy = build_policy(config, env, key=key)
    nothing = Buffer.empty(env, 1)

    def spread(progress):
        weights = {"model": build_model(config, env, key=key)}
        context = Context(nothing, jnp.asarray(progress), weights=weights)
        return improvement.slope(policy, context, key=key).values[0]

    wide, middle, narrow = (spread(progress) for progress in (0.0, 0.5, 1.0))
    assert narrow == pytest.approx(1, abs=0.05)
    times = {"default": (4, 1.75), "paper": (1, 1)}[name]
    np.testing.assert_allclose((wide / narrow, middle / narrow), times, rtol=1e-6)


def test_the_entropy_told_is_the_policys_own_however_wide_the_noise():
    config = preset("default", task="cancer-treatment", horizon=20, model="markov")
    algorithm, key = build_bpo(config), jax.random.key(0)
    env = algorithm.env
    policy = build_policy(config, env, key=key)
    weights = {"model": build_model(config, env, key=key)}
    context = Context(Buffer.empty(env, 1), weights=weights)
    slope = eqx.filter_jit(algorithm.improvement.slope)(policy, context, key=key)
    entropy = slope.values[1]
    deviation = policy.distribution(env.initial_state(), 0)[1]
    # No policy of this configuration may deviate by more than 0.3.
    assert entropy < scipy.stats.norm.entropy(0, 0.3)
    assert entropy == pytest.approx(scipy.stats.norm.entropy(0, deviation)[0], abs=0.05)
