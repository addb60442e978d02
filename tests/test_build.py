"""Every model and preset makes an algorithm that can be stepped."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from beeline import envs
from beeline.build import build_bpo, build_model, build_policy
from beeline.config import MODELS, PRESETS, Config, preset
from beeline.gradients import Direct, Unrolled
from beeline.training import CorrelatedNoise, IndependentNoise


def shape_of_one_iteration(config):
    algorithm = build_bpo(config)

    def once(key):
        keys = jax.random.split(key, 3)
        model = build_model(config, algorithm.env, key=keys[0])
        policy = build_policy(config, algorithm.env, key=keys[1])
        before = algorithm.init(model, policy, key=keys[2])
        return before, *algorithm.iterate(before, jnp.asarray(0))

    return eqx.filter_eval_shape(once, jax.random.key(0))


def same_shapes(a, b):
    kinds = [
        [(x.shape, x.dtype) for x in jax.tree.leaves(tree) if isinstance(x, jax.ShapeDtypeStruct)]
        for tree in (a, b)
    ]
    return kinds[0] == kinds[1] and len(kinds[0]) > 10


@pytest.mark.parametrize("model", MODELS)
def test_every_model_can_be_stepped(tiny, model):
    config = dataclasses.replace(tiny, model=model, horizon=4)
    before, after, record, faults = shape_of_one_iteration(config)
    assert same_shapes(before, after)
    assert all(value.shape == () for value in jax.tree.leaves(record))
    assert faults.collected.shape == faults.skipped["policy"].update.shape == ()


@pytest.mark.parametrize("name", [name for name in PRESETS if "model" not in PRESETS[name][1]])
def test_every_preset_of_world_models_can_be_stepped(name):
    config = preset(name, task="invasive-plant", horizon=10)
    before, after, *_ = shape_of_one_iteration(config)
    assert same_shapes(before, after)
    assert before.buffer.actions.shape == (config.warmup_episodes + config.iterations, 10, 5)


def test_the_route_of_the_gradient_follows_from_the_model(tiny):
    def route(**changes):
        improvement = dataclasses.replace(tiny.improvement, **changes)
        models = ("transformer-awm", "markov")
        return [
            build_bpo(
                dataclasses.replace(tiny, model=model, improvement=improvement)
            ).improvement.gradient
            for model in models
        ]

    stopped = route(through_policy=0.0, through_states=0.7)
    assert [type(gradient) for gradient in stopped] == [Direct, Unrolled]
    assert stopped[1].through_states == 0.7
    assert [type(gradient) for gradient in route(through_policy=0.5)] == [Unrolled, Unrolled]


def test_exploration_is_what_the_configuration_says(tiny):
    algorithm = build_bpo(tiny)
    assert isinstance(algorithm.exploration, CorrelatedNoise)
    assert algorithm.exploration.amplitude == tiny.exploration.amplitude
    alone = dataclasses.replace(tiny.exploration, correlated=False)
    assert isinstance(
        build_bpo(dataclasses.replace(tiny, exploration=alone)).exploration, IndependentNoise
    )


@pytest.mark.parametrize("units", ["state", "change"])
def test_a_markov_model_predicts_changes_in_the_units_asked_for(tiny, units):
    named = dataclasses.replace(tiny.world_model, units=units)
    config = dataclasses.replace(tiny, world_model=named)
    env = envs.make(config.task, horizon=config.horizon)
    model_key, policy_key, key = jax.random.split(jax.random.key(0), 3)
    drawn = build_model(config, env, key=model_key)
    policy = build_policy(config, env, key=policy_key)
    algorithm = build_bpo(config)
    state = eqx.filter_jit(algorithm.init)(drawn, policy, key=key)
    model = state.model
    if units == "state":
        assert drawn.change is model.change is None
    else:
        warmup = state.buffer.states[: algorithm.warmup_episodes]
        spread = np.diff(np.asarray(model.scaling.encode(warmup)), axis=1).std(axis=(0, 1))
        np.testing.assert_allclose(model.change, spread, rtol=1e-4)


def test_networks_are_drawn_from_the_key():
    config = Config(model="markov", horizon=5)
    env = envs.make(config.task, horizon=5)
    for draw in (build_model, build_policy):
        one, same, other = (
            jax.tree.leaves(eqx.filter(draw(config, env, key=jax.random.key(k)), eqx.is_array))
            for k in (0, 0, 1)
        )
        assert all(np.array_equal(a, b) for a, b in zip(one, same, strict=True))
        assert not all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))
