"""Runs of baselines that were stopped, made longer or damaged: like any other."""

import dataclasses
import gc
import json
import random
import shutil

import equinox as eqx
import jax
import numpy as np
import pytest

import beeline
from beeline.config import Config, Exploration, OnlineDecisionTransformer, SoftActorCritic
from beeline.run import Interrupted, RunError
from beeline.run import _training as training
from beeline.sac._sac import SACRecord
from beeline.storage import checkpoint
from benchmarks import soak

# Episodes of 5 steps, updates of soft actor-critic every 2: runs stop within an episode too.
SIZES = {
    "sac": {"sac": SoftActorCritic(hidden=(8, 8), batch_size=8, env_steps_per_policy_update=6)},
    "online-dt": {"online_dt": OnlineDecisionTransformer(width=8, layers=1, heads=2, batch_size=4)},
}


def config_of(model, **fields):
    warmup = Exploration(warmup_steps=20)
    return Config(model=model, horizon=5, exploration=warmup, **SIZES[model], **fields)


def live_arrays():
    gc.collect()
    return len(jax.live_arrays())


def stopped(config, out, monkeypatch, iteration):
    measured = training.row

    def row(record, reference):
        values = measured(record, reference)
        if len((out / "metrics.jsonl").read_text().splitlines()) == iteration:
            raise KeyboardInterrupt
        return values

    with monkeypatch.context() as patch:
        patch.setattr(training, "row", row)
        with pytest.raises(Interrupted):
            beeline.train(config=config, out=out)


@pytest.mark.parametrize("model", ["sac", pytest.param("online-dt", marks=pytest.mark.slow)])
def test_it_goes_on_as_if_nothing_had_happened(model, tmp_path, monkeypatch):
    """Stopped, ended and then made longer: neither has learning rates that follow the length."""
    config = config_of(model, env_steps=46, seeds=2)
    beeline.train(config=config, out=tmp_path / "whole")
    kept = live_arrays()
    shorter = dataclasses.replace(config, env_steps=33)
    stopped(shorter, tmp_path / "stopped", monkeypatch, 1)
    assert len(beeline.load(tmp_path / "stopped").records) == 1
    assert len(beeline.resume(tmp_path / "stopped").records) == 2
    beeline.resume(tmp_path / "stopped", env_steps=46)
    assert soak.differences(tmp_path / "whole", tmp_path / "stopped") == []
    assert live_arrays() <= kept


@pytest.mark.slow
@pytest.mark.parametrize("normalise", [True, False])
def test_a_full_replay_buffer_goes_on(normalise, tmp_path, monkeypatch):
    config = config_of("sac", env_steps=60)
    fields = dataclasses.replace(config.sac, buffer_size=15, normalise=normalise)
    config = dataclasses.replace(config, sac=fields)
    beeline.train(config=config, out=tmp_path / "whole")
    stopped(config, tmp_path / "stopped", monkeypatch, 3)
    beeline.resume(tmp_path / "stopped")
    assert soak.differences(tmp_path / "whole", tmp_path / "stopped") == []


def test_what_the_zoos_preset_has_goes_on_too(tmp_path, monkeypatch):
    """Random starts, a tuned weight of the entropy, and episodes that are cut short."""
    config = config_of("sac", task="pendulum", reference="none", env_steps=50)
    more = {"tune_entropy": True, "time_limit": True, "random_steps": 12, "normalise": False}
    config = dataclasses.replace(config, sac=dataclasses.replace(config.sac, **more))
    whole = beeline.train(config=config, out=tmp_path / "whole")
    learner = whole.state.learner
    assert learner.entropy_weight.updates > 0
    assert not np.any(learner.transitions.dones)
    assert len(np.unique(learner.transitions.observations[0, ::5], axis=0)) == 10
    stopped(config, tmp_path / "stopped", monkeypatch, 2)
    beeline.resume(tmp_path / "stopped")
    assert soak.differences(tmp_path / "whole", tmp_path / "stopped") == []


@pytest.fixture(scope="module")
def run(own_cache, tmp_path_factory):
    out = tmp_path_factory.mktemp("baseline") / "run"
    return beeline.train(config=config_of("sac", env_steps=30), out=out)


@pytest.fixture
def copied(run, tmp_path):
    return shutil.copytree(run.path, tmp_path / "copied")


def test_a_run_of_which_only_the_policy_was_kept(run, copied):
    """As all runs of baselines once were."""
    about = checkpoint.peek(copied / "checkpoint.npz").about
    policy_alone = run.state._replace(learner=None)
    checkpoint.save(copied / "checkpoint.npz", policy_alone, about)
    loaded = beeline.load(copied)
    assert loaded.records == run.records
    assert loaded.state.learner is None
    assert beeline.evaluate(loaded).return_ == pytest.approx(run.summary["return"], rel=1e-5)
    before = {path.name: path.read_bytes() for path in copied.iterdir()}
    with pytest.raises(RunError, match=r"copied was saved with its policy alone, .* --overwrite"):
        beeline.resume(copied, env_steps=60)
    assert {path.name: path.read_bytes() for path in copied.iterdir()} == before


def test_what_the_learner_goes_on_from_is_checked(run, copied):
    """A number of another type or shape, or none, is refused by its name."""
    about, learner = checkpoint.peek(copied / "checkpoint.npz").about, run.state.learner
    bad = {
        "rewards": (learner.rewards.astype(np.float32), "holds 'learner.rewards' as float32[1, 5]"),
        "env_steps": (learner.env_steps[:, None], "holds 'learner.env_steps' as int32[1, 1]"),
        "updates": (None, "lacks the array 'learner.updates'"),
    }
    for name, (value, message) in bad.items():
        state = run.state._replace(learner=learner._replace(**{name: value}))
        checkpoint.save(copied / "checkpoint.npz", state, about)
        with pytest.raises(RunError) as refused:
            beeline.load(copied)
        assert message in str(refused.value)


def test_a_state_that_is_not_finite_stops_the_run(run):
    record = SACRecord(*(np.asarray([1.0]) for _ in SACRecord._fields))
    assert list(run.algorithm.faults(record, None, run.state)) == []
    critic = run.state.learner.critic
    squares = (critic.squares[0] * np.inf, *critic.squares[1:])
    learner = run.state.learner._replace(critic=critic._replace(squares=squares))
    (fault,) = run.algorithm.faults(record, None, run.state._replace(learner=learner))
    assert fault.quantity == "learner.critic.squares.0"


@pytest.mark.slow
@pytest.mark.parametrize("model", SIZES)
def test_kills_leave_no_trace(model, tmp_path):
    config = soak.small("cancer-treatment", model, 0)
    seconds = soak.train_undisturbed(config, tmp_path / "undisturbed")
    chance = random.Random(0)
    kills, _, resumed = soak.train_with_kills(config, tmp_path / "killed", seconds, 5, chance)
    assert resumed == kills > 0
    assert soak.differences(tmp_path / "undisturbed", tmp_path / "killed") == []
    lines = (tmp_path / "killed" / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["iteration"] for line in lines] == [*range(1, config.iterations + 1)]


def test_a_run_in_double_precision_is_read(float64, tmp_path):
    """The library computes in single precision, what is made of its actor as JAX does."""
    run = beeline.train(config=config_of("sac", env_steps=25), out=tmp_path / "run")
    weights = jax.tree.leaves(eqx.filter(beeline.load(tmp_path / "run").policy, eqx.is_array))
    assert {str(leaf.dtype) for leaf in weights} == {"float64"}
    assert run.summary is not None
    assert run.summary["precision"] == "float64"
