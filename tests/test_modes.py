"""States of many entries seen by their principal components, against NumPy's decomposition."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import beeline
from beeline import envs
from beeline.build import build_bpo, build_critic, build_model, build_policy
from beeline.config import Model
from beeline.envs.classic import ReactionDiffusion
from beeline.gradients import Direct, Objective, Unrolled, draw_noise
from beeline.networks.modes import Modes
from beeline.networks.scaling import StateScaling
from beeline.run import Interrupted
from beeline.training import Optimiser
from beeline.training.fit import fit
from beeline.training.side_by_side import SideBySide

ENTRIES, COUNT = 9, 3


def fields(rank, seed=0):
    """Episodes whose states are a mean and `rank` patterns, of different units."""
    draws = np.random.default_rng(seed)
    sizes = draws.normal(size=(6, 20, rank)) * 2.0 ** -np.arange(rank)
    units = 10.0 ** draws.uniform(-2, 2, ENTRIES)
    return (sizes @ draws.normal(size=(rank, ENTRIES)) + draws.normal(size=ENTRIES)) * units


def by_svd(states):
    rows = states.reshape(-1, ENTRIES)
    centre, spread = rows.mean(0), rows.std(0)
    _, sizes, directions = np.linalg.svd((rows - centre) / spread, full_matrices=False)
    return centre, spread, sizes, directions


@pytest.mark.parametrize("compress", [False, True])
def test_states_in_the_span_come_back(compress, float64):
    states = jnp.asarray(fields(COUNT))
    modes = Modes.fit(states, COUNT)
    assert float(modes.project(states)[..., 0].std()) == pytest.approx(1, rel=1e-12)
    scaling = StateScaling.fit(states, compress=compress, modes=modes)
    codes = scaling.encode(states)
    assert codes.shape == (*states.shape[:2], COUNT)
    assert scaling.width == COUNT
    np.testing.assert_allclose(scaling.decode(codes), states, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(codes.mean((0, 1)), 0, atol=1e-12)
    np.testing.assert_allclose(codes.std((0, 1)), 1, rtol=1e-12)


def test_the_directions_are_those_of_the_largest_variance(float64):
    states = fields(ENTRIES)
    centre, spread, sizes, directions = by_svd(states)
    modes = Modes.fit(jnp.asarray(states), COUNT)
    np.testing.assert_allclose(modes.directions @ modes.directions.T, np.eye(COUNT), atol=1e-12)
    # Up to signs, which are anyone's choice.
    ours, known = modes.directions, directions[:COUNT]
    np.testing.assert_allclose(abs(ours @ known.T), np.eye(COUNT), atol=1e-10)
    kept = modes.expand(modes.project(jnp.asarray(states)))
    lost = np.mean(((kept - states) / spread) ** 2)
    assert lost == pytest.approx(np.sum(sizes[COUNT:] ** 2) / np.sum(sizes**2), rel=1e-10)
    np.testing.assert_allclose(kept.mean((0, 1)), centre, rtol=1e-10)


def test_all_directions_lose_nothing(float64):
    states = jnp.asarray(fields(ENTRIES))
    scaling = StateScaling.fit(states, modes=Modes.fit(states, ENTRIES))
    np.testing.assert_allclose(scaling.decode(scaling.encode(states)), states, rtol=1e-9)


def test_what_hardly_varies_is_not_blown_up(float64):
    states = jnp.asarray(fields(2))
    scaling = StateScaling.fit(states, compress=False, modes=Modes.fit(states, COUNT))
    assert float(scaling.scale[-1]) == pytest.approx(0.1 * float(scaling.scale[0]))
    assert float(abs(scaling.encode(states)[..., -1]).max()) < 1e-6


def test_weights_of_episodes_count(float64):
    states, chances = jnp.asarray(fields(ENTRIES)), jnp.asarray([0.5, 0.5, 0, 0, 0, 0])
    modes = Modes.fit(states, COUNT)
    weighted = StateScaling.fit(states, chances=chances, compress=False, modes=modes)
    alone = StateScaling.fit(states[:2], compress=False, modes=modes)
    np.testing.assert_allclose(weighted.scale, alone.scale, rtol=1e-12)
    assert weighted.modes is modes


@pytest.fixture(scope="module")
def config(tiny_windows):
    return dataclasses.replace(
        tiny_windows,
        task="reaction-diffusion",
        environment="ours",
        world_model=dataclasses.replace(tiny_windows.world_model, modes=str(COUNT)),
    )


@pytest.fixture(scope="module")
def env(config):
    return ReactionDiffusion(config.horizon, cells=ENTRIES)


def test_no_gradient_and_no_optimiser_moves_them(config, env):
    model = build_model(config, env, key=jax.random.key(0))
    states = jnp.asarray(fields(ENTRIES), jnp.float32)[:, : config.horizon + 1]
    actions = jnp.zeros((len(states), config.horizon, 4))
    modes = Modes.fit(states, COUNT)
    model = eqx.tree_at(lambda m: m.scaling, model, StateScaling.fit(states, modes=modes))
    gradient = eqx.filter_grad(type(model).fitting_loss)(model, states, actions)
    assert not any(leaf.any() for leaf in jax.tree.leaves(gradient.scaling))
    optimiser = Optimiser(0.1, 0.1, 1.0, weight_decay=0.5, method="muon")
    step = optimiser.step(model, gradient, optimiser.init(model), jnp.asarray(0.0))
    assert step.descent.taken
    assert eqx.tree_equal(step.weights.scaling.modes, modes)
    assert not eqx.tree_equal(step.weights.network, model.network)
    sizes = [leaf.shape for leaf in jax.tree.leaves(optimiser.init(model))]
    assert modes.directions.shape not in sizes


@pytest.mark.parametrize("name", ["gru-awm", "lstm-history", "markov"])
def test_every_part_sees_modes(config, env, name):
    config = dataclasses.replace(config, model=name)
    model, policy, critic = (
        eqx.filter_eval_shape(lambda key, make=make: make(config, env, key=key), jax.random.key(0))
        for make in (build_model, build_policy, build_critic)
    )
    assert [part.scaling.width for part in (model, policy, critic)] == [COUNT] * 3
    sizes = {leaf.shape for leaf in jax.tree.leaves((model, policy, critic)) if leaf.ndim == 2}
    # But for the directions, no array is as wide as the state.
    assert {shape for shape in sizes if ENTRIES in shape} == {(COUNT, ENTRIES)}


def test_both_routes_give_the_same_gradient(config, env, float64):
    config = dataclasses.replace(config, model="gru-awm")
    key = jax.random.key(0)
    states = jnp.asarray(fields(ENTRIES))
    scaling = StateScaling.fit(states, modes=Modes.fit(states, COUNT))
    model = eqx.tree_at(lambda m: m.scaling, build_model(config, env, key=key), scaling)
    policy = build_policy(config, env, key=key).standardise(scaling)
    policy = eqx.tree_at(lambda p: p.network.layers[-1].weight, policy, replace_fn=lambda w: 60 * w)
    objective = Objective(envs.reward_of(env), jnp.ones(()), jnp.asarray(0.01))
    noise = draw_noise(4, 6, 4, key=key)
    disturbances = 0.1 * jax.random.normal(key, (4, 6, COUNT))

    def measure(route):
        given = {"first": jnp.arange(4), "disturbances": disturbances}
        return eqx.filter_jit(route)(policy, model, objective, states[:4, 0], noise, **given)

    (one, _), direct = measure(Direct())
    (other, _), unrolled = measure(Unrolled())
    assert float(one) == pytest.approx(float(other), rel=1e-10)
    for a, b in zip(*map(jax.tree.leaves, (direct, unrolled)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6, atol=1e-10)
    assert any(leaf.any() for leaf in jax.tree.leaves(direct.network))


def test_a_run_keeps_its_modes_and_is_continued_to_the_same_bits(
    config, env, tmp_path, monkeypatch
):
    config = dataclasses.replace(config, task="cancer-treatment", environment="")
    whole = beeline.train(env, config=config)
    parts = whole.state.learners
    seen = parts["model"].weights.scaling, parts["policy"].weights.scaling
    seen = *seen, parts["critic"].weights.critic.scaling
    assert all(eqx.tree_equal(scaling.modes, seen[0].modes) for scaling in seen)
    warm_up = jax.tree.map(lambda x: x[0], whole.state.buffer.states)[:10]
    known = Modes.fit(warm_up, COUNT)
    ours = seen[0].modes.directions[0]
    np.testing.assert_allclose(abs(ours @ known.directions.T), np.eye(COUNT), atol=1e-3)
    first = StateScaling.fit(warm_up, modes=jax.tree.map(lambda x: x[0], seen[0].modes))
    assert not np.allclose(seen[0].scale[0], first.scale)
    iterate = SideBySide.iterate

    def stop(algorithm, state, index):
        if index == 4:
            raise KeyboardInterrupt
        return iterate(algorithm, state, index)

    monkeypatch.setattr(SideBySide, "iterate", stop)
    with pytest.raises(Interrupted):
        beeline.train(env, config=config, out=tmp_path / "run")
    monkeypatch.undo()
    assert eqx.tree_equal(beeline.resume(tmp_path / "run", env=env).state, whole.state)


def test_episodes_of_ones_own_are_fitted_by_modes_of_theirs(config, env):
    model = build_model(config, env, key=jax.random.key(0))
    states = jnp.asarray(fields(ENTRIES), jnp.float32)[:, : config.horizon + 1]
    fitted = fit(model, states, jnp.zeros((len(states), config.horizon, 4)), updates=1)
    known = Modes.fit(states, COUNT)
    np.testing.assert_allclose(fitted.scaling.modes.directions, known.directions, atol=1e-5)


@pytest.mark.parametrize(("entries", "count"), [(64, None), (65, 32)])
def test_by_default_a_state_of_many_entries_is_seen_by_32(config, entries, count):
    config = dataclasses.replace(config, world_model=Model())
    env = ReactionDiffusion(config.horizon, cells=entries)
    policy = eqx.filter_eval_shape(
        lambda key: build_policy(config, env, key=key), jax.random.key(0)
    )
    assert (policy.modes and policy.modes.count) == count
    assert policy.scaling.width == (count or entries)
    every = dataclasses.replace(config, world_model=Model(modes="all"))
    policy = eqx.filter_eval_shape(lambda key: build_policy(every, env, key=key), jax.random.key(0))
    assert policy.modes is None


@pytest.mark.parametrize("wrong", ["0", "-1", "some", "1.5", ""])
def test_a_number_of_modes_is_at_least_one(config, wrong):
    with pytest.raises(ValueError, match=r"world-model.modes is .*: give auto, all or an integer"):
        dataclasses.replace(config, world_model=Model(modes=wrong))


def test_there_are_no_more_modes_than_entries_and_none_without_statistics(config, env):
    many = dataclasses.replace(config, world_model=Model(modes=str(ENTRIES + 1)))
    with pytest.raises(ValueError, match="modes is 10, but a state of reaction-diffusion has 9"):
        build_bpo(many, env)
    plain = dataclasses.replace(config, world_model=Model(modes=str(COUNT), standardise=False))
    with pytest.raises(ValueError, match="modes is 3, but states are not standardised"):
        build_bpo(plain, env)
