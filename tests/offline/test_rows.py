"""Logged episodes as rows of as many steps each."""

import numpy as np
import pytest

from beeline import Episodes
from beeline.data import DataError, DataWarning
from beeline.offline import behaviour, cut_rows, packed_rows


def counted(*lengths):
    """Episodes whose states and rewards count the steps, all of them together."""
    states, actions, rewards, first = [], [], [], 0
    for length in lengths:
        states.append(np.arange(first, first + length + 1.0)[:, None])
        rewards.append(np.arange(first, first + length, dtype=float))
        actions.append(np.linspace(-2, 2, length)[:, None])
        first += 100
    return Episodes(states, actions, rewards, action_low=-2, action_high=2)


def test_episodes_are_cut_and_what_is_left_overlaps():
    rows = cut_rows(counted(6, 5), 3)
    assert rows.states[:, 0, 0].tolist() == [0, 3, 100, 102]
    assert rows.states.shape == (4, 4, 1)
    np.testing.assert_array_equal(rows.after, rows.states[:, 1:])
    np.testing.assert_array_equal(rows.rewards, rows.states[:, :-1, 0])
    assert rows.actions[0, 0, 0] == -1


def test_short_episodes_are_left_out_and_that_is_said():
    with pytest.warns(DataWarning, match="1 of 2 episodes are shorter than the 3 steps"):
        assert len(cut_rows(counted(6, 2), 3).states) == 2
    with pytest.raises(DataError, match="has 6 steps, and one of the task 7: give --horizon 6"):
        cut_rows(counted(6, 2), 7)


def test_packed_rows_know_what_followed_each_step():
    rows = packed_rows(counted(4, 3), 3)
    assert rows.states[:, 0, 0].tolist() == [0, 3, 100]
    np.testing.assert_array_equal(rows.after, rows.states[:, :-1] + 1)
    assert rows.states[1, :, 0].tolist() == [3, 100, 101, 102]
    with pytest.raises(DataError, match="has 7 steps in all, fewer than two episodes of 4"):
        packed_rows(counted(4, 3), 4)


def test_actions_outside_the_bounds_are_refused():
    message = "'action 0' lies outside the bounds of the task's actions, -1 to 1"
    with pytest.raises(DataError, match=message):
        cut_rows(counted(4), 2, -1.0, 1.0)


def test_what_the_behaviour_earned():
    rewards = [np.array([1.0, 2.0, 3.0, 4.0]), np.array([5.0])]
    assert behaviour(rewards, 2) == (5.0, 7.0)
    assert behaviour(rewards, 8) == (24.0, None)
