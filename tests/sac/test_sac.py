"""Soft actor-critic: the library's update, our policy for its actor, and runs like any other."""

import dataclasses
import importlib.util
import sys

import equinox as eqx
import gymnasium
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import stable_baselines3
import torch

import beeline
from beeline.build import build
from beeline.config import Config, Exploration, SoftActorCritic, preset
from beeline.envs import make
from beeline.envs.gymnasium import GymnasiumTask
from beeline.run import DivergedError, RunError
from beeline.sac._delayed import DelayedSAC


@pytest.fixture(scope="module")
def tiny():
    return Config(
        model="sac",
        horizon=5,
        env_steps=60,
        seeds=2,
        exploration=Exploration(warmup_steps=20),
        sac=SoftActorCritic(
            hidden=(8, 8), batch_size=8, env_steps_per_policy_update=6, learning_rate=0.01
        ),
    )


@pytest.fixture(scope="module")
def learned(tiny):
    """Both seeds, after all but the last episode."""
    algorithm = build(tiny)
    algorithm.prepare([0, 1])
    state = algorithm.warm_up()
    for index in range(tiny.iterations - 1):
        state, *_ = algorithm.iterate(state, index)
    return algorithm


def directly(kind, ent_coef=0.1, **options):
    env = gymnasium.make("beeline/CancerTreatment-v0", horizon=5)
    sac = kind(
        "MlpPolicy",
        env,
        learning_starts=10,
        batch_size=8,
        buffer_size=50,
        train_freq=2,
        ent_coef=ent_coef,
        gamma=0.9,
        tau=0.1,
        learning_rate=0.01,
        policy_kwargs={"net_arch": [8]},
        seed=0,
        device="cpu",
        **options,
    )
    return sac.learn(40)


def weights(sac):
    return {name: value.numpy() for name, value in sac.policy.state_dict().items()}


@pytest.mark.parametrize("ent_coef", [0.1, "auto_0.1"])
def test_without_delay_it_is_the_librarys_own(ent_coef):
    ours = directly(DelayedSAC, ent_coef, actor_delay=1)
    theirs = directly(stable_baselines3.SAC, ent_coef)
    expected = weights(theirs)
    assert theirs._n_updates == ours._n_updates == 15
    for name, value in weights(ours).items():
        np.testing.assert_allclose(value, expected[name], rtol=1e-5, atol=1e-6, err_msg=name)
    delayed = directly(DelayedSAC, ent_coef, actor_delay=4)
    assert (len(delayed.critic_losses), len(delayed.actor_losses)) == (15, 3)
    if ent_coef != 0.1:
        assert ours.log_ent_coef.item() == pytest.approx(theirs.log_ent_coef.item(), rel=1e-6)
        # Fifteen updates by Adam against three.
        starts = [sac.log_ent_coef.item() - np.log(0.1) for sac in (ours, delayed)]
        assert starts == pytest.approx([-0.15, -0.03], abs=0.01)


def test_the_preset_is_the_librarys_own_recommendation():
    """Of Pendulum-v1: what is not named is the library's default, and the horizon a time limit."""
    config = preset("sac-zoo", task="pendulum", horizon=30, env_steps=120, seed=3)
    algorithm = build(config)
    algorithm.prepare([3])
    state, *_ = algorithm.iterate(algorithm.iterate(algorithm.warm_up(), 0)[0], 1)
    env = GymnasiumTask(make("pendulum", horizon=30), time_limit=True)
    options = {"learning_rate": 1e-3, "seed": 3, "device": "cpu"}
    theirs = stable_baselines3.SAC("MlpPolicy", env, **options).learn(120)
    assert theirs._n_updates == 20
    learner = state.learner
    assert learner.entropy_weight.weights[0] == pytest.approx(theirs.log_ent_coef.item(), rel=1e-6)
    assert np.any(theirs.replay_buffer.timeouts)
    assert not np.any(learner.transitions.dones)
    named = zip(theirs.policy.critic.named_parameters(), learner.critic.weights, strict=True)
    for (name, expected), value in named:
        expected = expected.detach().numpy()
        np.testing.assert_allclose(value[0], expected, rtol=1e-5, atol=1e-6, err_msg=name)
    states = env.task.initial_state(key=jax.random.key(0))
    expected, _ = theirs.predict(np.asarray(states), deterministic=True)
    policy = jax.tree.map(lambda leaf: leaf[0], state.policy)
    np.testing.assert_allclose(policy.mode(states, 7), expected, atol=1e-5)


