"""Imagined episodes: those of the one-step model, and only while it knows more than its student."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from beeline.build import build_bpo, build_model, build_policy
from beeline.config import MODELS, Exploration, Fitting, Model, Policy, preset
from beeline.models import WorldModel
from beeline.networks.scaling import StateScaling
from beeline.training import Buffer, Context, play

HORIZON = 10


CONFIG = preset(
    "default",
    task="invasive-plant",
    horizon=HORIZON,
    model="ssm-awm",
    fitting=Fitting(batch_size=16),
)


@pytest.fixture(scope="module")
def algorithm():
    return build_bpo(CONFIG)


@pytest.fixture(scope="module")
def drawn(algorithm):
    """In one program: a one-step model, a policy, real episodes and a whole state."""
    env = algorithm.env

    @eqx.filter_jit
    def draw():
        policy = build_policy(CONFIG, env, key=jax.random.key(1))
        keys = jax.random.split(jax.random.key(2), 5)
        random_actions = algorithm.exploration.random_actions
        actions = jax.vmap(lambda k: random_actions(HORIZON, env.action_dim, key=k))(keys)
        real = jax.vmap(lambda a: play(env, a, key=keys[0]))(actions)
        scaling = StateScaling.fit(real.states)
        one_step = algorithm.fitting.dyna.draw(scaling, real.states, key=jax.random.key(3))
        model = build_model(CONFIG, env, key=jax.random.key(5))
        return one_step, policy, real, algorithm.init(model, policy, key=jax.random.key(6))

    with jax.enable_x64(True):
        return draw()


@pytest.fixture
def parts(float64, algorithm, drawn):
    return algorithm, *drawn[:3]


def by_hand(model, state, actions):
    """The one-step model's episode in numpy."""
    layers = [(np.asarray(x.weight), np.asarray(x.bias)) for x in model.network.layers]
    values, episode = np.asarray(model.scaling.encode(jnp.asarray(state))), []
    for t, action in enumerate(np.asarray(actions)):
        x = np.concatenate([values, action, [2 * t / HORIZON - 1]])
        for weight, bias in layers[:-1]:
            x = np.maximum(x @ weight + bias, 0)
        change = x @ layers[-1][0] + layers[-1][1]
        values = np.clip(values + np.asarray(model.change) * change, -20, 20)
        episode.append(values)
    return np.asarray(model.scaling.decode(jnp.asarray(episode)))


def test_episodes_are_those_of_the_one_step_model(parts):
    algorithm, one_step, policy, _ = parts
    dyna = algorithm.fitting.dyna
    states, actions = jax.jit(dyna.imagine)(one_step, policy, key=jax.random.key(4))
    assert states.shape == (dyna.imagined, HORIZON + 1, 5)
    assert actions.shape == (dyna.imagined, HORIZON, 5)
    assert np.abs(actions).max() <= 1
    errors = jax.jit(jax.vmap(dyna.error, (None, 0, 0)))(one_step, states, actions)
    assert np.max(errors) < 1e-12
    start = algorithm.env.initial_state()
    for seen, taken in zip(*map(np.asarray, (states, actions)), strict=True):
        np.testing.assert_allclose(seen[0], start)
        np.testing.assert_allclose(seen[1:], by_hand(one_step, seen[0], taken), rtol=1e-9)
    assert np.ptp(actions, axis=0).min() > 0


def test_a_runaway_model_imagines_finite_states(parts):
    algorithm, one_step, policy, _ = parts
    wild = eqx.tree_at(lambda m: m.change, one_step, jnp.full(5, 1e30))
    states, _ = jax.jit(algorithm.fitting.dyna.imagine)(wild, policy, key=jax.random.key(4))
    assert np.isfinite(states).all()
    assert np.abs(one_step.scaling.encode(states)).max() < 20.001


def test_the_error_is_that_of_the_open_loop(parts):
    algorithm, one_step, _, real = parts
    states, actions = real.states[0], real.actions[0]
    imagined = by_hand(one_step, states[0], actions)
    wrong = one_step.scaling.encode(jnp.asarray(imagined)) - one_step.scaling.encode(states[1:])
    measured = algorithm.fitting.dyna.error(one_step, states, actions)
    np.testing.assert_allclose(measured, np.sqrt(np.mean(np.square(wrong))), rtol=1e-9)


def test_no_gradient_passes_through_the_one_step_model(parts):
    algorithm, one_step, policy, _ = parts

    def total(policy):
        states, actions = algorithm.fitting.dyna.imagine(one_step, policy, key=jax.random.key(4))
        return states.sum() + actions.sum()

    gradient = jax.tree.leaves(eqx.filter_jit(eqx.filter_grad(total))(policy))
    assert gradient
    assert not any(np.any(leaf) for leaf in gradient)


def test_the_one_step_model_learns_the_step(parts):
    algorithm, one_step, _, real = parts
    buffer = Buffer.empty(algorithm.env, 5)
    buffer, _ = jax.lax.scan(lambda b, e: (b.add(e), None), buffer, real)
    fitting = algorithm.one_step_fitting
    fit = eqx.filter_jit(fitting.learn)
    count, key = jnp.asarray(300), jax.random.key(0)
    (learned, _), tally = fit(fitting.init(one_step), Context(buffer), count, key=key)
    assert tally.taken == 300
    before, after = (m.change_loss(real.states, real.actions) for m in (one_step, learned))
    assert after < 0.05 * before
    np.testing.assert_array_equal(learned.change, one_step.change)


