"""Runs that discarded episodes: each can be read, measured, drawn, continued and made longer."""

import dataclasses
import json

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import beeline
from beeline.build import build_bpo, build_model, build_policy
from beeline.cli import main
from beeline.config import Config, Exploration, Fitting, Improvement, Model, Policy
from beeline.control import Optimum
from beeline.run import DivergedError, Interrupted, RunError, RunWarning
from beeline.run._evaluation import evaluate_run
from beeline.run._reference import Reference
from beeline.storage import checkpoint
from beeline.training import Record, side_by_side
from beeline.training._tally import Skipped
from beeline.training.faults import Faults
from beeline.training.side_by_side import Programs

HORIZON, WARMUP, SEEDS, ITERATIONS = 4, 2, 2, 4
CONFIG = Config(
    task="cancer-treatment",
    horizon=HORIZON,
    model="markov",
    seeds=SEEDS,
    env_steps=(WARMUP + ITERATIONS) * HORIZON,
    world_model=Model(hidden=(4,), frequencies=1),
    policy=Policy(hidden=(4,), frequencies=1),
    fitting=Fitting(batch_size=2),
    improvement=Improvement(batch_size=2),
    exploration=Exploration(warmup_steps=WARMUP * HORIZON, fit_warmup=False),
)
_NOWHERE = np.full(SEEDS, -1)
NONE = Skipped(_NOWHERE, np.ones((SEEDS, 2)), _NOWHERE, np.ones(SEEDS, int))


@pytest.fixture(scope="module")
def start():
    """The state that a run begins with."""
    algorithm = build_bpo(CONFIG)

    def one(seed):
        keys = jax.random.split(jax.random.key(seed), 3)
        model = build_model(CONFIG, algorithm.env, key=keys[0])
        policy = build_policy(CONFIG, algorithm.env, key=keys[1])
        return algorithm.init(model, policy, key=keys[2])

    return eqx.filter_jit(eqx.filter_vmap(one))(jnp.arange(SEEDS))


@pytest.fixture
def play(start, monkeypatch):
    """Stand in for the compiled iteration: it collects an episode, or discards it."""
    optimum = Optimum(np.zeros((HORIZON, 1)), np.zeros((HORIZON + 1, 1)), 1.0, np.ones(1))
    monkeypatch.setattr(Reference, "of", lambda env, kind: Reference(optimum, 1.0, 0.0))

    leaves = len(jax.tree.leaves(eqx.filter(start.learned, eqx.is_inexact_array)))

    def play(discarded, stop_at=None):
        def iterate(state, index):
            if index == stop_at:
                raise KeyboardInterrupt
            bad = np.asarray([index in of_seed for of_seed in discarded])
            count = state.buffer.count + ~bad
            state = eqx.tree_at(lambda state: state.buffer.count, state, count)
            values = dict.fromkeys(Record._fields, np.ones(SEEDS))
            # What an episode that is not finite has, and the mean of no update.
            values["collected_return"] = np.where(bad, np.inf, 1.0)
            values["policy_gradient_norm"] = np.full(SEEDS, np.nan)
            values["discarded_episodes"] = bad.astype(int)
            record = Record(**values)
            nowhere, finite = np.full(SEEDS, -1), np.ones((SEEDS, leaves), bool)
            collected = np.where(bad, 0, nowhere)
            return (
                state,
                record,
                Faults(collected, {"model": NONE, "policy": NONE}, finite, nowhere),
            )

        programs = Programs(lambda: start, iterate)
        monkeypatch.setattr(side_by_side, "compile_programs", lambda *_: programs)

    return play


SOUND = (set(), set())
DISCARDED = {
    "none": SOUND,
    "first": ({0}, {0}),
    "last": ({ITERATIONS - 1}, {ITERATIONS - 1}),
    "of one seed": (set(), {1, 2}),
    "at other times": ({0}, {3}),
    "all": (set(range(ITERATIONS)), set(range(ITERATIONS))),
}
"""Iterations of each seed whose episode is not finite."""


