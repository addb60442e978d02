"""World models of logged data: an exactly known system, and what is made of ragged logs."""

import json

import jax.numpy as jnp
import numpy as np
import pytest

from beeline.data import DataError, DataWarning, Episodes
from beeline.forecast import Errors, errors_ahead, fit_episodes, hold_out, load, save
from beeline.forecast._split import Piece, windows_of
from beeline.models import MarkovModel
from beeline.run import RunError
from tests.networks import drawn

A = np.array([[0.9, 0.2], [-0.2, 0.9]])
B = np.array([0.0, 0.5])


def logged(lengths, seed=0):
    """Of x' = A x + B u with the valve u from 10 to 30, in degrees around 300."""
    draws = np.random.default_rng(seed)
    states, actions = [], []
    for length in lengths:
        u = draws.uniform(10, 30, length)
        x = [draws.normal(size=2)]
        for t in range(length):
            x.append(A @ x[-1] + B * (u[t] - 20) / 10)
        states.append(300 + 10 * np.stack(x))
        actions.append(u[:, None])
    return Episodes(states, actions, state_names=["T", "p"], action_names=["u"], dt=0.5)


@pytest.fixture(scope="module")
def fitted():
    return fit_episodes(logged([40, 25, 60, 33, 50, 45]), "markov", window=8, updates=400, seed=1)


def test_a_linear_system_is_learned_and_believed(fitted):
    # Persistence is off by about the spread; the exact predictor by nothing.
    assert fitted.errors.overall.shape == (8,)
    assert fitted.errors.overall.max() < 0.1
    assert fitted.errors.overall_persistence[3] > 0.5
    assert fitted.forecaster.believed == 8
    assert fitted.errors.beats_persistence() == (1, 8)
    assert fitted.held.what == "1 of 6 episodes"


def test_forecasts_are_in_physical_units(fitted):
    fresh = logged([8], seed=7)[0]
    predicted = fitted.forecaster.predict(fresh.states[0], fresh.actions)
    # The spread is about 10 degrees.
    np.testing.assert_allclose(predicted, fresh.states[1:], atol=3)


def test_what_was_saved_forecasts_the_same_bits(fitted, tmp_path):
    files = save(fitted, tmp_path / "model")
    assert all(file.stat().st_size for file in files)
    loaded = load(tmp_path / "model")
    fresh = logged([30], seed=8)[0]
    np.testing.assert_array_equal(
        loaded.predict(fresh.states[0], fresh.actions),
        fitted.forecaster.predict(fresh.states[0], fresh.actions),
    )
    assert (loaded.state_names, loaded.dt, loaded.believed) == (("T", "p"), 0.5, 8)
    header = (tmp_path / "model" / "errors.csv").read_text(encoding="utf-8").splitlines()[0]
    assert header == "steps ahead,error,persistence,T,p,starts"


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("format", "other", "does not describe a fitted model"),
        ("schema", 2, "has schema 2, this version of beeline reads 1"),
        ("state_names", ["T"], "belongs"),
        ("state_names", "T", "state_names is not a list"),
        ("state_names", [1, 2], "state_names holds 1: texts belong there"),
        ("action_low", [1.0, 2.0], "action_low has 2 entries, not 1"),
        ("action_high", [True], "action_high holds True: finite numbers"),
        ("longest", 0, "longest is 0, not an integer from 1"),
        ("believed", None, "believed is None"),
        ("dt", "a", "dt is 'a', not a finite number"),
        ("config", {}, "the field task is missing"),
    ],
)
def test_forged_descriptions_are_refused(fitted, tmp_path, field, value, message):
    save(fitted, tmp_path)
    file = tmp_path / "forecaster.json"
    data = json.loads(file.read_text(encoding="utf-8"))
    file.write_text(json.dumps(data | {field: value}), encoding="utf-8")
    with pytest.raises(RunError, match=message):
        load(tmp_path)


def test_sizes_that_the_weights_do_not_bear_out_are_refused_at_once(fitted, tmp_path):
    save(fitted, tmp_path)
    file = tmp_path / "forecaster.json"
    data = json.loads(file.read_text(encoding="utf-8"))
    data["config"]["world_model"]["hidden"] = [10**9, 10**9]
    file.write_text(json.dumps(data), encoding="utf-8")
    with pytest.raises(RunError, match="larger than weights of"):
        load(tmp_path)
    (tmp_path / "forecaster.json").unlink()
    with pytest.raises(RunError, match=r"is not a fitted model: it has no forecaster\.json"):
        load(tmp_path)


