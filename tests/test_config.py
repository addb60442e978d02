"""Configurations: what is refused, the presets, and the way through JSON."""

import dataclasses
import json
import math
import subprocess
import sys

import pytest

from beeline.cli._commands import Train
from beeline.config import (
    PRESETS,
    Config,
    Exploration,
    Fitting,
    Improvement,
    SoftActorCritic,
    preset,
)
from beeline.config._fields import SHARE, Count, added_since, field, group, normalised
from beeline.run import RunError
from beeline.run.directory.config_file import from_json, to_json
from beeline.run.directory.layout import SCHEMA


def changed(path, value):
    group, _, name = path.rpartition(".")
    if not group:
        return dataclasses.replace(Config(), **{name: value})
    inner = dataclasses.replace(getattr(Config(), group), **{name: value})
    return dataclasses.replace(Config(), **{group: inner})


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("task", "cancer", "unknown task 'cancer': did you mean 'cancer-treatment'"),
        ("model", "transformer", "unknown model 'transformer': did you mean 'transformer-"),
        ("preset", "papper", "unknown preset 'papper': did you mean 'paper'"),
        ("horizon", 1, "horizon is 1: give an integer of at least 2"),
        ("seeds", 0, "seeds is 0: give an integer of at least 1"),
        ("seed", 2**32, "seed is 4294967296: give an integer of at least 0 and at most 4294967295"),
        ("env_steps", 10**30, "env-steps is 1000000000000000000000000000000: give an integer"),
        ("seed", -1, "seed is -1: give an integer of at least 0"),
        ("env_steps", 1599, "env-steps is 1599, but the warm-up takes 1500 and one episode 100"),
        (
            "fitting.learning_rate",
            0.0,
            "fitting.learning-rate is 0.0: give a finite number above 0",
        ),
        ("fitting.learning_rate", -1e-3, "fitting.learning-rate is -0.001"),
        ("fitting.learning_rate", math.nan, "fitting.learning-rate is nan"),
        ("fitting.learning_rate", math.inf, "fitting.learning-rate is inf: give a finite number"),
        ("policy.mean_bound", math.inf, "policy.mean-bound is inf: give a finite number above 0"),
        ("improvement.learning_rate", 0.0, "improvement.learning-rate is 0.0"),
        ("improvement.env_steps_per_update", 0.0, "improvement.env-steps-per-update is 0.0"),
        ("fitting.weight_decay", -0.1, "fitting.weight-decay is -0.1"),
        ("fitting.batch_size", -1, "fitting.batch-size is -1"),
        ("fitting.final_rate", 1.5, "fitting.final-rate is 1.5: give a share from 0 to 1"),
        ("improvement.through_policy", -0.1, "improvement.through-policy is -0.1"),
        ("world_model.width", 73, "world-model.width is 73, not a multiple"),
        ("world_model.hidden", (), r"world-model.hidden is \(\): give at least one"),
        ("policy.hidden", (64, 0), "policy.hidden is"),
        ("policy.least_deviation", 5.0, "policy.least-deviation is 5.0, above"),
        ("policy.squash", "cube", "unknown policy.squash 'cube'"),
        ("exploration.amplitude", math.inf, "exploration.amplitude is inf"),
        ("exploration.warmup_steps", -1, "exploration.warmup-steps is -1"),
    ],
)
def test_a_value_out_of_range(path, value, message):
    with pytest.raises(ValueError, match=message):
        changed(path, value)


@pytest.mark.parametrize(
    ("task", "horizon", "message"),
    [
        ("one-bounce", 2, "horizon is 2, but one-bounce takes at least 3: with fewer steps"),
        ("invasive-plant", 9, "horizon is 9, but invasive-plant takes at least 10: in steps of"),
    ],
)
def test_a_horizon_with_which_the_task_means_nothing(task, horizon, message):
    with pytest.raises(ValueError, match=message):
        Config(task=task, horizon=horizon)
    assert Config(task=task, horizon=horizon + 1).horizon == horizon + 1


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (
            {"model": "sac", "fitting": Fitting(clip=3.0)},
            r"fitting.clip is 3.0, but the model 'sac'",
        ),
        ({"model": "sac", "reward": "learned"}, "reward is learned, but the model 'sac' has no"),
        ({"model": "sac", "nonfinite": "skip"}, "nonfinite is skip, but the model 'sac' has no"),
        (
            {"model": "sac", "exploration": Exploration(amplitude=0.1)},
            "exploration.amplitude is 0.1, but the model 'sac' has no such option: leave it out",
        ),
        ({"sac": SoftActorCritic(batch_size=3)}, "sac.batch-size is 3, but the model 'transf"),
        (
            {"model": "sac", "sac": SoftActorCritic(env_steps_per_policy_update=3)},
            "sac.env-steps-per-policy-update is 3, not a multiple of sac.env-steps-per-update = 2",
        ),
        (
            {"model": "sac", "sac": SoftActorCritic(entropy_weight=0.0, tune_entropy=True)},
            "sac.entropy-weight is 0, where tuning cannot begin: give a number above",
        ),
        (
            {"preset": "sac-zoo", "model": "markov"},
            "preset is 'sac-zoo', which is for the model 'sac' alone, but model",
        ),
    ],
)
def test_an_option_that_the_model_does_not_have(fields, message):
    with pytest.raises(ValueError, match=message):
        Config(**fields)