@pytest.mark.parametrize(
    ("which", "nonfinite"),
    [
        ("at other times", "skip"),
        ("all", "restore"),
        *(
            pytest.param(which, "skip", marks=pytest.mark.slow)
            for which in DISCARDED
            if which != "at other times"
        ),
    ],
)
def test_a_run_that_discarded_episodes_goes_through_every_command(
    play, tmp_path, capsys, which, nonfinite
):
    out, discarded = tmp_path / "run", DISCARDED[which]
    config = dataclasses.replace(CONFIG, nonfinite=nonfinite)
    play(discarded, stop_at=2)
    with pytest.raises(Interrupted):
        beeline.train(config=config, out=out)
    assert counts(out) == [WARMUP + 2 - len(d & {0, 1}) for d in discarded]
    play(discarded)
    ended = beeline.resume(out)
    assert ended.summary is not None
    kept = [WARMUP + ITERATIONS - len(of_seed) for of_seed in discarded]
    assert counts(out) == kept
    assert beeline.load(out).summary == ended.summary
    assert main(["evaluate", str(out), "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["return"]) == SEEDS
    (out / "learning_curve.png").unlink()
    assert main(["plot", str(out)]) == 0
    assert (out / "learning_curve.png").exists()
    longer = beeline.resume(out, env_steps=config.env_steps + HORIZON)
    assert np.asarray(longer.state.buffer.count).tolist() == [n + 1 for n in kept]
    assert counts(out) == [n + 1 for n in kept]


def counts(out):
    return np.asarray(beeline.load(out).state.buffer.count).tolist()


def test_a_count_that_the_records_do_not_bear_out_is_refused(play, tmp_path):
    play(({1}, set()))
    out = tmp_path / "run"
    run = beeline.train(config=dataclasses.replace(CONFIG, nonfinite="skip"), out=out)
    about = checkpoint.peek(out / "checkpoint.npz").about
    (out / "checkpoint-previous.npz").unlink(missing_ok=True)
    for kept in ([6, 6], [5, 5], [6, 7]):
        state = eqx.tree_at(lambda s: s.buffer.count, run.state, jnp.asarray(kept))
        checkpoint.save(out / "checkpoint.npz", state, about)
        with pytest.raises(RunError, match=r"iterations is 4, but 'buffer\.count' says otherwise"):
            beeline.load(out)


def test_a_run_that_was_interrupted_in_its_first_iteration(play, tmp_path, capsys):
    out = tmp_path / "run"
    play(SOUND, stop_at=0)
    with pytest.raises(Interrupted, match="after 0 of 4"):
        beeline.train(config=CONFIG, out=out)
    assert counts(out) == [WARMUP] * SEEDS
    assert main(["evaluate", str(out)]) == 0
    assert "seed 0" in capsys.readouterr().out
    assert main(["plot", str(out)]) == 2
    assert "has no finished iteration" in capsys.readouterr().err
    play(SOUND)
    assert len(beeline.resume(out).records) == ITERATIONS


@pytest.mark.parametrize("nonfinite", ["stop", "skip", "restore"])
def test_a_warmup_that_is_not_finite_leaves_a_run_that_says_so(
    play, start, tmp_path, monkeypatch, capsys, nonfinite
):
    out = tmp_path / "run"
    play(SOUND)
    broken = eqx.tree_at(lambda s: s.return_scale, start, jnp.full(SEEDS, jnp.inf))
    programs = Programs(lambda: broken, lambda *_: pytest.fail("it went on"))
    monkeypatch.setattr(side_by_side, "compile_programs", lambda *_: programs)
    with pytest.raises(DivergedError, match="return_scale of seed 0 is not finite in iteration 0"):
        beeline.train(config=dataclasses.replace(CONFIG, nonfinite=nonfinite), out=out)
    for command in ("evaluate", "plot"):
        assert main([command, str(out)]) == 2
        assert "there is no checkpoint" in capsys.readouterr().err
    play(SOUND)
    with pytest.warns(RunWarning, match="it begins again"):
        assert len(beeline.resume(out).records) == ITERATIONS


def test_a_policy_whose_return_is_not_finite_is_measured_and_drawn(
    play, tmp_path, capsys, monkeypatch
):
    out = tmp_path / "run"
    play(SOUND)
    run = beeline.train(config=CONFIG, out=out)
    nan = dataclasses.replace(
        evaluate_run(run),
        return_=np.asarray([np.nan, -np.inf]),
        normalized_return=np.asarray([np.nan, -np.inf]),
        states=np.full((SEEDS, HORIZON + 1, 1), np.inf),
    )
    monkeypatch.setattr(beeline.run, "evaluate_run", lambda *_: nan)
    monkeypatch.setattr("beeline.run._figures.evaluate_run", lambda *_: nan)
    assert main(["evaluate", str(out), "--json"]) == 0
    measured = json.loads(capsys.readouterr().out, parse_constant=pytest.fail)
    assert measured["return"] == measured["normalized_return"] == [None, None]
    assert main(["evaluate", str(out)]) == 0
    assert capsys.readouterr().out.count("return not finite") == SEEDS
    assert main(["plot", str(out)]) == 0