def test_the_policy_is_the_actor(learned):
    learner = learned._learners[0]
    policy = learner.policy(learned._draw(jax.random.key(0)))
    random = np.random.default_rng(0)
    states, t = random.uniform(0, 1, (20, 1)).astype(np.float32), random.integers(0, 5, 20)
    seen = learner._normaliser.normalize_obs(np.column_stack([states, t / 5]).astype(np.float32))
    expected, _ = learner._sac.predict(seen, deterministic=True)
    given = jnp.asarray(states), jnp.asarray(t)
    np.testing.assert_allclose(policy.mode(*given), expected, atol=1e-5)
    assert np.ptp(expected) > 0.01

    mean, log_deviation, _ = learner._sac.actor.get_action_dist_params(torch.as_tensor(seen))
    distribution = learner._sac.actor.action_dist.proba_distribution(mean, log_deviation)
    noise = random.normal(size=(20, 1)).astype(np.float32)
    before = mean.detach().numpy() + np.exp(log_deviation.detach().numpy()) * noise
    actions, entropy = policy.sample(*given, jnp.asarray(noise))
    np.testing.assert_allclose(actions, np.tanh(before), atol=1e-5)
    expected = -distribution.log_prob(torch.tanh(torch.as_tensor(before))).detach().numpy()
    np.testing.assert_allclose(entropy, expected, atol=2e-3)


def test_an_iteration_is_an_episode(tiny, learned):
    before = learned._last
    state, record, _ = learned.iterate(before, tiny.iterations - 1)
    # Episodes of 5 steps, updates every 2: one step more belongs to the next.
    np.testing.assert_array_equal(before.learner.env_steps, [56, 56])
    np.testing.assert_array_equal(state.learner.env_steps, [60, 60])
    # Given the state before, it does the same again.
    again, *_ = learned.iterate(before, tiny.iterations - 1)
    assert eqx.tree_equal(state, again)
    assert all(np.shape(values) == (2,) for values in record)
    np.testing.assert_array_equal(record.critic_updates, [2, 2])
    assert np.all(np.isfinite(record.critic_loss))
    assert np.all(record.return_ < 0)
    shapes = jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), state)
    assert shapes == jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), learned.skeleton())


def test_what_the_horizon_cuts_off_is_not_over_for_the_critics(tiny):
    config = dataclasses.replace(tiny, task="cart-pole-balance", horizon=20, env_steps=160, seeds=1)
    algorithm = build(config)
    algorithm.prepare([0])
    state = algorithm.warm_up()
    for index in range(config.iterations):
        state, *_ = algorithm.iterate(state, index)
    kept = jax.tree.map(lambda x: np.asarray(x[0]), state.learner.transitions)
    fallen = np.abs(kept.next_observations[:, 2]) > np.radians(12)
    late = np.isclose(kept.next_observations[:, -1], 1)
    # What the horizon cuts off is not over.
    np.testing.assert_array_equal(kept.dones, fallen)
    assert fallen.any()
    assert (late & ~fallen).any()
    shapes = jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), state)
    assert shapes == jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), algorithm.skeleton())
    learner = algorithm._learners[0]
    before = learner.state()
    learner.put_back(before)
    assert eqx.tree_equal(learner.state(), before)
    # Where the episode under way is, its last observation tells.
    assert learner._monitor.unwrapped._t == round(20 * before.observation[-1]) > 0


def test_the_state_is_what_the_library_holds(learned):
    state, sac = learned._last.learner, learned._learners[1]._sac
    step = sac.num_timesteps
    np.testing.assert_array_equal(state.env_steps[1], step)
    np.testing.assert_array_equal(state.updates[1], sac._n_updates)
    buffer = sac.replay_buffer
    assert buffer.pos == step % 60
    for name, kept in state.transitions._asdict().items():
        np.testing.assert_array_equal(kept[1, :step], getattr(buffer, name)[:step, 0])
    for network, kept in ((sac.actor, state.actor), (sac.critic, state.critic)):
        named = zip(network.named_parameters(), kept.weights, kept.squares, strict=True)
        for (name, weight), ours, square in named:
            known = network.optimizer.state[weight]
            np.testing.assert_array_equal(ours[1], weight.detach(), err_msg=name)
            np.testing.assert_array_equal(square[1], known["exp_avg_sq"], err_msg=name)
            assert float(kept.updates[1]) == float(known["step"])
    seen = learned._learners[1]._normaliser.obs_rms
    assert state.normaliser.observation.mean.dtype == np.float64
    np.testing.assert_array_equal(state.normaliser.observation.mean[1], seen.mean)
    assert np.count_nonzero(state.rewards[1]) == step % 5


