"""The online decision transformer: its labels, what it may see, its loss, and that it learns."""

import dataclasses
from types import SimpleNamespace

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

import beeline
from beeline.build import build
from beeline.cli import _main as cli
from beeline.envs import Environment
from beeline.online_dt._decision_transformer import DecisionTransformer, Gaussian, returns_to_go
from beeline.online_dt._imitation import Imitation
from beeline.online_dt._online_dt import _seeker_state, _state
from beeline.online_dt._return_seeker import ReturnSeeker, _live
from beeline.training import Buffer, Episode, IndependentNoise
from benchmarks import soak

HORIZON, STATE, ACTION = 5, 2, 2


class Aim(Environment):
    """Every step is to choose 0.5 and -0.5; the state counts the steps."""

    name: str = "aim"
    state_dim: int = STATE
    action_dim: int = ACTION
    horizon: int = HORIZON
    dt: float = 1.0

    def initial_state(self, *, key=None):
        return jnp.zeros(2)

    def step(self, state, action, t, *, key=None):
        return state + jnp.array([1.0, 0.5])

    def reward(self, state, action, t):
        return -jnp.sum((action - jnp.array([0.5, -0.5])) ** 2)


IMITATION = Imitation(
    learning_rate=3e-3,
    rate_warmup=5,
    weight_decay=1e-4,
    clip=0.25,
    temperature=0.1,
    temperature_rate=1e-2,
    batch_size=16,
)


def network(context=HORIZON, seed=0, acting_context=None):
    sizes = {"width": 8, "layers": 1, "heads": 2}
    key = jax.random.key(seed)
    contexts = {"context": context, "acting_context": acting_context}
    made = DecisionTransformer(STATE, ACTION, HORIZON, key=key, **contexts, **sizes)
    # The last layer starts small; here what it makes should show.
    return eqx.tree_at(lambda m: m.head.weight, made, 20 * made.head.weight)


def part(seed=1, steps=HORIZON):
    draws = np.random.default_rng(seed)
    to_go, states = draws.normal(size=steps), draws.normal(size=(steps, STATE))
    actions = draws.uniform(-0.9, 0.9, (steps, ACTION))
    return tuple(jnp.asarray(x, jnp.float32) for x in (to_go, states, actions))


def algorithm(**changed):
    fields = {
        "env": Aim(),
        "exploration": IndependentNoise(),
        "imitation": IMITATION,
        "target": 0.0,
        "unit": 2.5,
        "capacity": 100,
        "warmup_episodes": 4,
        "steps_per_update": 1.0,
        "iterations": 40,
    }
    return ReturnSeeker(**fields | changed)


def test_labels_are_those_of_a_loop():
    rewards = np.random.default_rng(0).normal(size=(3, 7)).astype(np.float32)
    labels = np.zeros_like(rewards)
    for episode in range(3):
        for t in range(7):
            for later in range(t, 7):
                labels[episode, t] += rewards[episode, later]
    np.testing.assert_allclose(returns_to_go(jnp.asarray(rewards)), labels, rtol=1e-5, atol=1e-6)


def test_the_density_is_that_of_a_squashed_normal(float64):
    mean, log_deviation = np.array([0.3, -1.0]), np.array([-0.5, 0.4])
    choice = Gaussian(jnp.asarray(mean), jnp.asarray(log_deviation))
    action = np.array([0.7, -0.2])
    normal = stats.norm(mean, np.exp(log_deviation)).logpdf(np.arctanh(action))
    expected = np.sum(normal - np.log(1 - action**2))
    assert choice.log_density(jnp.asarray(action)) == pytest.approx(expected)
    # And the draws are of that density.
    drawn, surprise = choice.sample(jnp.array([0.2, -0.6]))
    assert -choice.log_density(drawn) == pytest.approx(float(surprise))
    assert np.all(np.isfinite(choice.log_density(jnp.array([1.0, -1.0]))))


@eqx.filter_jit
def read(model, inputs, first):
    return model(*inputs, first)


@eqx.filter_jit
def look_back(model, inputs, t):
    return model.choose(*inputs, t)


@pytest.mark.parametrize(("which", "seen_from"), [(0, 2), (1, 2), (2, 3)])
def test_what_a_step_brings_is_seen_from_it_on_and_its_action_after_it(which, seen_from):
    model, inputs = network(), part()
    changed = list(inputs)
    changed[which] = inputs[which].at[2].add(0.05)
    first = jnp.asarray(0)
    before, after = read(model, inputs, first).mean, read(model, tuple(changed), first).mean
    moved = np.any(np.asarray(before != after), axis=1)
    np.testing.assert_array_equal(moved, np.arange(HORIZON) >= seen_from)


