"""Algorithm 1: it learns, repeats itself, is traced once and counts its updates."""

import dataclasses
import math

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import beeline
from beeline.build import build_bpo
from beeline.config import Exploration, preset
from beeline.storage import checkpoint
from beeline.training import BPO, Record


def final(run):
    return run.records[-1]["normalized_return"]


def arrays(run):
    return jax.tree.leaves(jax.tree.map(_plain, eqx.filter(run.state, eqx.is_array)))


def _plain(x):
    is_key = jnp.issubdtype(x.dtype, jax.dtypes.prng_key)
    return np.asarray(jax.random.key_data(x) if is_key else x)


@pytest.fixture(scope="module")
def second(tiny, trained):
    return beeline.train(config=tiny, seed=1)


@pytest.fixture(scope="module")
def again(tiny, own_cache):
    """The run of `tiny` once more, and how often its iteration was traced."""
    traces = []
    iterate = BPO.iterate

    def counting(self, state, index):
        traces.append(index)
        return iterate(self, state, index)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BPO, "iterate", counting)
        return beeline.train(config=tiny), len(traces)


def test_a_markov_model_teaches_the_task(trained):
    assert final(trained)[0] > 0.85
    assert trained.records[-1]["fresh_error"][0] < 0.2


def test_an_actions_world_model_teaches_the_task(tiny):
    run = beeline.train(config=tiny, model="transformer-awm")
    assert final(run)[0] > 0.85
    assert run.records[-1]["fresh_error"][0] < 0.2


def test_the_same_seed_gives_the_same_bits(trained, again):
    repeated, _ = again
    for a, b in zip(arrays(trained), arrays(repeated), strict=True):
        np.testing.assert_array_equal(a, b)
    ours, theirs = (
        [{name: value for name, value in row.items() if name != "wall_seconds"} for row in rows]
        for rows in (trained.records, repeated.records)
    )
    assert ours == theirs


def test_another_seed_gives_another_run(trained, second):
    assert final(trained) != final(second)
    assert not np.array_equal(trained.state.buffer.actions, second.state.buffer.actions)


def test_seeds_side_by_side_are_their_single_runs(trained, second, pair):
    assert pair.seeds == [0, 1]
    for position, single in enumerate((trained, second)):
        first = single.records[0]
        for name, values in pair.records[0].items():
            if name in ("iteration", "env_steps"):
                assert values == first[name]
            elif name != "wall_seconds":
                assert values[position] == pytest.approx(first[name][0], rel=2e-2, abs=1e-3), name
        # Rounding grows over hundreds of updates; the warm-up and the keys have no excuse.
        warmup = single.config.warmup_episodes
        np.testing.assert_allclose(
            pair.state.buffer.states[position, :warmup],
            single.state.buffer.states[0, :warmup],
            rtol=1e-6,
        )
        np.testing.assert_array_equal(
            jax.random.key_data(pair.state.key[position]), jax.random.key_data(single.state.key[0])
        )
        assert final(pair)[position] == pytest.approx(final(single)[0], abs=0.05)


def test_the_iteration_is_traced_once(tiny, again):
    run, traces = again
    assert len(run.records) == tiny.iterations > 1
    assert traces == 1


@pytest.mark.parametrize(
    ("horizon", "ratio", "first"),
    [(20, 16.0, [1, 1, 1, 2, 1, 1, 1, 2]), (20, 2.0, [10] * 8), (100, 16.0, [6, 6, 6, 7] * 2)],
)
def test_updates_keep_to_the_ratios_of_the_paper(horizon, ratio, first):
    algorithm = build_bpo(preset("paper", horizon=horizon, env_steps=3000))
    due = algorithm.updates_due(ratio)
    assert due[:8].tolist() == first
    steps = due_so_far = 0
    for count in due.tolist():
        steps += horizon
        due_so_far += count
        assert due_so_far == steps // int(ratio)


@pytest.mark.parametrize("ratio", [3.0, 7.0, 0.1, 1e9, math.inf])
def test_updates_of_awkward_ratios_are_counted_exactly(ratio):
    config = preset("default", horizon=20, env_steps=4000, model="markov")
    algorithm = build_bpo(config)
    due = algorithm.updates_due(ratio)
    steps = (config.warmup_episodes + np.arange(1, config.iterations + 1)) * 20
    expected = [math.floor(step / ratio) for step in steps.tolist()]
    assert np.cumsum(due).tolist() == expected
    assert due[0] == expected[0]


def test_without_catching_up_the_warmup_earns_no_updates():
    warm = Exploration(warmup_steps=1000, fit_warmup=False)
    algorithm = build_bpo(preset("default", horizon=20, env_steps=2000, exploration=warm))
    assert algorithm.updates_due(5.0).tolist() == [4] * algorithm.iterations


def test_the_record_counts_its_updates(trained):
    algorithm = trained.algorithm.bpo
    counted = [row["model_updates"] for row in trained.records]
    assert counted == [[n] for n in algorithm.updates_due(algorithm.fitting.env_steps_per_update)]
    always = Record._fields[: -len(Record._field_defaults)]
    assert len(always) == len(trained.records[0]) - 5


def test_the_state_round_trips_through_a_checkpoint(trained, tmp_path):
    path = tmp_path / "state.npz"
    checkpoint.save(path, trained.state, {})
    place = trained.algorithm.skeleton()
    loaded = checkpoint.load(path, place).tree
    assert jax.tree.structure(loaded) == jax.tree.structure(trained.state)
    for a, b in zip(
        arrays(trained), arrays(dataclasses.replace(trained, state=loaded)), strict=True
    ):
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)


def test_a_loaded_state_goes_on_as_if_nothing_had_happened(trained, programs, tmp_path):
    path = tmp_path / "state.npz"
    checkpoint.save(path, trained.state, {})
    loaded = checkpoint.load(path, trained.algorithm.skeleton()).tree
    iterate = programs[trained.config].iterate
    last = trained.config.iterations - 1
    (_, ours, _), (_, theirs, _) = iterate(trained.state, last), iterate(loaded, last)
    assert ours == theirs