@pytest.mark.parametrize(
    ("field", "value", "instead"),
    [
        ("fitting.env_steps_per_update", 5.0, "windows.env_steps_per_update"),
        ("improvement.env_steps_per_update", 5.0, "windows.env_steps_per_update"),
        ("improvement.learning_rate", 5.0, "windows.policy_rate"),
        ("exploration.amplitude", 5.0, "windows.amplitude"),
    ],
)
def test_what_windows_have_in_the_place_of_an_option(field, value, instead):
    group, name = field.split(".")
    kinds = {"fitting": Fitting, "improvement": Improvement, "exploration": Exploration}
    given = {group: kinds[group](**{name: value})}
    flags = [text.replace("_", "-") for text in (field, instead)]
    with pytest.raises(ValueError, match=rf"{flags[0]} is 5.0, but that is an .* give {flags[1]}"):
        Config(imagination="windows", **given)
    for imagination, expected in (("episodes", value), ("auto", value)):
        assert Config(imagination=imagination, **given).in_force(field) == expected
    windows = Config(imagination="windows")
    assert windows.in_force(field) == getattr(windows.windows, instead.split(".")[1])
    assert windows.in_force("fitting.clip") == windows.fitting.clip


def test_a_baseline_recorded_before_there_was_a_choice_is_read():
    assert Config(model="sac", imagination="episodes").imagination == "episodes"
    with pytest.raises(ValueError, match="imagination is windows, but the model 'sac' has no"):
        Config(model="sac", imagination="windows")


@pytest.mark.parametrize("name", PRESETS)
def test_a_baseline_has_its_own_options_and_those_of_all(name):
    given = preset(name, exploration=dataclasses.replace(preset(name).exploration, warmup_steps=50))
    made = preset(
        name, model="sac", exploration=given.exploration, sac=SoftActorCritic(hidden=(8,))
    )
    assert made.warmup_episodes == 2
    assert preset("paper").sac == SoftActorCritic(normalise=False)
    assert preset(name, sac=SoftActorCritic()).sac.normalise


def test_numbers_of_the_wrong_kind():
    # In a process of its own: the types that these tests check at run time would come first.
    code = """
import dataclasses
from beeline.config import Config, Fitting
for value in (20.0, "20", True, None):
    for make in (
        lambda: Config(horizon=value),
        lambda: Config(seeds=value),
        lambda: Config(env_steps=value),
        lambda: Config(fitting=Fitting(batch_size=value)),
    ):
        try:
            make()
        except TypeError as error:
            assert f"is {value!r}: give an integer of at least" in str(error), error
        else:
            raise AssertionError(value)
for value in ("0.1", None, True):
    try:
        Config(fitting=Fitting(learning_rate=value))
    except TypeError as error:
        assert f"fitting.learning-rate is {value!r}: give a finite number" in str(error), error
    else:
        raise AssertionError(value)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_what_may_be_infinite():
    assert changed("fitting.clip", math.inf).fitting.clip == math.inf
    assert changed("improvement.env_steps_per_update", math.inf).iterations > 0


def test_env_steps_are_whole_episodes_with_the_warmup_rounded_up():
    config = changed("env_steps", 1999)
    assert (config.warmup_episodes, config.iterations) == (15, 4)
    short = Config(horizon=1000, env_steps=5000)
    assert (short.warmup_episodes, short.iterations) == (2, 3)


@pytest.mark.parametrize(("horizon", "episodes"), [(20, 80), (99, 17), (100, 16), (500, 16)])
def test_a_batch_has_enough_episodes_and_steps(horizon, episodes):
    config = Config(horizon=horizon)
    assert (config.fitting_batch, config.improvement_batch) == (episodes, episodes)
    config = changed("fitting.batch_size", 3)
    assert (config.fitting_batch, config.improvement_batch) == (3, 16)


def test_the_paper_preset_is_table_1_and_appendix_c():
    paper = preset("paper")
    assert (paper.world_model.width, paper.world_model.layers, paper.world_model.heads) == (
        72,
        2,
        3,
    )
    assert paper.world_model.hidden == paper.policy.hidden == (64, 64)
    assert paper.world_model.positions
    assert not paper.world_model.standardise
    assert paper.world_model.units == "state"
    assert (paper.fitting_batch, paper.improvement_batch) == (64, 16)
    assert paper.fitting.env_steps_per_update == 2
    assert paper.improvement.env_steps_per_update == 16
    assert (paper.fitting.learning_rate, paper.improvement.learning_rate) == (1e-3, 1e-4)
    assert paper.improvement.clip == 100
    assert paper.exploration.warmup_steps == 1500
    assert paper.improvement.through_policy == 0


@pytest.mark.parametrize("name", PRESETS)
def test_presets_know_their_name_and_take_changes(name):
    config = preset(name, horizon=20, seed=3)
    assert (config.preset, config.horizon, config.seed) == (name, 20, 3)


def test_a_preset_or_field_that_is_not_there():
    with pytest.raises(ValueError, match="unknown preset 'defaults': did you mean 'default'"):
        preset("defaults")
    with pytest.raises(TypeError, match="horizn"):
        preset("default", horizn=3)


def test_seeds_that_follow_each_other_stay_in_range():
    assert Config(seed=2**32 - 2, seeds=2).seeds == 2
    with pytest.raises(ValueError, match="seed is 4294967295 and seeds 2, but the last may be at"):
        Config(seed=2**32 - 1, seeds=2)


def test_numbers_of_numpy_are_taken_as_pythons_own():
    # In a process of its own, as above.
    code = """