def test_a_step_at_a_time_is_as_likely_as_all_at_once():
    model, inputs = network(), part()
    at_once = read(model, inputs, jnp.asarray(0)).log_density(inputs[2])
    # What is not known yet is anything at all.
    for t in range(HORIZON):
        unknown = np.arange(HORIZON) > t
        to_go = jnp.asarray(np.where(unknown, 7, inputs[0]), jnp.float32)
        states = jnp.asarray(np.where(unknown[:, None], -7, inputs[1]), jnp.float32)
        unknown[t] = True
        actions = jnp.asarray(np.where(unknown[:, None], 0.1, inputs[2]), jnp.float32)
        choice = look_back(model, (to_go, states, actions), jnp.asarray(t))
        np.testing.assert_allclose(choice.log_density(inputs[2][t]), at_once[t], rtol=2e-4)


@pytest.mark.parametrize("contexts", [{"context": 3}, {"acting_context": 3}])
def test_it_looks_back_no_further_than_its_context(contexts):
    model, inputs = network(**contexts), part()
    choice = look_back(model, inputs, jnp.asarray(4))
    window = read(model, tuple(x[2:5] for x in inputs), jnp.asarray(2))
    np.testing.assert_allclose(choice.mean, window.mean[2], rtol=1e-5)
    long_ago = inputs[1].at[1].set(9.0)
    again = look_back(model, (inputs[0], long_ago, inputs[2]), jnp.asarray(4))
    np.testing.assert_array_equal(choice.mean, again.mean)
    assert not np.allclose(choice.mean, look_back(network(), inputs, jnp.asarray(4)).mean)


def filled_buffer(episodes=6):
    draws = np.random.default_rng(3)
    buffer = Buffer.empty(Aim(), episodes)
    for _ in range(episodes):
        shapes = ((HORIZON + 1, STATE), (HORIZON, ACTION), (HORIZON,))
        values = (jnp.asarray(draws.uniform(-0.9, 0.9, s), jnp.float32) for s in shapes)
        buffer = buffer.add(Episode(*values))
    return buffer


@jax.jit
def drawn(buffer):
    return IMITATION.draw(buffer, 2, key=jax.random.key(0))


def test_parts_keep_the_labels_of_their_whole_episodes():
    buffer = filled_buffer()
    parts = drawn(buffer)
    assert set(np.asarray(parts.first)) == set(range(HORIZON - 1))
    rewards = np.asarray(buffer.rewards)
    for to_go, states, actions, first in zip(*parts, strict=True):
        (source,) = np.flatnonzero(np.all(buffer.states[:, first] == states[0], axis=1))
        np.testing.assert_array_equal(states, buffer.states[source, first : first + 2])
        np.testing.assert_array_equal(actions, buffer.actions[source, first : first + 2])
        labels = [rewards[source, first + i :].sum() for i in range(2)]
        np.testing.assert_allclose(to_go, labels, rtol=1e-5, atol=1e-6)


def test_the_loss_is_likelihood_less_weighted_entropy():
    model = network(context=2)
    parts = drawn(filled_buffer())
    noise = jnp.asarray(np.random.default_rng(4).normal(size=parts.actions.shape), jnp.float32)

    @eqx.filter_jit
    def evaluate(weight):
        slope = jax.value_and_grad(
            lambda weight: IMITATION.loss(model, weight, parts, noise), has_aux=True
        )
        return slope(weight), jax.vmap(model)(*parts)

    ((loss, (nll, entropy)), weight_slope), choices = evaluate(jnp.log(0.3))
    mean = np.asarray(choices.mean, float)
    deviation = np.exp(np.asarray(choices.log_deviation, float))

    def surprise(actions):
        normal = stats.norm(mean, deviation).logpdf(np.arctanh(actions))
        return -np.sum(normal - np.log(1 - actions**2), axis=-1).mean()

    assert nll == pytest.approx(surprise(np.asarray(parts.actions, float)), rel=1e-4)
    explored = np.tanh(mean + deviation * np.asarray(noise, float))
    assert entropy == pytest.approx(surprise(explored), rel=1e-3)
    assert loss == pytest.approx(float(nll) - 0.3 * float(entropy), rel=1e-5)
    # The multiplier has its own objective.
    assert weight_slope == 0


@pytest.mark.parametrize("entropy", [-5.0, 1.0])
def test_the_multiplier_grows_when_there_is_too_little_entropy(entropy):
    log_temperature = jnp.log(0.2)
    slope = IMITATION.dual_gradient(log_temperature, jnp.asarray(entropy), ACTION)
    dual = jax.grad(lambda w: jnp.exp(w) * (entropy - (-ACTION)))(log_temperature)
    assert slope == pytest.approx(float(dual))
    # Descended: too little entropy must raise its weight.
    assert (slope < 0) == (entropy < -ACTION)


