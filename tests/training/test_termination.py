"""Episodes that terminate: rows, windows, what learns from them, and the critic, by hand."""

import dataclasses
from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import beeline
from beeline import envs
from beeline.build import build_bpo, build_critic, build_model, build_policy
from beeline.config import Config, Exploration
from beeline.control import closed_loop_return, random_return, solve_optimum
from beeline.control.grid import Grid, solve_grid
from beeline.envs import Environment
from beeline.gradients import Direct, Objective, Unrolled, alive, rollout
from beeline.models import MarkovModel, RewardModel, SimulatorModel, TerminationModel
from beeline.models import prediction_loss as loss_of
from beeline.networks.scaling import StateScaling
from beeline.policies import Policy
from beeline.run import Interrupted, RunError
from beeline.training import Buffer, Context, Optimiser, RewardFitting, act, evaluate, play
from beeline.training.critic import Critic, CriticFitting, Critics, lambda_returns
from beeline.training.episodes import mean_return
from beeline.training.faults import first_in
from beeline.training.model_fitting import ModelFitting
from beeline.training.side_by_side import SideBySide
from beeline.training.termination_fitting import TerminationFitting
from beeline.training.windows import Windows

HORIZON, LENGTH = 8, 4


@final
class Plank(Environment):
    """A walk of whole steps along a plank, off which one falls; a step earns the place's number."""

    horizon: int = eqx.field(static=True, default=HORIZON)
    length: float = eqx.field(static=True, default=2.5)
    equal: bool = eqx.field(static=True, default=False)
    name = "plank"
    state_dim = action_dim = 1
    dt = 1.0
    deterministic = True

    def initial_state(self, *, key=None):
        del key
        return jnp.zeros(1)

    def step(self, state, action, t, *, key=None):
        del t, key
        return state + action

    def reward(self, state, action, t):
        return jnp.ones((), state.dtype) if self.equal else state[0] + 1

    def terminated(self, state, action, t, next_state):
        return next_state[0] > self.length


@final
class Forward(Policy):
    """A step forward, always; the noise counts for nothing."""

    pace: jax.Array

    def sample(self, state, t, noise, width=1.0):
        return self.pace + 0 * noise, jnp.zeros(noise.shape[:-1])

    def mode(self, state, t):
        return jnp.broadcast_to(self.pace, state.shape)


FORWARD = Forward(jnp.ones(1))


@pytest.fixture(scope="module")
def row():
    """Two whole episodes of three steps, and two steps of a third."""
    return jax.jit(lambda: play(Plank(), jnp.ones((HORIZON, 1)), key=jax.random.key(0)))()


def test_the_next_episode_begins_where_one_has_ended(row):
    assert row.states[:, 0].tolist() == [0, 1, 2, 0, 1, 2, 0, 1, 2]
    assert row.ends.next_states[:, 0].tolist() == [1, 2, 3, 1, 2, 3, 1, 2]
    assert row.ends.terminated.tolist() == [False, False, True, False, False, True, False, False]
    assert row.ends.times.tolist() == [0, 1, 2, 0, 1, 2, 0, 1]
    assert row.rewards.tolist() == [1, 2, 3, 1, 2, 3, 1, 2]
    assert (row.return_, row.ends.episodes, row.mean_return) == (15, 3, 5)
    last = jax.tree.map(lambda x: x[:6], row.ends)
    assert last.episodes == 2


def test_a_policy_sees_the_time_of_its_own_episode():
    @final
    class Clock(Policy):
        def sample(self, state, t, noise, width=1.0):
            return jnp.where(jnp.asarray(t) < 2, 1.0, 0.6) + 0 * noise, jnp.zeros(())

        def mode(self, state, t):
            return state

    nothing = jnp.zeros((HORIZON, 1))
    row = act(Plank(), Clock(), nothing, nothing, key=jax.random.key(0))
    np.testing.assert_allclose(row.actions[:, 0], [1, 1, 0.6, 1, 1, 0.6, 1, 1])


def test_an_evaluated_episode_ends_and_earns_nothing_more():
    episode = evaluate(Plank(), FORWARD, key=jax.random.key(0))
    assert episode.states[:, 0].tolist() == [0, 1, 2, 3, 3, 3, 3, 3, 3]
    assert episode.rewards.tolist() == [1, 2, 3, 0, 0, 0, 0, 0]
    assert episode.return_ == 6
    for count in (1, 2):
        measured = mean_return(
            lambda key: evaluate(Plank(), FORWARD, key=key), count, key=jax.random.key(0)
        )
        assert (measured.return_, measured.length) == (6, 3)
    long = evaluate(Plank(length=99.0), FORWARD, key=jax.random.key(0))
    assert (long.return_, alive(long.ends.terminated).sum()) == (36, HORIZON)


