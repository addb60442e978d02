"""Improving the policy: the noise that it is improved under."""

from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats

from beeline.build import build_bpo, build_model, build_policy
from beeline.config import preset
from beeline.gradients import Imagined, Objective, PolicyGradient


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
    env, improvement = algorithm.env, algorithm.improvement
    improvement = type(improvement)(
        Spread(), improvement.optimiser, improvement.batch_size, improvement.first_noise
    )
    policy = build_policy(config, env, key=key)
    objective = Objective(env.reward, jnp.ones(()), jnp.zeros(()))

    def spread(progress):
        improved = improvement.update(
            policy,
            improvement.optimiser.init(policy),
            build_model(config, env, key=key),
            env,
            objective,
            jnp.asarray(progress),
            key=key,
        )
        return improved.imagined_return

    wide, middle, narrow = (spread(progress) for progress in (0.0, 0.5, 1.0))
    assert narrow == pytest.approx(1, abs=0.05)
    times = {"default": (4, 1.75), "paper": (1, 1)}[name]
    np.testing.assert_allclose((wide / narrow, middle / narrow), times, rtol=1e-6)


def test_the_entropy_told_is_the_policys_own_however_wide_the_noise():
    config = preset("default", task="cancer-treatment", horizon=20, model="markov")
    algorithm, key = build_bpo(config), jax.random.key(0)
    env, improvement = algorithm.env, algorithm.improvement
    policy = build_policy(config, env, key=key)
    improved = eqx.filter_jit(improvement.update)(
        policy,
        improvement.optimiser.init(policy),
        build_model(config, env, key=key),
        env,
        Objective(env.reward, jnp.ones(()), jnp.zeros(())),
        jnp.asarray(0.0),
        key=key,
    )
    deviation = policy.distribution(env.initial_state(), 0)[1]
    # No policy of this configuration may deviate by more than 0.3.
    assert improved.entropy < scipy.stats.norm.entropy(0, 0.3)
    assert improved.entropy == pytest.approx(scipy.stats.norm.entropy(0, deviation)[0], abs=0.05)
