"""Rollouts parallel in time, against steps one by one."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from beeline.build import build, build_model, build_policy
from beeline.config import MODELS, preset
from beeline.gradients import Direct, Objective, Unrolled, direct, rollout
from beeline.gradients._sweeps import sweep_rollout
from tests.networks import normal

BATCH, STEPS = 4, 9


@pytest.fixture(scope="module", params=["attention-awm", "ssm-awm"])
def parts(request):
    with jax.enable_x64(True):
        config = preset("default", horizon=STEPS, model=request.param, env_steps=2000)
        env = build(config).env
        model, policy = (
            eqx.filter_jit(make)(config, env, key=jax.random.key(0))
            for make in (build_model, build_policy)
        )
        # A new policy hardly looks at the state.
        policy = eqx.tree_at(
            lambda p: p.network.layers[-1].weight, policy, replace_fn=lambda w: 60 * w
        )
        starts = jnp.asarray(np.tile(env.initial_state(), (BATCH, 1)))
        return env, model, policy, starts, normal(BATCH, STEPS, env.action_dim, seed=2)


@pytest.mark.usefixtures("float64")
def test_sweeps_settle_where_steps_lead(parts):
    _, model, policy, starts, noise = parts

    def live(state, draws):
        return rollout(policy, model, state, draws, through_policy=0.0, through_states=0.0)

    states, actions, *_ = jax.jit(jax.vmap(live))(starts, noise)
    settled = jax.jit(lambda: sweep_rollout(policy, model, starts, noise, tolerance=0.0))()
    assert 1 < settled.sweeps <= STEPS + 1
    np.testing.assert_allclose(settled.actions, actions, atol=1e-12)
    np.testing.assert_allclose(settled.states, states, rtol=1e-10)
    once = jax.jit(lambda: sweep_rollout(policy, model, starts, noise, most_sweeps=1))()
    assert once.sweeps == 1
    # The first action does not wait for any other.
    np.testing.assert_allclose(once.actions[:, 0], actions[:, 0], atol=1e-12)
    assert np.abs(np.asarray(once.actions) - actions).max() > 1e-6


@pytest.mark.usefixtures("float64")
def test_sweeps_stop_at_what_rounding_leaves(parts):
    _, model, policy, starts, noise = parts
    settled = eqx.filter_jit(sweep_rollout)(policy, model, starts, noise)
    assert 1 < settled.sweeps <= STEPS
    assert settled.change < 1e-13 or settled.sweeps == STEPS


@pytest.mark.usefixtures("float64")
def test_an_accelerator_visits_states_by_sweeps_and_gets_the_same_gradient(parts, monkeypatch):
    env, model, policy, starts, noise = parts
    objective = Objective(env.reward, jnp.asarray(2.0), jnp.asarray(0.01))
    first = jnp.arange(BATCH)
    disturbances = 0.1 * normal(BATCH, STEPS, model.scaling.width, seed=3)
    given = objective, starts, noise, first, disturbances
    (one, imagined), slope = eqx.filter_jit(Unrolled())(policy, model, *given)
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    monkeypatch.setattr(direct, "rollout", None)
    (other, swept), by_sweeps = eqx.filter_jit(Direct())(policy, model, *given)
    np.testing.assert_allclose(other, one, rtol=1e-10)
    np.testing.assert_allclose(swept.states, imagined.states, rtol=1e-9)
    for a, b in zip(*map(jax.tree.leaves, (by_sweeps, slope)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-7, atol=1e-10)


@pytest.mark.parametrize("model", [name for name in MODELS if name.endswith("-awm")])
def test_what_is_parallel_in_time_is_swept_on_an_accelerator_alone(model, monkeypatch):
    config = preset("default", horizon=STEPS, model=model, env_steps=2000)
    env = build(config).env
    parts = (make(config, env, key=jax.random.key(0)) for make in (build_policy, build_model))
    policy, world = parts
    starts, noise = jnp.ones((1, env.state_dim)), jnp.zeros((1, STEPS, env.action_dim))
    objective = Objective(env.reward, jnp.asarray(1.0), jnp.asarray(0.0))

    def whiles(backend):
        monkeypatch.setattr(jax, "default_backend", lambda: backend)
        traced = jax.make_jaxpr(lambda: Direct()(policy, world, objective, starts, noise)[0][0])()
        return " while[" in str(traced)

    assert not whiles("cpu")
    assert whiles("gpu") == (model.split("-")[0] in {"transformer", "attention", "ssm"})
