"""Windows of experience and the critic at their end, against plain loops."""

import dataclasses
from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import beeline
from beeline import envs
from beeline.build import Draws, build_bpo, build_critic, build_model, build_policy
from beeline.config import Config
from beeline.config import Windows as WindowFields
from beeline.gradients import Direct, Objective, Unrolled, rollout
from beeline.models import WorldModel, residuals
from beeline.networks.scaling import StateScaling
from beeline.policies import Policy
from beeline.run import Interrupted
from beeline.training import Buffer, Context, Optimiser, side_by_side
from beeline.training.critic import Critic, Critics, lambda_returns
from beeline.training.side_by_side import SideBySide, compile_programs
from beeline.training.windows import Windows

HORIZON, LENGTH = 10, 4


@pytest.fixture(scope="module")
def buffer():
    """Entries that say where they are from: 100 times the episode, and the step."""
    steps = np.arange(HORIZON + 1)
    states = 100.0 * np.arange(6)[:, None, None] + steps[None, :, None]
    return Buffer(jnp.asarray(states), jnp.asarray(states[:, :-1] + 0.5), jnp.asarray(5))


def test_windows_are_consecutive_steps_of_episodes_that_are_there(buffer):
    windows = Windows(LENGTH)
    drawn = jax.jit(lambda key: windows.draw(buffer, 400, key=key))(jax.random.key(0))
    states, actions, first = map(np.asarray, drawn[:3])
    assert states.shape == (400, LENGTH + 1, 1)
    episodes = states[:, 0, 0] // 100
    assert set(episodes) == set(range(5))
    assert set(first.tolist()) == set(range(HORIZON - LENGTH + 1))
    np.testing.assert_array_equal(states[:, 0, 0], 100 * episodes + first)
    np.testing.assert_array_equal(np.diff(states[..., 0], axis=1), 1)
    np.testing.assert_array_equal(actions, states[:, :-1] + 0.5)