def test_an_episode_asks_for_what_is_left_of_the_target():
    def choose(to_go, states, actions, t):
        return Gaussian(jnp.full(ACTION, to_go[t]), jnp.zeros(ACTION))

    asking = SimpleNamespace(choose=choose, target=0.8)
    episode = _live(Aim(), asking, lambda choice, t: choice.mode, key=jax.random.key(0))
    left = 0.8
    for t in range(HORIZON):
        action = np.full(2, np.tanh(left))
        np.testing.assert_allclose(episode.actions[t], action, rtol=1e-5)
        np.testing.assert_allclose(episode.states[t], [t, 0.5 * t], rtol=1e-6)
        left += np.sum((action - [0.5, -0.5]) ** 2)
    np.testing.assert_allclose(episode.return_, 0.8 - left, rtol=1e-5)


def test_updates_keep_to_one_in_so_many_steps():
    due = algorithm(steps_per_update=4.0).updates_due()
    total = np.array([(4 + i) * HORIZON // 4 for i in range(1, 41)])
    np.testing.assert_array_equal(np.cumsum(due), total)


@pytest.mark.slow
def test_it_learns_to_earn_what_it_asks_for():
    learner = algorithm()
    start_key, key = jax.random.split(jax.random.key(0))
    sizes = {"width": 16, "layers": 1, "heads": 2}
    policy = DecisionTransformer(STATE, ACTION, HORIZON, context=3, key=start_key, **sizes)
    state = learner.init(policy, key=key)
    arrays, static = eqx.partition(state, eqx.is_array)

    @jax.jit
    def run(arrays):
        def iterate(arrays, index):
            state, record = learner.iterate(eqx.combine(arrays, static), index)
            return eqx.filter(state, eqx.is_array), record

        return jax.lax.scan(iterate, arrays, jnp.arange(40))

    after, records = run(arrays)
    after = eqx.combine(after, static)
    random = float(state.buffer.rewards[:4].sum(axis=1).mean())
    assert random < -3
    # Asking for the optimum, 0, gets most of the way there.
    assert np.asarray(records.return_)[-5:].mean() > 0.5 * random
    assert np.all(np.isfinite(records.negative_log_likelihood))
    assert int(after.buffer.count) == 44
    # Statistics of the warm-up are not weights.
    np.testing.assert_array_equal(after.policy.random_returns, state.policy.random_returns)
    np.testing.assert_array_equal(after.policy.scaling.scale, state.policy.scaling.scale)
    np.testing.assert_array_equal(after.policy.unit, 2.5)


def test_nothing_is_kept_twice_and_nothing_is_left_out():
    """What is saved makes up the whole state; that it is enough is for the slow tests."""
    config = soak.small("cancer-treatment", "online-dt", 0)
    learner = build(config)
    kept = learner.skeleton()
    whole = _seeker_state(kept)
    assert all(leaf is not None for leaf in (whole.policy, *whole.student, *whole))
    assert eqx.tree_equal(_state(whole), kept)
    assert len(jax.tree.leaves(kept)) == len(jax.tree.leaves(whole))
    longer = dataclasses.replace(config, env_steps=2 * config.env_steps)
    enlarged = eqx.filter_eval_shape(build(longer).enlarged, kept)
    assert eqx.tree_equal(enlarged, build(longer).skeleton())
    assert kept.learner.buffer.states.shape == (1, 60, 7, 1)
    assert enlarged.learner.buffer.states.shape == (1, 120, 7, 1)


@pytest.mark.slow
def test_a_run_of_it_is_a_run_like_any_other(tmp_path):
    command = ["train", "cancer-treatment", "--horizon", "4", "--model", "online-dt"]
    sizes = ["--online-dt.width", "8", "--online-dt.layers", "1", "--online-dt.heads", "2"]
    steps = ["--env-steps", "32", "--exploration.warmup-steps", "16", "--seeds", "2"]
    assert cli.main([*command, *sizes, *steps, "--out", str(tmp_path / "run")]) == 0
    run = beeline.load(tmp_path / "run")
    assert len(run.records) == 4
    # The first iteration catches up on the warm-up.
    assert [row["policy_updates"] for row in run.records] == [[4, 4], [0, 0], [1, 1], [1, 1]]
    assert run.records[1]["negative_log_likelihood"] == [None, None]
    measured = beeline.evaluate(run)
    np.testing.assert_allclose(measured.return_, run.records[-1]["return"], rtol=1e-4)
    assert measured.return_[0] != measured.return_[1]
    # The optimum is asked for, by each seed.
    optimum = measured.reference.optimum.return_
    np.testing.assert_allclose(run.state.policy.target, [optimum] * 2, rtol=1e-5)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["--online-dt.target", "inf"], "online-dt.target is inf: give a finite"),
        (["--online-dt.target", "nan"], "online-dt.target is nan: give a finite"),
        (["--online-dt.heads", "3"], "online-dt.width is 64, not a multiple"),
        (["--online-dt.context", "0"], "online-dt.context is 0"),
        (["--improvement.entropy-weight", "1"], "'online-dt' has no such option"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(given, said, capsys, tmp_path):
    out = ["--out", str(tmp_path / "run")]
    assert cli.main(["train", "--model", "online-dt", *given, *out]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert said in line
    assert not (tmp_path / "run").exists()