def test_references_end_with_the_episode():
    assert closed_loop_return(Plank(), lambda state, t: jnp.ones(1), 2).mean == 6
    always = jnp.ones(1)
    slow = closed_loop_return(Plank(equal=True), lambda state, t: always, 2)
    assert slow.mean == 3
    assert random_return(Plank(length=-0.5, equal=True), 200).mean < 4
    with pytest.raises(ValueError, match="plank can terminate, where its return jumps"):
        solve_optimum(Plank())
    # Two more steps from 1: off the plank from 2, which earns its last reward.
    grid = Grid((0.0,), (4.0,), (5,), lambda place: place, lambda state: state)
    solved = solve_grid(Plank(horizon=3), grid, levels=3)
    assert solved.values[1].tolist()[:3] == [1 + 2, 2 + 3, 3 + 3]


@pytest.fixture(scope="module")
def buffer():
    """Rows of a walk at random, some of which falls."""
    draws = np.random.default_rng(0).choice([1.0, 0.5, -0.5], (6, HORIZON, 1), p=[0.6, 0.2, 0.2])
    rows = jax.jit(jax.vmap(lambda actions: play(Plank(), actions, key=jax.random.key(0))))(
        jnp.asarray(draws)
    )
    empty = Buffer.empty(Plank(), 7)
    return jax.lax.scan(lambda b, row: (b.add(row), None), empty, rows)[0]


def test_a_row_takes_less_than_twice_the_room_of_an_episode_and_wastes_no_step():
    def size(tree):
        return sum(x.nbytes for x in jax.tree.leaves(tree))

    for env in (Plank(), envs.make("cart-pole-balance", horizon=50)):
        buffer = Buffer.empty(env, 10)
        assert buffer.rewards.shape == (10, env.horizon)
        assert size(buffer) < 2 * size(dataclasses.replace(buffer, ends=None))
    assert Buffer.empty(envs.make("pendulum", horizon=50), 10).ends is None


def by_hand(buffer, row, at):
    """The steps from one place of a row to the end of its episode, at most a window."""
    ends = jax.tree.map(lambda x: np.asarray(x[row]), buffer.ends)
    seen = []
    for k in range(at, at + LENGTH):
        seen.append((buffer.states[row, k, 0], buffer.actions[row, k, 0], ends.next_states[k, 0]))
        if ends.terminated[k]:
            return seen, True
    return seen, False


def test_windows_know_where_their_episode_ends(buffer):
    windows = Windows(LENGTH)
    window = jax.jit(lambda key: windows.draw(buffer, 300, key=key))(jax.random.key(0))
    counted, weights = np.asarray(alive(window.terminated)), np.asarray(window.weights)
    np.testing.assert_allclose(weights, counted / counted.mean(), rtol=1e-6)
    expected = {}
    for row in range(6):
        for at in range(HORIZON - LENGTH + 1):
            steps, ended = by_hand(buffer, row, at)
            key = (int(buffer.ends.times[row, at]), ended, *np.float32(steps).ravel().tolist())
            expected[key] = (row, at)
    found = set()
    for i in range(300):
        n = counted[i].sum()
        assert counted[i, :n].all()
        states, actions = window.states[i, : n + 1, 0], window.actions[i, :n, 0]
        steps = np.stack([states[:-1], actions, states[1:]], axis=1)
        found.add((int(window.first[i]), bool(window.ended[i]), *steps.ravel().tolist()))
    assert found == set(expected)
    assert {key[1] for key in found} == {True, False}