def test_a_window_as_long_as_an_episode_is_the_episode(buffer):
    key = jax.random.key(1)
    states, actions, first, *ended = Windows(HORIZON).draw(buffer, 8, key=key)
    for ours, theirs in zip((states, actions), buffer.draw(8, key=key), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert not np.any(first)
    assert ended == [None, None]


def test_an_episode_is_cut_into_windows_that_follow_each_other(buffer):
    states, actions, first, *_ = Windows(LENGTH).all_of(buffer.states[1], buffer.actions[1])
    assert first.tolist() == [0, 4]
    np.testing.assert_array_equal(states[1], buffer.states[1, 4:9])
    np.testing.assert_array_equal(actions[1], buffer.actions[1, 4:8])


def test_imagined_windows_start_fresh_or_in_states_seen(buffer):
    env = envs.make("cancer-treatment", horizon=HORIZON)
    states, first, seen = Windows(LENGTH, 0.25).starts(env, buffer, 8, key=jax.random.key(2))
    start = env.initial_state()
    np.testing.assert_array_equal(states[:2], np.broadcast_to(start, (2, 1)))
    assert first[:2].tolist() == [0, 0]
    np.testing.assert_array_equal(states[2:, 0] % 100, first[2:])
    np.testing.assert_array_equal(seen.states[2:, 0], states[2:])
    np.testing.assert_array_equal(seen.states[:2, 0] % 100, 0)


@pytest.mark.parametrize("trace", [0.0, 0.6, 1.0])
def test_lambda_returns_against_their_definition(trace):
    draws = np.random.default_rng(0)
    rewards, values, discount = draws.normal(size=5), draws.normal(size=5), 0.9
    expected = []
    for k in range(5):
        # The mean of all n-step returns, weighted by powers of the trace.
        total, weights = 0.0, 0.0
        for n in range(1, 6 - k):
            earned = sum(discount**j * rewards[k + j] for j in range(n))
            last = k + n == 5
            weight = trace ** (n - 1) * (1.0 if last else 1 - trace)
            total += weight * (earned + discount**n * values[k + n - 1])
            weights += weight
        assert weights == pytest.approx(1)
        expected.append(total)
    with jax.enable_x64(True):
        measured = lambda_returns(jnp.asarray(rewards), jnp.asarray(values), discount, trace)
    np.testing.assert_allclose(measured, expected, rtol=1e-12)


def critic(frequencies=None, discount=0.9, seed=0):
    drawn = Critic(
        1,
        HORIZON,
        hidden_sizes=(8,),
        frequencies=frequencies,
        discount=discount,
        key=jax.random.key(seed),
    )
    return eqx.tree_at(lambda c: (c.middle, c.spread), drawn, (jnp.asarray(-2.0), jnp.asarray(0.5)))


def shifted(value, by):
    """The critic whose two networks output more by a constant."""
    biases = lambda c: [network.layers[-1].bias for network in c.networks]  # noqa: E731
    return eqx.tree_at(biases, value, [bias + by for bias in biases(value)])


@pytest.mark.parametrize("discount", [0.9, 1.0])
def test_a_critic_that_knows_nothing_expects_the_mean_reward_for_what_is_left(discount):
    plain = critic(1, discount)
    plain = eqx.tree_at(lambda c: c.networks, plain, jax.tree.map(jnp.zeros_like, plain.networks))
    for t in (0, 3, HORIZON):
        left = sum(discount**k for k in range(HORIZON - t))
        assert plain(jnp.ones(1), t) == pytest.approx(-2.0 * left, rel=1e-5)
    endless = critic(None)
    endless = eqx.tree_at(
        lambda c: c.networks, endless, jax.tree.map(jnp.zeros_like, endless.networks)
    )
    assert endless(jnp.ones(1), 0) == pytest.approx(-20.0, rel=1e-5)


def test_half_of_the_windows_are_of_the_newest_quarter(buffer):
    """Five episodes are there, of which the newest quarter is two, rounded up."""
    chances = Windows(LENGTH, recent=0.5).chances(buffer)
    np.testing.assert_allclose(chances, [0.1, 0.1, 0.1, 0.35, 0.35, 0], rtol=1e-6)
    full = dataclasses.replace(buffer, count=jnp.asarray(8))
    # The oldest two were replaced: the newest are at places 1 and 0.
    np.testing.assert_allclose(full.newest(0.25), [0.5, 0.5, 0, 0, 0, 0])
    drawn = Windows(LENGTH, recent=1.0).draw(buffer, 100, key=jax.random.key(0))
    assert set(np.asarray(drawn.states[:, 0, 0] // 100)) == {3, 4}


def test_the_unit_of_values_is_that_of_the_usual_rewards():
    rewards = np.random.default_rng(0).normal(size=(4, 51)) ** 3
    weights = np.array([0.0, 0.0, 0.5, 0.5])
    seen = critic().standardise(
        StateScaling.identity(1), jnp.asarray(rewards), jnp.asarray(weights)
    )
    low, middle, high = np.quantile(rewards[2:], [0.25, 0.5, 0.75], method="inverted_cdf")
    assert seen.middle == pytest.approx(middle, rel=1e-5)
    assert seen.spread == pytest.approx(high - low, rel=1e-5)
    # Where most rewards are the same, a hundredth of their deviation is left; where episodes
    # terminate, all of what is earned may be lost.
    rare = jnp.zeros((1, 100)).at[0, 0].set(5.0)
    assert critic().standardise(seen.scaling, rare).spread == pytest.approx(0.01 * np.std(rare))
    even = critic().standardise(seen.scaling, jnp.ones((1, 9)), ends=True)
    assert even.spread == pytest.approx(1)


def test_the_unit_at_a_state_is_the_slope_of_the_value_by_its_code(float64):
    for frequencies, t in ((None, 0), (1, 3)):
        value, state = critic(frequencies, seed=1), jnp.asarray([0.7])
        output, back = value.output(state, t), 1e-6

        def decode(code, value=value, state=state, t=t):
            return float(shifted(value, code - value.output(state, t))(state, t))

        slope = (decode(output + back) - decode(output - back)) / (2 * back)
        assert float(value.unit(state, t)) == pytest.approx(slope, rel=1e-6)
        assert float(value.encode(value(state, t), t)) == pytest.approx(float(output), rel=1e-9)


def test_the_lower_of_two_networks_counts():
    value, state = critic(seed=1), jnp.asarray([0.7])
    one, other = value.outputs(state, 0)
    assert one != other
    assert value.output(state, 0) == min(one, other)
    higher = eqx.tree_at(lambda c: c.networks, value, (value.networks[0],) * 2)
    assert higher.output(state, 0) == one


@pytest.mark.parametrize(
    ("ends", "least", "most"), [(False, 1.0, 3.0), (True, 0.0, 3.0), (False, -3.0, -1.0)]
)
def test_no_value_is_beyond_the_rewards_seen(ends, least, most):
    rewards = jnp.asarray([[1.0, 2.0, 3.0]]) * (1 if most > 0 else -1)
    seen = critic(None).standardise(StateScaling.identity(1), rewards, ends=ends)
    for shift, reward in ((5.0, most), (-5.0, least)):
        assert shifted(seen, shift)(jnp.zeros(1), 0) == pytest.approx(reward / (1 - 0.9), rel=1e-5)


def test_places_without_an_episode_limit_no_value(config, buffer):
    rewards = jnp.where(jnp.arange(6)[:, None] < 5, -1 - jnp.arange(10.0) / 10, 7.0)
    value = build_critic(config, envs.make("cancer-treatment", horizon=10), key=jax.random.key(0))
    fitting = build_bpo(config).critic_fitting
    seen = fitting.prepare(
        Critics(value, value),
        dataclasses.replace(buffer, rewards=jnp.broadcast_to(rewards, (6, 10))),
    )
    for one in seen:
        assert (float(one.least), float(one.most)) == pytest.approx((-1.9, -1.0))


def test_what_overflows_is_cut_off():
    assert np.isfinite(shifted(critic(), 200.0)(jnp.zeros(1), 0))
    scaling = StateScaling(jnp.zeros(1), jnp.ones(1), compress=True, bounded=True)
    found = scaling.decode(jnp.asarray([1e3]))
    assert np.isfinite(found**2).all()
    inside = jnp.asarray([3.3])
    free = dataclasses.replace(scaling, bounded=False)
    np.testing.assert_array_equal(scaling.decode(inside), free.decode(inside))


def test_a_value_that_cannot_be_finite_is_refused():
    with pytest.raises(ValueError, match="discount is 1, but the critic sees no time"):
        critic(None, 1.0)
    with pytest.raises(ValueError, match=r"windows\.discount is 1, but nothing sees the time"):
        Config(windows=WindowFields(discount=1.0))
    with pytest.raises(ValueError, match=r"windows\.length is 16, longer than an episode of 10"):
        Config(imagination="windows", horizon=10)
    with pytest.raises(ValueError, match=r"windows\.discount is 1\.5: give a discount above 0"):
        Config(windows=WindowFields(discount=1.5))


@pytest.fixture(scope="module")
def config(tiny_windows):
    assert tiny_windows.windows.length == LENGTH
    return tiny_windows


def made(make, config, env):
    """Draw in one program."""
    return eqx.filter_jit(lambda key: make(config, env, key=key))(jax.random.key(0))


@pytest.fixture(scope="module")
def parts(config):
    with jax.enable_x64(True):
        env = envs.make(config.task, horizon=config.horizon)
        awm = dataclasses.replace(config, model="gru-awm")
        return env, *(made(make, awm, env) for make in (build_model, build_policy, build_critic))


def test_both_routes_give_the_same_gradient_through_the_critics_input(parts, float64):
    env, model, policy, value = parts
    starts = jnp.asarray([[0.9], [0.3], [0.5]])
    first = jnp.asarray([0, 2, 6])
    noise = jax.random.normal(jax.random.key(1), (3, LENGTH, 1))
    objective = Objective(envs.reward_of(env), jnp.ones(()), jnp.asarray(0.01), value, 0.97)

    disturbances = 0.1 * jax.random.normal(jax.random.key(2), (3, LENGTH, 1))

    def measure(route):
        return eqx.filter_jit(route)(policy, model, objective, starts, noise, first, disturbances)

    (one, imagined), direct = measure(Direct())
    (other, _), unrolled = measure(Unrolled())
    assert float(one) == pytest.approx(float(other), rel=1e-10)
    for a, b in zip(*map(jax.tree.leaves, (direct, unrolled)), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-7, atol=1e-12)
    units = np.array([value.unit(s, t) for s, t in zip(starts, first, strict=True)])
    score = np.mean(imagined.return_ / units) + 0.01 * imagined.entropy.mean()
    assert float(one) == pytest.approx(float(score), rel=1e-9)
    without = Objective(objective.reward, jnp.ones(()), jnp.asarray(0.01), None, 0.97)
    (_, _), blind = eqx.filter_jit(Direct())(policy, model, without, starts, noise, first)
    assert not np.allclose(jax.tree.leaves(direct)[0], jax.tree.leaves(blind)[0])

    @jax.jit
    def by_hand(start, noise, first, disturbance):
        """The rewards of the steps with their own indices, and the value of the last state."""
        states, actions, _, last = rollout(
            *(policy, model, start, noise, first, disturbance),
            through_policy=0.0,
            through_states=1.0,
        )
        rewards = [env.reward(states[k], actions[k], first + k) * 0.97**k for k in range(LENGTH)]
        return sum(rewards) + 0.97**LENGTH * value(last, first + LENGTH)

    for i in range(3):
        expected = by_hand(starts[i], noise[i], first[i], disturbances[i])
        assert float(imagined.return_[i]) == pytest.approx(float(expected), rel=1e-9)


@pytest.mark.parametrize("name", ["gru-awm", "markov"])
def test_what_was_seen_comes_back_as_disturbances(config, name, float64):
    """Actions of a window and its residuals lead a model through the states that were seen."""
    env = envs.make("harvest", horizon=HORIZON)
    model = build_model(dataclasses.replace(config, model=name), env, key=jax.random.key(0))
    seen, actions = jnp.linspace(0.5, 0.9, LENGTH + 1)[:, None], jnp.full((LENGTH, 1), 0.3)
    lacking = residuals(model, seen, actions, jnp.asarray(2))

    class Given(Policy):
        def sample(self, state, t, noise, width=1.0):
            return noise, jnp.zeros(())

        mode = standardise = None

    first = jnp.asarray(2)
    states, _, _, last = rollout(
        *(Given(), model, seen[0], actions, first, lacking), through_policy=0.0, through_states=1.0
    )
    np.testing.assert_allclose(jnp.concatenate([states, last[None]]), seen, rtol=1e-9)
    predicted = model.predict(seen[:-1], actions, first, lacking)
    np.testing.assert_allclose(predicted, seen[1:], rtol=1e-9)


@pytest.mark.parametrize("name", ["gru-awm", "lstm-history", "markov", "simulator"])
def test_a_window_of_a_model_has_the_times_of_its_episode(config, name, float64):
    config = dataclasses.replace(config, model=name)
    env = envs.make("harvest", horizon=config.horizon)
    model = made(build_model, config, env)
    states = jnp.asarray(np.random.default_rng(0).uniform(0.1, 0.4, (LENGTH, 1)))
    actions = jnp.asarray(np.random.default_rng(1).uniform(-1, 1, (LENGTH, 1)))

    @jax.jit
    def both(first):
        carry, state, walked = model.start(states[0], LENGTH, first), states[0], []
        for k in range(LENGTH):
            carry, state = model.step(carry, states[k], actions[k], first + k)
            walked.append(state)
        return model.predict(states, actions, first), jnp.stack(walked)

    predicted, walked = both(jnp.asarray(3))
    np.testing.assert_allclose(predicted, walked, rtol=1e-9)
    if name != "simulator":
        assert not np.allclose(predicted, both(jnp.asarray(0))[0])


def test_without_a_clock_nothing_depends_on_the_time(config):
    timeless = dataclasses.replace(
        config, model="gru-awm", windows=dataclasses.replace(config.windows, clock="none")
    )
    env = envs.make(config.task, horizon=config.horizon)
    makes = build_model, build_policy, build_critic
    model, policy, value = (made(make, timeless, env) for make in makes)
    states, actions = jnp.full((LENGTH, 1), 0.4), jnp.zeros((LENGTH, 1))

    @jax.jit
    def at(first):
        predicted = model.predict(states, actions, first)
        return predicted, policy.mode(states[0], first), value(states[0], first)

    jax.tree.map(np.testing.assert_array_equal, at(1), at(5))
    np.testing.assert_allclose(jax.jit(model.predict)(states, actions), at(5)[0], rtol=1e-5)


def test_a_critic_learns_the_value_of_a_policy(config, float64):
    """Against the exact value: rewards of the policy rolled out in the true dynamics.

    Where returns are left to chance, here by the policy's noise, the mean of compressed returns
    stands for a value a little off their mean.
    """
    config = dataclasses.replace(config, model="simulator")
    env, key = envs.make(config.task, horizon=config.horizon), jax.random.key(0)
    algorithm = build_bpo(config, env)
    model, policy = (make(config, env, key=key) for make in (build_model, build_policy))
    value = build_critic(config, env, key=key)
    start = eqx.filter_jit(algorithm.init)(model, policy, None, value, key=key)
    optimiser = Optimiser(1e-2, 1.0, 10.0)
    fitting = dataclasses.replace(
        algorithm.critic_fitting, optimiser=optimiser, target_rate=0.1, batch_size=32
    )
    weights = {name: learned.weights for name, learned in start.learners.items()}
    context = Context(start.buffer, weights=weights)
    learned, tally = eqx.filter_jit(fitting.learn)(
        fitting.init(weights["critic"]), context, jnp.asarray(1000), key=jax.random.key(1)
    )
    assert int(tally.taken) == 1000
    policy, discount = weights["policy"], config.windows.discount

    @jax.jit
    @partial(jax.vmap, in_axes=(None, None, 0))
    def exact(state, first, draws):
        states, actions, _, _ = rollout(
            policy, model, state, draws, first, through_policy=0.0, through_states=0.0
        )
        times = first + jnp.arange(draws.shape[0])
        inside = times < config.horizon
        rewards = jax.vmap(env.reward)(states, actions, times)
        return jnp.sum(jnp.where(inside, rewards, 0) * discount ** jnp.arange(draws.shape[0]))

    noise = jax.random.normal(jax.random.key(2), (64, config.horizon, 1))
    for state, t in (([0.975], 0), ([0.8], 3), ([0.6], 7)):
        expected = float(exact(jnp.asarray(state), jnp.asarray(t), noise).mean())
        value = float(learned.weights.critic(jnp.asarray(state), t))
        assert value == pytest.approx(expected, rel=0.1)
    # What is data and not learned stays, however the loss depends on it.
    before = weights["critic"].critic
    for name in ("middle", "spread", "scaling"):
        assert eqx.tree_equal(getattr(learned.weights.critic, name), getattr(before, name))
    slow, fast = learned.weights.target, learned.weights.critic
    assert not np.array_equal(slow.networks[0].layers[0].weight, fast.networks[0].layers[0].weight)


def test_a_run_of_windows_is_continued_to_the_same_bits(config, tmp_path, monkeypatch):
    programs = []

    def compile_once(*given):
        programs.extend([] if programs else [compile_programs(*given)])
        return programs[0]

    monkeypatch.setattr(side_by_side, "compile_programs", compile_once)
    whole = beeline.train(config=config)
    assert np.isfinite(whole.summary["return"]).all()
    assert set(whole.state.learners) == {"model", "critic", "policy"}
    iterate = SideBySide.iterate

    def stop(algorithm, state, index):
        if index == 4:
            raise KeyboardInterrupt
        return iterate(algorithm, state, index)

    monkeypatch.setattr(SideBySide, "iterate", stop)
    with pytest.raises(Interrupted):
        beeline.train(config=config, out=tmp_path / "run")
    # As a new process would: compiled for the state that it starts from.
    monkeypatch.undo()
    assert eqx.tree_equal(beeline.resume(tmp_path / "run").state, whole.state)


def test_coordinates_and_units_follow_what_windows_are_drawn_from(config, buffer):
    algorithm = build_bpo(config)
    env, key = algorithm.env, jax.random.key(0)
    seen = dataclasses.replace(buffer, rewards=0.5 * buffer.actions[..., 0])
    chances = np.asarray(algorithm.fitting.windows.chances(seen))
    logs = np.log1p(np.asarray(seen.states[..., 0]))
    mean = (chances @ logs).mean()
    deviation = np.sqrt((chances @ (logs - mean) ** 2).mean())
    model, policy = (make(config, env, key=key) for make in (build_model, build_policy))
    value = build_critic(config, env, key=key)
    followed = (
        algorithm.fitting.prepare(model, seen).scaling,
        algorithm.improvement.prepare(policy, seen).scaling,
        *(c.scaling for c in algorithm.critic_fitting.prepare(Critics(value, value), seen)),
    )
    for scaling in followed:
        np.testing.assert_allclose(scaling.mean, mean, rtol=1e-5)
        np.testing.assert_allclose(scaling.scale, deviation, rtol=1e-5)
    new = algorithm.critic_fitting.prepare(Critics(value, value), seen).critic
    middle = np.quantile(seen.rewards[3:5], 0.5, method="inverted_cdf")
    assert new.middle == pytest.approx(middle, abs=0.5)
    plain = dataclasses.replace(
        config, world_model=dataclasses.replace(config.world_model, standardise=False)
    )
    assert not build_bpo(plain).fitting.windows.scaling(seen).compress


@pytest.mark.parametrize(
    ("asked", "noise", "disturbed"),
    [("auto", 0.0, False), ("auto", 0.1, True), ("none", 0.1, False), ("seen", 0.0, True)],
)
def test_imagined_states_get_noise_where_real_ones_have_it(config, asked, noise, disturbed):
    env = envs.make("double-integrator", horizon=10, process_noise=noise)
    fields = dataclasses.replace(config.improvement, disturbances=asked)
    config = dataclasses.replace(config, task="double-integrator", improvement=fields)
    algorithm = build_bpo(config, env)
    assert algorithm.improvement.disturbed is algorithm.critic_fitting.disturbed is disturbed
    # The true dynamics have a mean too, and lack nothing of it.
    if asked == "auto":
        simulator = dataclasses.replace(config, model="simulator")
        assert not build_bpo(simulator, env).improvement.disturbed


def test_whole_episodes_have_no_critic(tiny, config):
    assert build_bpo(tiny).critic_fitting is None
    assert build_bpo(config).critic_fitting is not None
    assert build_bpo(dataclasses.replace(config, model="gru-awm")).fitting.dyna is None


def test_slopes_that_are_learned_from_are_smooth_in_windows(config):
    def activations(config):
        env, key = build_bpo(config).env, jax.random.key(0)
        model, policy = (make(config, env, key=key) for make in (build_model, build_policy))
        value = build_critic(config, env, key=key)
        networks = [model.network, policy.network, *(value.networks if value else ())]
        return [network.activation for network in networks]

    assert activations(config) == [jax.nn.silu, jax.nn.relu, jnp.tanh, jnp.tanh]
    plain = dataclasses.replace(config.windows, activation="relu")
    assert activations(dataclasses.replace(config, windows=plain)) == 4 * [jax.nn.relu]
    episodes = dataclasses.replace(config, imagination="episodes")
    assert activations(episodes) == 2 * [jax.nn.relu]
    gru = dataclasses.replace(config, model="gru-awm")
    assert (
        build_model(gru, build_bpo(gru).env, key=jax.random.key(0)).decoder.activation
        is jax.nn.silu
    )


def test_a_model_that_knows_whole_episodes_only_says_so(config):
    class Whole(WorldModel):
        scaling: StateScaling
        state_fed = False

        def standardised(self, states, actions):
            return states

        start = step = None

    env = envs.make(config.task, horizon=config.horizon)
    draws = Draws(model=lambda env, key: Whole(StateScaling.identity(env.state_dim)))
    with pytest.raises(ValueError, match="knows whole episodes only: let its standardised"):
        build_bpo(config, env, draws)