import json
import numpy as np
from beeline.config import Config, Exploration, Fitting, Policy
from beeline.run.directory.config_file import to_json
given = Config(
    horizon=np.int16(20),
    seed=np.uint32(2**32 - 1),
    fitting=Fitting(clip=3, imagined=np.float32(0.5)),
    policy=Policy(hidden=np.asarray([8, 4])),
    exploration=Exploration(fit_warmup=np.bool_(False)),
)
plain = Config(
    horizon=20,
    seed=2**32 - 1,
    fitting=Fitting(clip=3.0, imagined=0.5),
    policy=Policy(hidden=(8, 4)),
    exploration=Exploration(fit_warmup=False),
)
assert given == plain
assert json.dumps(to_json(given)) == json.dumps(to_json(plain))
for fields in (
    {"fitting": Fitting(learning_rate="0.1")},
    {"fitting": Fitting(learning_rate=True)},
    {"exploration": Exploration(fit_warmup="yes")},
    {"fitting": Exploration()},
    {"task": 3},
):
    try:
        Config(**fields)
    except TypeError as error:
        assert ": give" in str(error), error
    else:
        raise AssertionError(fields)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_field_is_declared_once():
    @dataclasses.dataclass(frozen=True)
    class Inner:
        rate: float = field(0.5, SHARE, since=3, before=1.0)

    @dataclasses.dataclass(frozen=True)
    class Outer:
        inner: Inner = group(Inner)
        count: int = field(1, Count(0))

    assert normalised(Outer(count=2)) == {"inner": Inner(), "count": 2}
    with pytest.raises(ValueError, match=r"inner.rate is 2.0: give a share from 0 to 1"):
        normalised(Outer(inner=Inner(rate=2.0)))
    assert dict(added_since(Outer, 2)) == {"inner.rate": 1.0}
    assert not dict(added_since(Outer, 3))


@pytest.mark.parametrize("name", PRESETS)
def test_json_and_back(name):
    model = PRESETS[name][1].get("model", "markov")
    config = preset(name, task="harvest", horizon=7, model=model)
    text = json.dumps(to_json(config), allow_nan=False)
    assert from_json(json.loads(text), "here", SCHEMA) == config


def broken(change):
    data = to_json(Config())
    change(data)
    return data


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.pop("horizon"), "here: the field horizon is missing: another version"),
        (lambda d: d["fitting"].pop("clip"), "here: the field fitting.clip is missing"),
        (lambda d: d.update(colour=1), "here: there is no field 'colour': another version"),
        (lambda d: d.update(fitting=3), "here: fitting is not a group of fields"),
        (lambda d: d.update(horizon="20"), "here: horizon is '20', not of type int"),
        (lambda d: d.update(horizon=True), "here: horizon is True, not of type int"),
        (lambda d: d["fitting"].update(clip="many"), "here: fitting.clip is 'many', not of type"),
        (lambda d: d["policy"].update(hidden=[64, "x"]), "policy.hidden is 'x', not of type int"),
        (lambda d: d["policy"].update(hidden=64), "policy.hidden is 64, not of type tuple"),
        (lambda d: d.update(horizon=1), "here: horizon is 1: give an integer"),
        (lambda d: d.update(task="x"), "here: unknown task 'x'"),
    ],
)
def test_json_that_is_no_configuration(change, message):
    with pytest.raises(RunError, match=message):
        from_json(broken(change), "here", SCHEMA)


def test_the_command_line_has_every_field_with_the_same_default():
    ours = {one.name for one in dataclasses.fields(Train)}
    all_of_them = {one.name for one in dataclasses.fields(Config)}
    for name in all_of_them:
        assert getattr(Train(), name) == getattr(Config(), name)
    assert ours - all_of_them == {
        "out",
        "overwrite",
        "check",
        "checkpoint_steps",
        "checkpoint_minutes",
        "policy_factory",
        *("data", "offline", "caution", "states", "actions", "reward_column", "terminated"),
        *("episode", "step", "action_low", "action_high"),
    }
