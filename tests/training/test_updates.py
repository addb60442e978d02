"""Loops of updates, and where an episode stops being finite, against plain loops."""

from typing import final

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array

from beeline.networks.layers import Linear
from beeline.training import Buffer, Context, Episode, Learner, Optimiser, Slope
from beeline.training.faults import first_in

LOSSES = [4.0, np.nan, 2.0, 6.0, np.inf, 1.0]
SIZES = [0.1, 1.0, 3.0, 0.2, 1.0, np.nan]


@final
class Scripted(Learner):
    """Descends a slope that is written down, update by update."""

    losses: Array
    sizes: Array
    name = "scripted"

    def slope(self, weights, context, *, key):
        line = key[1]
        gradient = jax.tree.map(lambda w: self.sizes[line] * jnp.ones_like(w), weights)
        return Slope(self.losses[line], gradient, (self.losses[line],))

    def update_key(self, key, index):
        return key.at[1].add(index.astype(key.dtype))


def test_a_loop_counts_what_it_leaves_out():
    weights = Linear(3, 2, key=jax.random.key(0))
    learner = Scripted(Optimiser(0.01, 1.0, 1.0), 1, jnp.asarray(LOSSES), jnp.asarray(SIZES))
    nothing = Context(Buffer(jnp.zeros((1, 2, 1)), jnp.zeros((1, 1, 1)), jnp.asarray(0)))

    def line(number):
        return jnp.asarray([0, number], jnp.uint32)

    def loop(count, first=0):
        return learner.learn(learner.init(weights), nothing, count, key=line(first))

    learned, tally = jax.jit(loop)(jnp.asarray(6))
    taken = [0, 2, 3]
    assert int(tally.taken) == len(taken)
    assert float(tally.mean[0]) == pytest.approx(np.mean([LOSSES[i] for i in taken]))
    assert float(tally.last[0]) == LOSSES[3]
    assert float(tally.gradient_norm) == pytest.approx(SIZES[3] * np.sqrt(8), rel=1e-6)
    assert float(tally.clip_fraction) == pytest.approx(1 / 3)
    assert int(tally.first_skipped.update) == 1
    assert np.isnan(tally.first_skipped.values[0])
    assert int(tally.first_skipped.bad_entry) == -1
    # The same weights as from the good updates alone.
    expected = learner.init(weights)
    for i in taken:
        expected = learner.update(expected, nothing, key=line(i)).learned
    for ours, theirs in zip(*map(jax.tree.leaves, (learned, expected)), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-6)
    _, none = jax.jit(loop)(jnp.asarray(0))
    assert int(none.first_skipped.update) == -1
    assert not none.mean.any()
    assert not none.last.any()
    assert none.clip_fraction == 0
    _, lost = jax.jit(loop)(jnp.asarray(1), 1)
    assert np.isnan([*lost.mean, *lost.last, lost.clip_fraction]).all()
    assert (int(lost.due), int(lost.skipped)) == (1, 1)


def test_the_first_bad_number_of_an_episode_is_found():
    steps, entries = 3, (2, 1, 1)
    width = sum(entries)
    find = jax.jit(first_in)

    def episode(bad):
        flat = np.ones(width * steps + entries[0], np.float32)
        flat[bad] = np.nan
        table = flat[: width * steps].reshape(steps, width)
        states = np.concatenate([table[:, :2], flat[None, width * steps :]])
        return Episode(*map(jnp.asarray, (states, table[:, 2:3], table[:, 3])))

    assert int(find(episode([]))) == -1
    for place in range(width * steps + entries[0]):
        assert int(find(episode([place]))) == place
        assert int(find(episode([place, -1]))) == place
    assert int(find(episode([5])._replace(rewards=jnp.full(3, jnp.inf)))) == 3


def test_an_episode_that_is_not_to_be_kept_leaves_no_trace():
    def full(value):
        return Episode(jnp.full((3, 1), value), jnp.full((2, 1), value), jnp.full(2, value))

    buffer = Buffer(jnp.zeros((4, 3, 1)), jnp.zeros((4, 2, 1)), jnp.asarray(0), jnp.zeros((4, 2)))
    kept = buffer.add(full(1.0)).add(full(jnp.nan), where=jnp.asarray(False))
    alone = buffer.add(full(1.0))
    for ours, theirs in zip(*map(jax.tree.leaves, (kept, alone)), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert int(kept.add(full(2.0)).count) == 2
    np.testing.assert_array_equal(kept.add(full(2.0)).states[1], full(2.0).states)