@pytest.mark.parametrize(
    ("errors", "teaches"), [((0.1, 0.2), True), ((0.2, 0.1), False), ((0.0, 0.0), False)]
)
def test_it_teaches_only_what_it_knows_better(parts, drawn, errors, teaches):
    algorithm, one_step, policy, _ = parts
    state = drawn[-1]
    weights = {"one_step": one_step, "policy": policy}
    context = Context(state.buffer, weights=weights, errors=jnp.asarray(errors))
    # One program for all three: the errors are among its inputs.
    draw = eqx.filter_jit(algorithm.fitting.dyna.episodes)
    _, actions = draw(context, key=jax.random.key(7))
    kept = np.asarray(state.buffer.actions)[: int(state.buffer.count)]
    copied = [(episode == kept).all(axis=(1, 2)).any() for episode in np.asarray(actions)]
    assert not any(copied) if teaches else all(copied)


def test_both_models_are_remembered_as_they_fared(parts):
    dyna = parts[0].fitting.dyna
    before, one, two = jnp.array([4.0, 9.0]), jnp.asarray(1.0), jnp.asarray(2.0)
    yes, no = jnp.asarray(True), jnp.asarray(False)
    after = dyna.compare(before, one, two, fitted=yes)
    np.testing.assert_allclose(after, [3.6 + 0.1, 8.1 + 0.4])
    after = dyna.compare(before, one, jnp.asarray(jnp.nan), fitted=yes)
    np.testing.assert_allclose(after, [3.6 + 0.1, 9.0])
    np.testing.assert_array_equal(dyna.compare(before, one, two, fitted=no), before)


def test_episodes_are_not_imagined_without_knowing_how_the_models_fare(parts):
    algorithm, one_step, policy, _ = parts
    context = Context(
        Buffer.empty(algorithm.env, 1), weights={"one_step": one_step, "policy": policy}
    )
    with pytest.raises(ValueError, match="holds no errors"):
        algorithm.fitting.dyna.episodes(context, key=jax.random.key(0))


@pytest.mark.parametrize("model", ["lstm-history", pytest.param("gru-awm", marks=pytest.mark.slow)])
def test_a_model_is_compared_as_it_is_on_its_own(model):
    config = preset(
        "default",
        task="harvest",
        horizon=HORIZON,
        model=model,
        env_steps=30,
        world_model=Model(
            width=4, heads=1, recurrent=(4,), hidden=(4,), frequencies=1, harmonics=1
        ),
        policy=Policy(hidden=(4,), frequencies=1),
        fitting=Fitting(batch_size=2),
        exploration=Exploration(warmup_steps=12),
    )
    algorithm, key = build_bpo(config), jax.random.key(0)
    made, policy = (make(config, algorithm.env, key=key) for make in (build_model, build_policy))
    before = algorithm.init(made, policy, key=key)
    after, record, _ = jax.jit(algorithm.iterate)(before, jnp.asarray(0))
    states, actions = (x[before.buffer.count] for x in (after.buffer.states, after.buffer.actions))
    encode, step = map(jax.jit, (before.model.scaling.encode, before.model.step))
    state, carry, own = states[0], before.model.start(states[0], HORIZON), []
    for t, action in enumerate(actions):
        carry, state = step(carry, state, action, t)
        own.append(state)
    wrong = encode(jnp.stack(own)) - encode(states[1:])
    expected = np.sqrt(np.mean(np.square(np.asarray(wrong))))
    assert float(record.open_loop_error) == pytest.approx(expected, rel=1e-4)
    if model == "gru-awm":
        assert record.open_loop_error == record.fresh_error
    else:
        assert float(record.open_loop_error) != pytest.approx(float(record.fresh_error), rel=1e-3)
    assert after.errors.tolist() == [0, 0]


def test_a_model_of_the_users_own_is_taught_unless_it_says_otherwise(monkeypatch):
    config = preset("default", model="gru-awm", task="harvest", horizon=HORIZON)
    env = build_bpo(config).env
    plain = build_model(config, env, key=jax.random.key(0))

    class Own(WorldModel):
        inner: WorldModel
        scaling: StateScaling
        state_fed: bool = eqx.field(static=True, default=False)

        def standardised(self, states, actions):
            return self.inner.standardised(states, actions)

        start = step = reserve = stages = None

    class OneStep(Own):
        one_step = True

    for kind, taught in ((Own, True), (OneStep, False)):
        own = kind(plain, plain.scaling)
        entry = dataclasses.replace(MODELS["gru-awm"], own=lambda env, *, key, own=own: own)
        monkeypatch.setitem(MODELS, "gru-awm", entry)
        assert (build_bpo(config).fitting.dyna is not None) == taught


def test_what_has_no_use_for_it_has_none():
    for fields in ({"model": "markov"}, {"model": "simulator"}, {"preset": "paper"}):
        name = fields.pop("preset", "default")
        assert build_bpo(preset(name, **fields)).fitting.dyna is None
    assert build_bpo(preset("default", model="transformer-history")).fitting.dyna is not None


@pytest.mark.slow
def test_untrained_models_are_not_compared():
    config = preset(
        "default",
        horizon=3,
        model="rnn-awm",
        env_steps=30,
        world_model=Model(recurrent=(4,), hidden=(4,), frequencies=1, harmonics=1),
        policy=Policy(hidden=(4,), frequencies=1),
        fitting=Fitting(batch_size=2, env_steps_per_update=6.0),
        exploration=Exploration(warmup_steps=6, fit_warmup=False),
    )
    algorithm, key = build_bpo(config), jax.random.key(0)
    model, policy = (make(config, algorithm.env, key=key) for make in (build_model, build_policy))
    state, iterate = algorithm.init(model, policy, key=key), jax.jit(algorithm.iterate)
    remembered = []
    for index in range(4):
        state, record, _ = iterate(state, jnp.asarray(index))
        remembered.append((int(record.model_updates), bool(state.errors.all())))
    assert remembered == [(0, False), (1, False), (0, True), (1, True)]
