import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from beeline.models import MarkovModel, prediction_loss
from beeline.networks.scaling import StateScaling
from tests.networks import drawn

LENGTH = 7


pytestmark = pytest.mark.usefixtures("float64")


def markov_model(*, key):
    scaling = StateScaling.fit(jnp.array([[1.0, -200.0], [3.0, 500.0], [0.1, 0.0]]))
    return MarkovModel(2, 3, LENGTH, hidden_sizes=(6,), scaling=scaling, key=key)


def make_model():
    return drawn(markov_model, seed=1)


def draw(length=LENGTH):
    states, actions = np.random.default_rng(2).normal(size=(2, length, 3))
    return jnp.asarray(10 * states[:, :2]), jnp.asarray(np.tanh(actions))


def test_predicts_the_change_of_the_standardised_state():
    model, (states, actions) = make_model(), draw()
    values = np.asarray(model.scaling.encode(states))
    time = 2 * np.arange(LENGTH)[:, None] / LENGTH - 1
    hidden, out = model.network.layers
    x = np.concatenate([values, actions, time], axis=-1)
    x = np.maximum(x @ np.asarray(hidden.weight) + np.asarray(hidden.bias), 0)
    expected = values + x @ np.asarray(out.weight) + np.asarray(out.bias)
    np.testing.assert_allclose(model.standardised(states, actions), expected, rtol=1e-11)


def silence(network):
    return jax.tree.map(jnp.zeros_like, network)


def test_a_silent_network_keeps_the_state():
    model = eqx.tree_at(lambda m: m.network, make_model(), replace_fn=silence)
    states, actions = draw()
    np.testing.assert_allclose(model.predict(states, actions), states, rtol=1e-9)


def test_teacher_forced_equals_step():
    model, (states, actions) = make_model(), draw()
    carry, stepped, step = model.start(states[0], LENGTH), [], eqx.filter_jit(model.step)
    for t in range(LENGTH):
        carry, after = step(carry, states[t], actions[t], jnp.array(t))
        stepped.append(after)
    np.testing.assert_allclose(model.predict(states, actions), jnp.stack(stepped), rtol=1e-11)
    assert model.state_fed
    assert model.stages(LENGTH) == (LENGTH,)


def test_prediction_loss_against_numpy():
    model = make_model()
    batch = [draw(LENGTH + 1) for _ in range(3)]
    states = jnp.stack([(i + 1) * s for i, (s, _) in enumerate(batch)])
    actions = jnp.stack([a[:LENGTH] for _, a in batch])
    errors = [
        np.asarray(model.standardised(s[:-1], a)) - np.asarray(model.scaling.encode(s[1:]))
        for s, a in zip(states, actions, strict=True)
    ]
    loss = prediction_loss(model, states, actions)
    np.testing.assert_allclose(loss, np.mean(np.square(errors)), rtol=1e-12)


def test_a_perfect_model_has_no_loss():
    model, (states, actions) = make_model(), draw()
    state, visited, step = states[0], [states[0]], eqx.filter_jit(model.step)
    for t in range(LENGTH):
        _, state = step(None, state, actions[t], jnp.array(t))
        visited.append(state)
    assert prediction_loss(model, jnp.stack(visited)[None], actions[None]) < 1e-20


def test_changes_in_units_of_their_spread():
    model, (states, actions) = make_model(), draw(LENGTH + 1)
    batch = jnp.stack([states, 3 * states])
    scaled = model.in_units_of_change(batch)
    values = np.asarray(model.scaling.encode(batch))
    changes = np.diff(values, axis=1)
    unit = changes.reshape(-1, 2).std(axis=0)
    plain = np.asarray(model.standardised(states[:LENGTH], actions[:LENGTH]))
    before = values[0, :LENGTH]
    measured = scaled.standardised(states[:LENGTH], actions[:LENGTH])
    np.testing.assert_allclose(measured, before + unit * (plain - before), rtol=1e-9)
    loss = scaled.change_loss(batch, jnp.stack([actions[:LENGTH]] * 2))
    errors = [
        np.asarray(model.standardised(s[:LENGTH], actions[:LENGTH])) - v[:LENGTH] - c / unit
        for s, v, c in zip(batch, values, changes, strict=True)
    ]
    np.testing.assert_allclose(loss, np.mean(np.square(errors)), rtol=1e-9)


def test_units_of_change_are_fitted_to_episodes_and_decide_what_fitting_minimises():
    model, (states, actions) = make_model(), draw(LENGTH + 1)
    batch, actions = jnp.stack([states, 3 * states]), jnp.stack([actions[:LENGTH]] * 2)
    assert model.calibrate(batch) is model
    assert model.fitting_loss(batch, actions) == prediction_loss(model, batch, actions)
    # Only what is drawn with such a unit has it fitted; a scan over runs keeps its shape.
    drawn_so = eqx.tree_at(
        lambda m: m.change, model, jnp.ones(2), is_leaf=lambda leaf: leaf is None
    )
    scaled = drawn_so.calibrate(batch)
    changes = np.diff(np.asarray(model.scaling.encode(batch)), axis=1)
    np.testing.assert_allclose(scaled.change, changes.reshape(-1, 2).std(axis=0), rtol=1e-12)
    assert scaled.fitting_loss(batch, actions) == scaled.change_loss(batch, actions)


def test_the_loss_of_a_window_is_that_of_its_steps_in_the_episode():
    model, (states, actions) = make_model(), draw(LENGTH + 1)
    model = model.in_units_of_change(states[None])
    cut, length = np.array([2, 4]), 3
    windows = jnp.stack([states[i : i + length + 1] for i in cut])
    acted = jnp.stack([actions[i : i + length] for i in cut])
    values = np.asarray(model.scaling.encode(states))
    whole = np.asarray(model.standardised(states[:LENGTH], actions[:LENGTH]))
    wrong = (whole - values[1:]) / np.asarray(model.change)
    expected = np.mean([wrong[i : i + length] ** 2 for i in cut])
    loss = model.fitting_loss(windows, acted, jnp.asarray(cut))
    np.testing.assert_allclose(loss, expected, rtol=1e-9)
    assert abs(model.fitting_loss(windows, acted) / expected - 1) > 1e-3


def test_states_that_never_change_are_no_division_by_zero():
    model = make_model().in_units_of_change(jnp.ones((2, 4, 2)))
    assert np.all(np.isfinite(model.change))
