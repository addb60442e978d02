"""Episodes of any lengths: what they hold, and what they refuse."""

import warnings

import numpy as np
import pytest

import beeline
from beeline.data import DataError, DataWarning, Episodes


def ragged(lengths=(3, 5)):
    draws = np.random.default_rng(0)
    states = [draws.normal(size=(n + 1, 2)) for n in lengths]
    actions = [draws.uniform(-2, 6, (n, 1)) for n in lengths]
    return states, actions


def test_episodes_hold_what_they_were_given():
    states, actions = ragged()
    rewards = [a[:, 0] ** 2 for a in actions]
    episodes = Episodes(states, actions, rewards, [True, False], state_names=["x", "v"], dt=0.5)
    assert (len(episodes), episodes.steps) == (2, 8)
    assert (episodes.state_dim, episodes.action_dim) == (2, 1)
    assert episodes.state_names == ("x", "v")
    assert episodes.action_names == ("action 0",)
    assert beeline.Episodes is Episodes
    for episode, s, a, r, over in zip(
        episodes, states, actions, rewards, (True, False), strict=True
    ):
        np.testing.assert_array_equal(episode.states, s)
        np.testing.assert_array_equal(episode.actions, a)
        np.testing.assert_array_equal(episode.rewards, r)
        assert episode.terminated is over


def test_episodes_do_not_change_and_are_copies():
    states, actions = ragged()
    episodes = Episodes(states, actions)
    before = states[0][0, 0]
    states[0][0, 0] = 99
    assert episodes[0].states[0, 0] == before
    with pytest.raises(ValueError, match="read-only"):
        episodes[0].states[0, 0] = 1
    with pytest.raises(ValueError, match="read-only"):
        episodes.action_low[0] = 1
    with pytest.raises(AttributeError, match="episodes do not change"):
        episodes.dt = 2.0
    with pytest.raises(AttributeError, match="episodes do not change"):
        del episodes.dt


def test_actions_are_mapped_to_the_box_by_the_data_or_by_the_bounds_given():
    states, _ = ragged()
    actions = [np.array([[0.0], [4], [1]]), np.array([[3.0], [4], [2], [0], [4]])]
    of_data = Episodes(states, actions)
    np.testing.assert_allclose(of_data.to_box(actions[0])[:, 0], [-1, 1, -0.5])
    given = Episodes(states, actions, action_low=-4, action_high=[4])
    np.testing.assert_allclose(given.to_box(actions[0])[:, 0], [0, 1, 0.25])


def test_a_constant_column_is_said_and_an_action_that_is_constant_is_0():
    states, actions = ragged()
    for state in states:
        state[:, 1] = 7
    with pytest.warns(DataWarning, match="column 'v' is 7 throughout"):
        Episodes(states, actions, state_names=["x", "v"])
    constant = [np.full_like(a, 3.0) for a in actions]
    with pytest.warns(DataWarning, match="column 'u' is 3 throughout"):
        episodes = Episodes(ragged()[0], constant, action_names=["u"])
    np.testing.assert_array_equal(episodes.to_box(constant[0]), 0)


def spoiled(kind, episode, step, value):
    states, actions = ragged()
    rewards = [np.zeros(len(a)) for a in actions]
    {"states": states, "actions": actions, "rewards": rewards}[kind][episode][step] = value
    return states, actions, rewards


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (spoiled("states", 1, 2, np.nan), r"episode 1, step 2, column 'state 0' is nan"),
        (spoiled("actions", 0, 1, np.inf), r"episode 0, step 1, column 'action 0' is inf"),
        (spoiled("rewards", 1, 4, np.nan), r"episode 1, step 4, column 'reward' is nan"),
        (([], []), "there are no episodes"),
        ((ragged()[0], ragged()[1][:1]), "actions of 1 episodes were given, but states of 2"),
        ((ragged()[0], ragged((3, 6))[1]), "episode 1 has 6 states and 6 actions"),
        (([np.zeros((1, 2))], [np.zeros((0, 1))]), "episode 0 has 1 states: give two at least"),
        (([np.zeros(4)], [np.zeros((3, 1))]), r"states of episode 0 have shape \(4,\)"),
        (([[["a"], ["b"]]], [[[1.0]]]), "states of episode 0 are not numbers"),
        (([np.zeros((3, 0))], [np.zeros((2, 1))]), "episode 0 has 0 state entries"),
        ((*ragged(), [[0.0] * 3, [0.0] * 4]), "episode 1 has 5 actions and 4 rewards"),
        (
            ([np.zeros((3, 1)), np.zeros((3, 2))], [np.zeros((2, 1))] * 2),
            "episode 1 has 2 state entries and the first 1",
        ),
    ],
)
def test_what_does_not_belong_together_is_refused(arguments, message):
    with pytest.raises(DataError, match=message):
        Episodes(*arguments)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"dt": 0.0}, "dt is 0.0"),
        ({"state_names": ["x"]}, r"state_names are \('x',\): give 2 texts"),
        ({"action_low": [0, 0]}, r"action_low is \[0, 0\]: give a number"),
        ({"action_high": np.nan}, "action_high is nan: give finite"),
        ({"action_high": -1.9}, "column 'action 0' is .*, outside its bounds"),
    ],
)
def test_options_that_mean_nothing_are_refused(options, message):
    with warnings.catch_warnings(), pytest.raises(DataError, match=message):
        Episodes(*ragged(), **options)
