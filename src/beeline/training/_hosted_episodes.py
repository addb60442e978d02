"""Episodes of simulators that are stepped on the host, one for each seed."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from beeline.envs._simulators import Simulators
from beeline.training.episodes import Ends, Episode

Choose = Callable[[np.ndarray, np.ndarray, int], np.ndarray]
"""Actions in [-1, 1] by states, their indices in their episodes, and the index in the row."""


class Played(NamedTuple):
    """Whole episodes that a policy was measured in."""

    returns: Float[np.ndarray, "seed episode"]
    lengths: Int[np.ndarray, "seed episode"]
    first: Episode
    """The first of each seed; after its end, it stays there and earns nothing."""


def play_row(host: Simulators, choose: Choose, horizon: int) -> Episode:
    """Step simulators through a row of steps, which begins with a start.

    Where an episode ends, the next begins; the row's end cuts off the one that is under way.

    Args:
        host: The simulators.
        choose: Chooses actions.
        horizon: Steps in the row.

    Returns:
        A row for each seed.
    """
    states = host.begin()
    times, lived = np.zeros(len(states), np.int32), []
    for k in range(horizon):
        actions = choose(states, times, k)
        stepped = host.step(actions)
        ends = stepped.after, stepped.terminated, times, stepped.truncated
        lived.append((states, actions, stepped.rewards, *ends))
        times = np.where(stepped.terminated | stepped.truncated, 0, times + 1).astype(np.int32)
        states = stepped.states
    rows: Any = [np.stack(x, axis=1) for x in zip(*lived, strict=True)]
    before, actions, rewards, *ends = rows
    whole: Any = np.concatenate([before, states[:, None]], axis=1)
    return Episode(whole, actions, rewards, Ends(*ends))


def play_episodes(host: Simulators, choose: Choose, count: int, horizon: int) -> Played:
    """Step simulators through whole episodes, until each seed has as many as are asked for.

    Args:
        host: The simulators.
        choose: Chooses actions.
        count: Episodes of each seed.
        horizon: Steps in an episode at most.

    Returns:
        What they earned, and the first of each.
    """
    states = host.begin()
    seeds = np.arange(len(states))
    times, earned, done = np.zeros((3, len(seeds)), int)
    earned = earned.astype(float)
    returns, lengths = np.full((len(seeds), count), np.nan), np.zeros((len(seeds), count), int)
    lived = []
    while (done < count).any():
        actions = choose(states, times, 0)
        stepped = host.step(actions)
        if (done == 0).any():
            lived.append((states, actions, np.where(done == 0, stepped.rewards, 0), stepped.after))
        earned, times = earned + stepped.rewards, times + 1
        over = stepped.terminated | stepped.truncated
        ended = over | (times >= horizon)
        counted = ended & (done < count)
        at = seeds[counted], done[counted]
        returns[at], lengths[at] = earned[counted], times[counted]
        done = done + counted
        earned, times = np.where(ended, 0, earned), np.where(ended, 0, times)
        states = stepped.states
        if (ended & ~over).any() and (done < count).any():
            states = host.begin(ended & ~over)
    return Played(returns, lengths, _first(lived, lengths[:, 0], horizon))


def _first(lived: list[tuple[np.ndarray, ...]], lengths: np.ndarray, horizon: int) -> Episode:
    states, actions, rewards, after = (np.stack(x, axis=1) for x in zip(*lived, strict=True))
    seeds, steps = np.arange(len(lengths))[:, None], np.arange(horizon)
    whole = np.concatenate([states[:, :1], after], axis=1)
    inside = steps < lengths[:, None]
    # Beyond its end there is its last state, and no action.
    states = whole[seeds, np.minimum(np.arange(horizon + 1), lengths[:, None])]
    at = seeds, np.minimum(steps, lengths[:, None] - 1)
    parts: Any = (
        states,
        np.where(inside[..., None], actions[at], 0),
        np.where(inside, rewards[at], 0),
    )
    return Episode(*parts)