def test_a_row_is_cut_into_windows_and_imagined_ones_begin_with_its_times(buffer):
    windows = Windows(LENGTH, 0.25)
    rows = buffer.states[2], buffer.actions[2], jax.tree.map(lambda x: x[2], buffer.ends)
    cut = windows.all_of(*rows)
    for i, at in enumerate((0, 4)):
        steps, ended = by_hand(buffer, 2, at)
        assert (int(cut.first[i]), bool(cut.ended[i])) == (buffer.ends.times[2, at], ended)
        np.testing.assert_array_equal(cut.states[i, 1 : len(steps) + 1, 0], [s[2] for s in steps])
    states, first, _ = windows.starts(Plank(), buffer, 800, key=jax.random.key(0))
    seen = {
        (float(buffer.states[row, at, 0]), int(buffer.ends.times[row, at]))
        for row in range(6)
        for at in range(HORIZON - LENGTH + 1)
    }
    assert set(zip(states[200:, 0].tolist(), first[200:].tolist(), strict=True)) == seen
    whole = Windows(HORIZON).draw(buffer, 5, key=jax.random.key(0))
    assert not whole.first.any()
    assert whole.terminated is not None


def test_fitting_and_comparing_leave_out_what_follows_an_end(buffer):
    model = MarkovModel(1, 1, HORIZON, hidden_sizes=(4,), key=jax.random.key(0))
    fitting = ModelFitting(Optimiser(1e-2, 1.0, 1.0), 4, windows=Windows(LENGTH))
    rows = jax.tree.map(lambda x: x[:3], (buffer.states, buffer.actions, buffer.ends))
    measured = eqx.filter_jit(fitting.errors)(model, *rows)
    for row in range(3):
        squares = []
        for at in (0, 4):
            first = int(buffer.ends.times[row, at])
            for k, (state, action, after) in enumerate(by_hand(buffer, row, at)[0]):
                step = model.step(None, state[None], action[None], first + k)[1]
                squares.append(float(step[0] - after) ** 2)
        assert float(measured[row]) == pytest.approx(np.sqrt(np.mean(squares)), rel=1e-5)
    window = Windows(LENGTH).draw(buffer, 16, key=jax.random.key(1))
    poisoned = jnp.where(alive(window.terminated)[..., None], window.states[:, 1:], 99.0)
    states = jnp.concatenate([window.states[:, :1], poisoned], axis=1)
    given = window.actions, window.first, window.weights
    assert loss_of(model, states, *given) == loss_of(model, window.states, *given)


def test_rewards_of_a_row_are_learned_at_their_own_times(buffer):
    model = RewardModel(1, 1, HORIZON, hidden_sizes=(4,), key=jax.random.key(0))
    scaled = model.standardise(StateScaling.identity(1), buffer.rewards[:6], ends=True)
    np.testing.assert_allclose(scaled.mean, [buffer.rewards[:6].mean()] * 2, rtol=1e-6)
    states, actions = buffer.states[:6], buffer.actions[:6]
    rewards, times = buffer.rewards[:6], buffer.ends.times[:6]
    loss = model.loss(states, actions, rewards, times)
    expected = np.mean(
        [
            (float(model(states[i, k], actions[i, k], times[i, k]) - rewards[i, k])) ** 2
            for i in range(6)
            for k in range(HORIZON)
        ]
    )
    assert float(loss) == pytest.approx(expected, rel=1e-5)
    fitting = RewardFitting(Optimiser(1e-2, 1.0, 1.0), 4)
    slope = fitting.slope(model, Context(buffer), key=jax.random.key(0))
    at = buffer.choose(4, key=jax.random.key(0))
    same = model.loss(
        *(x[at] for x in (buffer.states, buffer.actions)), buffer.rewards[at], times[at]
    )
    assert slope.loss == pytest.approx(float(same), rel=1e-6)


@pytest.mark.parametrize("trace", [0.0, 0.6, 1.0])
def test_lambda_returns_with_ends_against_a_loop(trace, float64):
    draws = np.random.default_rng(0)
    rewards, values, discount = draws.normal(size=7), draws.normal(size=7), 0.9
    terminated = np.array([False, False, True, False, False, False, True])
    expected, following = np.zeros(7), values[-1]
    for k in reversed(range(7)):
        expected[k] = rewards[k]
        if not terminated[k]:
            expected[k] += discount * ((1 - trace) * values[k] + trace * following)
        following = expected[k]
    given = (*map(jnp.asarray, (rewards, values)), discount, trace)
    measured = lambda_returns(*given, jnp.asarray(terminated))
    np.testing.assert_allclose(measured, expected, rtol=1e-12)
    assert measured[6] == rewards[6]
    # Cut off instead, the last value counts.
    cut = lambda_returns(*given, jnp.asarray(terminated).at[6].set(False))
    assert cut[6] == pytest.approx(rewards[6] + discount * values[6])