def test_errors_are_those_of_a_loop_and_persistence_of_the_data():
    model = drawn(MarkovModel, 2, 1, 9, hidden_sizes=(4,))
    episodes = logged([5, 9])
    pieces = [Piece(one.states / 100, episodes.to_box(one.actions)) for one in episodes]
    spread = np.array([2.0, 0.5])
    errors = errors_ahead(model, pieces, spread, 6)
    for ahead in (1, 4, 6):
        own, still = [], []
        for states, actions in pieces:
            for t in range(len(actions) - ahead + 1):
                state = jnp.asarray(states[t])
                for k in range(ahead):
                    state = model.step(None, state, jnp.asarray(actions[t + k]), jnp.asarray(k))[1]
                own.append((np.asarray(state) - states[t + ahead]) / spread)
                still.append((states[t] - states[t + ahead]) / spread)
        assert errors.starts[ahead - 1] == len(own)
        np.testing.assert_allclose(
            errors.model[ahead - 1], np.sqrt(np.mean(np.square(own), axis=0)), rtol=1e-3
        )
        np.testing.assert_allclose(
            errors.persistence[ahead - 1], np.sqrt(np.mean(np.square(still), axis=0)), rtol=1e-6
        )


def test_forecasts_are_believed_until_they_first_pass_the_share():
    model = np.array([[0.1], [0.3], [0.6], [0.2]])
    still = np.array([[0.05], [0.2], [0.7], [0.9]])
    errors = Errors(("x",), model, still, np.full(4, 9))
    assert [errors.believed(share) for share in (0.05, 0.5, 1.0)] == [0, 2, 4]
    assert errors.beats_persistence() == (3, 4)
    assert Errors(("x",), model * np.nan, still, np.full(4, 9)).believed() == 0
    assert errors._replace(model=model + 1).beats_persistence() is None
    assert errors._replace(model=still * [[0.5], [0.5], [2], [0.5]]).beats_persistence() == (1, 2)


def test_windows_begin_at_every_step_of_every_episode():
    states = [np.arange(4.0)[:, None], 10 + np.arange(6.0)[:, None], np.zeros((2, 1))]
    pieces = [Piece(s, -s[:-1]) for s in states]
    with pytest.warns(DataWarning, match="1 of 3 episodes to fit are shorter than a window of 3"):
        windows = windows_of(pieces, 3)
    np.testing.assert_array_equal(
        windows.states[..., 0], [[0, 1, 2, 3], [10, 11, 12, 13], [11, 12, 13, 14], [12, 13, 14, 15]]
    )
    np.testing.assert_array_equal(windows.actions, -windows.states[:, :-1])
    with pytest.raises(DataError, match=r"windows of 9 steps .* longest episode to fit has 5"):
        windows_of(pieces, 9)


def test_whole_episodes_are_held_out_or_the_end_of_a_single_record():
    episodes = logged([4, 5, 6, 7, 8])
    held = hold_out(episodes, 0.4, seed=3)
    lengths = [len(piece.actions) for piece in held.fitted + held.held_out]
    assert sorted(lengths) == [4, 5, 6, 7, 8]
    assert len(held.held_out) == 2
    record = logged([20])
    held = hold_out(record, 0.25)
    (before,), (after,) = held.fitted, held.held_out
    np.testing.assert_array_equal(before.states, record[0].states[:16])
    np.testing.assert_array_equal(after.states, record[0].states[15:])
    assert held.what == "the last 5 of 20 steps"
    np.testing.assert_allclose(held.spread, before.states.std(axis=0))


@pytest.mark.parametrize(
    ("lengths", "options", "message"),
    [
        ([20], {"held_out": 1.0}, "the share held out is 1.0"),
        ([5], {"held_out": 0.2}, "0.2 of a record of 5 steps leaves fewer than 2"),
        ([9, 9], {"window": 10}, "windows of 10 steps"),
        ([9, 9], {"ahead": 10}, "ahead is 10, but the longest episode held out has 9"),
        ([9, 9], {"updates": 0}, "updates is 0"),
        ([9, 9], {"share": 0.0}, "the share believed is 0.0"),
        ([9, 9], {"model": "simulator"}, "simulator"),
    ],
)
def test_what_does_not_suit_the_episodes_is_refused(lengths, options, message):
    with pytest.raises(ValueError, match=message):
        fit_episodes(logged(lengths), **({"model": "markov"} | options))


@pytest.mark.parametrize("name", ["gru-awm", "ssm-awm", "transformer-awm", "lstm-history"])
def test_other_models_are_fitted_and_loaded_alike(name, tmp_path):
    fitted = fit_episodes(logged([12, 14, 30]), name, window=4, updates=1)
    save(fitted, tmp_path)
    fresh = logged([30], seed=2)[0]
    np.testing.assert_array_equal(
        load(tmp_path).predict(fresh.states[0], fresh.actions),
        fitted.forecaster.predict(fresh.states[0], fresh.actions),
    )
    with pytest.raises(DataError, match="31 actions were given: give 1 to 30"):
        fitted.forecaster.predict(fresh.states[0], np.ones((31, 1)))
    with pytest.raises(DataError, match=r"the state has shape \(1,\)"):
        fitted.forecaster.predict(fresh.states[0][:1], fresh.actions)