def test_each_seed_learns_as_it_would_alone(tiny):
    def policies(seeds, fields):
        algorithm = build(dataclasses.replace(fields, seeds=len(seeds)))
        algorithm.prepare(seeds)
        return algorithm.iterate(algorithm.warm_up(), 0)[0].policy

    short = dataclasses.replace(tiny, env_steps=30)
    before = np.random.get_state()[1].copy(), torch.get_rng_state()
    together, alone = policies([0, 1], short), policies([1], short)
    second = jax.tree.map(lambda x: x[1:] if eqx.is_array(x) else x, together)
    assert eqx.tree_equal(second, alone)
    first = jax.tree.map(lambda x: x[:1] if eqx.is_array(x) else x, together)
    assert not eqx.tree_equal(first, second)
    assert np.array_equal(np.random.get_state()[1], before[0])
    assert torch.equal(torch.get_rng_state(), before[1])


def test_without_normalising_observations_are_physical(tiny):
    plain = dataclasses.replace(
        tiny, env_steps=30, seeds=1, sac=dataclasses.replace(tiny.sac, normalise=False)
    )
    algorithm = build(plain)
    algorithm.prepare([0])
    policy = algorithm.warm_up().policy
    np.testing.assert_array_equal(policy.mean, jnp.zeros((1, 2)))
    np.testing.assert_array_equal(policy.deviation, jnp.ones((1, 2)))


@pytest.fixture(scope="module")
def run(tiny, own_cache, tmp_path_factory):
    return beeline.train(config=tiny, out=tmp_path_factory.mktemp("sac") / "run", progress=True)


def test_a_run_is_like_any_other(run, monkeypatch):
    # To use a run, the library is not needed.
    monkeypatch.setitem(sys.modules, "stable_baselines3", None)
    loaded = beeline.load(run.path)
    assert loaded.records == run.records
    assert [row["env_steps"] for row in run.records] == list(range(25, 61, 5))
    assert loaded.summary == run.summary
    assert run.summary["versions"]["stable_baselines3"] == stable_baselines3.__version__
    measured = beeline.evaluate(loaded)
    assert measured.return_ == pytest.approx(run.summary["return"], rel=1e-5)
    assert measured.normalized_return == pytest.approx(run.summary["normalized_return"], rel=1e-4)
    for name in ("learning_curve.png", "trajectories.png"):
        assert (run.path / name).read_bytes().startswith(b"\x89PNG")
    for seed in range(2):
        action = loaded.policies[seed].mode(loaded.env.initial_state(), 0)
        assert action == pytest.approx(measured.actions[seed, 0], abs=1e-6)


def test_what_a_baseline_does_not_have_is_refused(run):
    with pytest.raises(RunError, match="a run of sac has no world model"):
        _ = run.models


def test_a_package_that_is_missing(tiny, run, tmp_path, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "torch" else find(name)
    )
    wanted = r"the model 'sac' needs torch, .*: pip install 'beeline\[baselines\]'"
    with pytest.raises(RunError, match=wanted):
        beeline.train(config=tiny, out=tmp_path / "run")
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(RunError, match=wanted):
        beeline.resume(run.path, env_steps=100)


def test_a_run_that_diverges_is_stopped_and_named(tiny, tmp_path):
    absurd = dataclasses.replace(
        tiny, seeds=1, sac=dataclasses.replace(tiny.sac, learning_rate=1e30)
    )
    message = r"(critic|policy)_loss of seed 0 is not finite .*: lower the learning rates; .* holds"
    with pytest.raises(DivergedError, match=message):
        beeline.train(config=absurd, out=tmp_path / "run")


@pytest.mark.slow
def test_it_learns():
    config = Config(
        model="sac",
        horizon=10,
        env_steps=1500,
        exploration=Exploration(warmup_steps=200),
        sac=SoftActorCritic(hidden=(64, 64), env_steps_per_update=1, env_steps_per_policy_update=2),
    )
    run = beeline.train(config=config)
    assert run.summary["normalized_return"][0] > 0.8