@pytest.fixture(scope="module")
def config(tiny_windows):
    assert tiny_windows.windows.length == LENGTH
    return dataclasses.replace(
        tiny_windows,
        task="cart-pole-balance",
        horizon=30,
        env_steps=240,
        exploration=Exploration(warmup_steps=60),
    )


def test_both_routes_give_the_same_gradient_up_to_the_end(config, float64):
    env, key = Plank(length=1.2), jax.random.key(0)
    awm = dataclasses.replace(config, model="gru-awm", task="harvest")
    model, policy = (make(awm, env, key=key) for make in (build_model, build_policy))
    value = build_critic(awm, env, key=key)
    starts, first = jnp.asarray([[0.1], [0.3], [1.0]]), jnp.asarray([0, 2, 4])
    noise = jax.random.normal(jax.random.key(1), (3, LENGTH, 1))
    states, _, _, last = jax.vmap(
        lambda *start: rollout(policy, model, *start, through_policy=0.0, through_states=1.0)
    )(starts, noise, first)
    after = jnp.concatenate([states[:, 1:], last[:, None]], axis=1)
    # A bound that the imagined states of the first window never reach, others in their midst.
    bound = float(jnp.sort(after[..., 0].ravel())[-4])

    def ends(state, action, t, next_state):
        return next_state[0] >= bound

    parts = env.reward, jnp.ones(()), jnp.asarray(0.01), value, 0.97
    objective = Objective(*parts, ends)

    def measure(route, objective):
        return eqx.filter_jit(route)(policy, model, objective, starts, noise, first)

    (one, imagined), direct = measure(Direct(), objective)
    (other, _), unrolled = measure(Unrolled(), objective)
    assert float(one) == pytest.approx(float(other), rel=1e-10)
    for a, b in zip(*map(jax.tree.leaves, (direct, unrolled)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-7, atol=1e-12)
    (_, _), endless = measure(Direct(), Objective(*parts))
    assert not np.allclose(jax.tree.leaves(direct)[0], jax.tree.leaves(endless)[0])
    counts = []
    for i in range(3):
        expected, n = 0.0, 0
        while n < LENGTH and not (n and after[i, n - 1, 0] >= bound):
            expected += float(states[i, n, 0] + 1) * 0.97**n
            n += 1
        counts.append(n)
        if after[i, n - 1, 0] < bound:
            expected += 0.97**LENGTH * float(value(last[i], int(first[i]) + LENGTH))
        assert float(imagined.return_[i]) == pytest.approx(expected, rel=1e-9)
        assert np.count_nonzero(imagined.entropy[i]) == n
    assert len(set(counts)) > 1


@pytest.mark.parametrize(("length", "values"), [(2.5, [2.71, 1.9, 1.0]), (1e9, [10.0] * 3)])
def test_a_critic_bootstraps_at_the_horizon_and_not_at_an_end(length, values, float64):
    """Off the plank nothing follows; on one without an end, the horizon is no end either."""
    env = Plank(length=length, equal=True)
    rows = jax.vmap(lambda key: play(env, jnp.ones((HORIZON, 1)), key=key))(
        jax.random.split(jax.random.key(0), 4)
    )
    buffer = jax.lax.scan(lambda b, row: (b.add(row), None), Buffer.empty(env, 5), rows)[0]
    scaling = StateScaling.fit(rows.states, compress=False)
    key = jax.random.key(1)
    critic = Critic(1, HORIZON, hidden_sizes=(16,), discount=0.9, key=key)
    critic = critic.standardise(scaling, rows.rewards, ends=True)
    assert critic.spread == 1
    fitting = CriticFitting(
        Optimiser(2e-2, 0.1, 10.0), 32, env, Windows(LENGTH, 0.2), target_rate=0.2
    )
    weights = {"model": SimulatorModel(env), "policy": FORWARD}
    learned, _ = eqx.filter_jit(fitting.learn)(
        fitting.init(Critics(critic, critic)),
        Context(buffer, weights=weights),
        jnp.asarray(600),
        key=jax.random.key(2),
    )
    found = [float(learned.weights.critic(jnp.full(1, float(x)), 0)) for x in range(3)]
    np.testing.assert_allclose(found, values, rtol=0.05)


def test_a_classifier_learns_where_episodes_end(buffer, float64):
    model = TerminationModel(1, 1, hidden_sizes=(16,), key=jax.random.key(0))
    window = Windows(LENGTH).draw(buffer, 8, key=jax.random.key(1))
    counted = np.asarray(alive(window.terminated))
    terms = {True: [], False: []}
    for i, k in zip(*np.nonzero(counted), strict=True):
        states = window.states[i]
        odds = float(model.log_odds(states[k], window.actions[i, k], states[k + 1]))
        over = bool(window.terminated[i, k])
        terms[over].append(np.log1p(np.exp(-odds if over else odds)))
    expected = np.mean([np.mean(kind) for kind in terms.values()])
    given = window.states, window.actions, window.terminated, alive(window.terminated)
    assert float(model.loss(*given)) == pytest.approx(expected, rel=1e-9)
    fitting = TerminationFitting(Optimiser(1e-2, 0.1, 10.0), 32, Windows(LENGTH))
    learned, tally = eqx.filter_jit(fitting.learn)(
        fitting.init(model), Context(buffer), jnp.asarray(400), key=jax.random.key(2)
    )
    assert tally.last[0] < 0.05
    after, ends = buffer.ends.next_states[:6], buffer.ends.terminated
    told = learned.weights.log_odds(buffer.states[:6, :-1], buffer.actions[:6], after) > 0
    np.testing.assert_array_equal(told, ends[:6])
    one = buffer.states[0, 0], buffer.actions[0, 0], 0, after[0, 0]
    assert bool(learned.weights(*one)) == ends[0, 0]
    plain = Buffer(buffer.states, buffer.actions, buffer.count)
    with pytest.raises(ValueError, match="the episodes come without ends"):
        fitting.slope(model, Context(plain), key=jax.random.key(0))


def test_the_state_that_an_episode_ends_in_is_looked_at(row):
    assert first_in(row) == -1
    bad = row._replace(ends=row.ends._replace(next_states=row.ends.next_states.at[2].set(jnp.inf)))
    # Three steps of a state, an action and a reward come before it.
    assert first_in(bad) == 9


@pytest.mark.parametrize("termination", ["known", "learned"])
def test_a_run_is_continued_to_the_same_bits(config, termination, tmp_path, monkeypatch):
    config = dataclasses.replace(config, termination=termination)
    whole = beeline.train(config=config)
    assert ("termination" in whole.state.learners) == (termination == "learned")
    assert ("termination_loss" in whole.records[-1]) == (termination == "learned")
    assert 5 < whole.records[-1]["episode_length"][0] <= 30
    assert whole.records[-1]["episode_length"] == whole.records[-1]["return"]
    assert np.any(whole.state.buffer.ends.terminated)
    assert whole.reference_kind == "reference"
    iterate = SideBySide.iterate

    def stop(algorithm, state, index):
        if index == 3:
            raise KeyboardInterrupt
        return iterate(algorithm, state, index)

    monkeypatch.setattr(SideBySide, "iterate", stop)
    with pytest.raises(Interrupted):
        beeline.train(config=config, out=tmp_path / "run")
    monkeypatch.undo()
    assert eqx.tree_equal(beeline.resume(tmp_path / "run").state, whole.state)


def test_what_does_not_know_of_ends_says_so(config, tiny):
    with pytest.raises(
        ValueError, match=r"cart-pole-balance can terminate.*take imagination = win"
    ):
        build_bpo(dataclasses.replace(config, imagination="episodes"))
    with pytest.raises(ValueError, match="no episode of cancer-treatment terminates: leave it out"):
        build_bpo(dataclasses.replace(tiny, termination="learned"))
    with pytest.raises(RunError, match="imagination is 'episodes', but an episode of cart-pole-ba"):
        beeline.train("cart-pole-balance", config=Config(horizon=30, imagination="episodes"))
    with pytest.raises(ValueError, match="unknown termination 'guessed'"):
        Config(termination="guessed")
    with pytest.raises(RunError, match="can terminate or does not end: choose another"):
        beeline.train("cart-pole-balance", horizon=30, model="online-dt")
    with pytest.raises(ValueError, match="can terminate, but what is examined are whole episodes"):
        beeline.diagnose("cart-pole-balance", ["markov"], [5])
    with pytest.raises(ValueError, match="termination takes the next state: give the state after"):
        Objective(Plank().reward, jnp.ones(()), jnp.zeros(()), termination=Plank().terminated)(
            jnp.zeros((1, 2, 1)), jnp.zeros((1, 2, 1)), jnp.zeros((1, 2))
        )
