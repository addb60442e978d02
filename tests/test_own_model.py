"""World models and policies of the user's own, from outside the package: drawn, checked, read."""

import dataclasses
import functools
import json
import pickle
import re
import subprocess
import sys
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import beeline
from beeline.build import Draws, build, build_bpo, build_model, build_policy
from beeline.cli import main
from beeline.cli._factories import names_of_models
from beeline.config import (
    MODELS,
    Config,
    Exploration,
    Fitting,
    Improvement,
    Model,
    Policy,
    preset,
    register_model,
)
from beeline.envs import make
from beeline.gradients import Direct, Objective, Unrolled, draw_noise
from beeline.models import ActionsModel, SimulatorModel
from beeline.run import Interrupted, RunError
from beeline.run import _training as training
from beeline.run._own import draws_of, identified, name_of
from beeline.run.directory.config_file import to_json
from beeline.run.directory.layout import read_config

MODULE = """
import functools

import equinox as eqx
import jax
import jax.numpy as jnp

from beeline.models import ActionsModel, WorldModel
from beeline.networks.scaling import StateScaling
from beeline.policies import Policy
from beeline.sequence import SequenceCore


class Leaky(SequenceCore):
    drive: jax.Array
    rate: jax.Array
    width: int = eqx.field(static=True)

    def __init__(self, width, *, key):
        self.drive = jax.random.normal(key, (width, width)) / width**0.5
        self.rate = jnp.linspace(-1.0, 3.0, width)
        self.width = width

    def parallel(self, tokens):
        return jax.lax.scan(self.step, self.start(len(tokens)), tokens)[1]

    def start(self, length):
        return jnp.zeros(self.width)

    def step(self, cache, token):
        kept = jax.nn.sigmoid(self.rate)
        cache = kept * cache + (1 - kept) * (token @ self.drive)
        return cache, jax.nn.gelu(cache)

    def reserve(self, cache, length):
        return cache

    def stages(self, length):
        return (length,)


def draw(env, key, width=8):
    core_key, key = jax.random.split(key)
    sizes = env.state_dim, env.action_dim, env.horizon
    return ActionsModel(Leaky(width, key=core_key), *sizes, decoder_sizes=(8,), key=key)


class Linear(WorldModel):
    weights: jax.Array
    scaling: StateScaling
    state_fed: bool = eqx.field(static=True, default=True)

    def standardised(self, states, actions):
        values = self.scaling.encode(states)
        return values + jnp.concatenate([values, actions], axis=-1) @ self.weights

    def start(self, state, length):
        return ()

    def step(self, carry, state, action, t):
        return carry, self.scaling.decode(self.standardised(state, action))

    def reserve(self, carry, length):
        return carry

    def stages(self, length):
        return (length,)


def draw_linear(env, key):
    weights = 0.01 * jax.random.normal(key, (env.state_dim + env.action_dim, env.state_dim))
    return Linear(weights, StateScaling.identity(env.state_dim))


class Plain(Policy):
    weights: jax.Array

    def sample(self, state, t, noise, width=1.0):
        action = jnp.tanh(state @ self.weights + 0.2 * width * noise)
        return action, jnp.zeros(state.shape[:-1]) + 0.0 * action.sum(axis=-1)

    def mode(self, state, t):
        return jnp.tanh(state @ self.weights)


def draw_plain(env, key):
    return Plain(0.1 * jax.random.normal(key, (env.state_dim, env.action_dim)))


class Lists(Linear):
    def stages(self, length):
        return (length, length)


class Grows(Linear):
    def step(self, carry, state, action, t):
        return jnp.zeros(3), Linear.step(self, carry, state, action, t)[1]


class Wide(Linear):
    def standardised(self, states, actions):
        return jnp.concatenate([Linear.standardised(self, states, actions)] * 2, axis=-1)


class Halved(Linear):
    def step(self, carry, state, action, t):
        return carry, Linear.step(self, carry, state, action, t)[1].astype(jnp.float16)


class Undecided(Linear):
    state_fed: jax.Array


def of(kind, *rest):
    def draw_it(env, key):
        return kind(draw_linear(env, key).weights, StateScaling.identity(env.state_dim), *rest)

    return draw_it


lists, grows, wide, halved = of(Lists), of(Grows), of(Wide), of(Halved)
undecided = of(Undecided, jnp.ones(()))


def unscaled(env, key):
    return Linear(draw_linear(env, key).weights, None)


def narrow(env, key):
    return Linear(jnp.zeros((1, env.state_dim)), StateScaling.identity(env.state_dim))


def broken(env, key):
    return env.no_such_member


def nothing(env, key):
    return None


def needy(env, key, layers):
    return draw(env, key)


def markov(env, key):
    return draw_linear(env, key)


class Deaf(Plain):
    def sample(self, state, t, noise, width=1.0):
        return jnp.zeros(3), jnp.zeros(())


class Sad(Plain):
    def sample(self, state, t, noise, width=1.0):
        action, _ = Plain.sample(self, state, t, noise, width)
        return action, jnp.zeros(())


class Single(Plain):
    def mode(self, state, t):
        return jnp.tanh(jnp.dot(self.weights[:, 0], state))[None]


def policy_of(kind):
    def draw_policy(env, key):
        return kind(draw_plain(env, key).weights)

    return draw_policy


deaf, sad, single = policy_of(Deaf), policy_of(Sad), policy_of(Single)
wider = functools.partial(draw, width=4)
number = 3
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("own")
    (folder / "models_of_a_test.py").write_text(MODULE, encoding="utf-8")
    (folder / "failing_of_a_test.py").write_text("def draw(", encoding="utf-8")
    return folder


@pytest.fixture(scope="module", autouse=True)
def here(folder):
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(sys, "path", [*sys.path])
        yield
        sys.modules.pop("models_of_a_test", None)


CONFIG = preset(
    "default",
    horizon=6,
    env_steps=72,
    world_model=Model(hidden=(8,)),
    policy=Policy(hidden=(8,)),
    fitting=Fitting(batch_size=4, env_steps_per_update=6.0),
    improvement=Improvement(batch_size=4, env_steps_per_update=6.0),
    exploration=Exploration(warmup_steps=30),
)
WITHOUT = dataclasses.replace(CONFIG, policy=Policy())


def drawn(name):
    return draws_of(f"models_of_a_test:{name}", None).model


@pytest.fixture(scope="module")
def run(folder, here, own_cache):
    return beeline.train(config=CONFIG, model=drawn("draw"), out=folder / "run")


@pytest.fixture(scope="module")
def whole(folder, here, own_cache):
    return beeline.train(
        config=dataclasses.replace(WITHOUT, seeds=2),
        model="models_of_a_test:draw_linear",
        policy="models_of_a_test:draw_plain",
        out=folder / "whole",
    )


def test_a_core_of_the_users_own_is_trained_like_the_librarys(run):
    bpo = run.algorithm.bpo
    assert isinstance(run.model, ActionsModel)
    assert type(run.model.core).__name__ == "Leaky"
    assert isinstance(bpo.improvement.gradient, Direct)
    assert bpo.fitting.dyna is not None
    assert run.records[-1]["one_step_error"][0] > 0
    assert run.records[0]["model_updates"] == [6]
    assert np.isfinite(run.records[-1]["return"]).all()
    first, last = (np.asarray(one.core.drive) for one in (fresh(run, 0), run.model))
    assert np.abs(first - last).max() > 1e-4
    assert {"learning_curve.png", "trajectories.png"} <= {file.name for file in run.path.iterdir()}


def fresh(run, seed):
    draw = eqx.filter_jit(run.algorithm.draw)
    return draw(jnp.asarray(seed, jnp.uint32)).model


def test_a_whole_model_and_a_policy_of_the_users_own(whole):
    bpo = whole.algorithm.bpo
    assert isinstance(bpo.improvement.gradient, Unrolled)
    assert bpo.fitting.dyna is not None
    assert [type(policy).__name__ for policy in whole.policies] == ["Plain", "Plain"]
    assert all(np.isfinite(row["return"]).all() for row in whole.records)
    one, other = (np.asarray(fresh(whole, seed).weights) for seed in whole.seeds)
    assert np.abs(one - other).max() > 1e-4
    assert whole.config.model == "draw_linear"
    assert "name=draw_plain" in whole.config.own_policy
    assert np.abs(np.asarray(whole.model.scaling.mean)).max() > 0


def test_it_is_read_evaluated_and_pickled(run, whole, folder):
    read = beeline.load(folder / "run", model="models_of_a_test:draw")
    assert read == run
    assert pickle.loads(pickle.dumps(read)) == run
    assert beeline.evaluate(folder / "run", model=drawn("draw")) == beeline.evaluate(run)
    handed = {"model": drawn("draw_linear"), "policy": "models_of_a_test:draw_plain"}
    assert beeline.load(folder / "whole", **handed) == whole


@pytest.mark.slow
def test_it_goes_on_to_the_same_bits(run, tmp_path, monkeypatch):
    training_row, measured = training.row, []

    def row(*arguments):
        measured.append(training_row(*arguments))
        if len(measured) == 3:
            raise KeyboardInterrupt
        return measured[-1]

    monkeypatch.setattr(training, "row", row)
    with pytest.raises(Interrupted):
        beeline.train(config=CONFIG, model=drawn("draw"), out=tmp_path / "run")
    monkeypatch.undo()
    again = beeline.resume(tmp_path / "run", model=drawn("draw"))
    assert eqx.tree_equal(again.state, run.state)
    longer = beeline.resume(tmp_path / "run", model=drawn("draw"), env_steps=78)
    assert len(longer.records) == len(run.records) + 1


def test_the_command_line_names_them_in_another_process(run, folder):
    named = ["--model", "models_of_a_test:draw"]
    done = subprocess.run(
        [sys.executable, "-m", "beeline", "evaluate", "run", *named],
        capture_output=True,
        encoding="utf-8",
        cwd=folder,
    )
    # Another process traces the same equations.
    assert not done.returncode, done.stderr
    assert f"return {run.summary['return'][0]:.6g}" in done.stdout
    assert main(["plot", "run", *named]) == 0


def test_the_command_line_trains_them(folder, monkeypatch, capsys):
    asked = []

    def train(**given):
        asked.append(given)
        raise RunError("reached")

    monkeypatch.setattr(beeline.run, "train", train)
    named = ["--model", "models_of_a_test:draw", "--policy-factory", "models_of_a_test:draw_plain"]
    assert main(["train", "harvest", "--horizon", "6", *named]) == 2
    assert "reached" in capsys.readouterr().err
    (given,) = asked
    assert (given["model"], given["policy"]) == (drawn("draw"), drawn("draw_plain"))
    assert given["out"].name == "harvest-h6-draw-seed0"
    assert main(["train", *named, "--policy.hidden", "4"]) == 2
    assert "policy.hidden is (4,), but a policy of one's own has no" in capsys.readouterr().err


def test_its_files_never_say_what_to_import(whole, folder, capsys):
    text = (folder / "whole" / "config.json").read_text(encoding="utf-8")
    assert "models_of_a_test" not in text
    named = ["--model", "models_of_a_test:draw_linear"]
    for command in ("evaluate", "resume", "plot", "diagnose"):
        assert main([command, "whole"]) == 2
        line = capsys.readouterr().err
        assert "whole is of a world model of its own, drawn by 'draw_linear': hand that" in line
        assert "with model=, or on the command line with --model module:name" in line
        assert main([command, "whole", *named]) == 2
        line = capsys.readouterr().err
        assert "whole is of a policy of its own, drawn by 'draw_plain': hand that" in line
        assert "on the command line with --policy-factory module:name" in line
        assert line.count("\n") == 1


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("draw_linear", "a world model drawn by 'draw', not by 'draw_linear'"),
        ("wider", "trained with another 'draw' than the one handed over: what it draws computes"),
        ("needy", "a world model drawn by 'draw', not by 'needy'"),
    ],
)
def test_another_model_is_refused_by_what_differs(run, folder, name, message):
    with pytest.raises(RunError, match=message):
        beeline.load(folder / "run", model=drawn(name))


def test_a_run_of_the_librarys_own_takes_none(copied):
    with pytest.raises(RunError, match="has a world model of the library: leave model out"):
        beeline.load(copied, model=drawn("draw"))
    with pytest.raises(RunError, match="has a policy of the library: leave policy out"):
        beeline.load(copied, policy=drawn("draw_plain"))


def test_other_versions_and_precisions_trace_other_equations(run, folder, monkeypatch):
    from beeline.run import _own

    told = run.config.own_model.replace(f"jax={jax.__version__}", "jax=0.0")
    then = dataclasses.replace(run.config, own_model=told)
    _own.check_same(then, Draws(drawn("wider")), run.env, folder)
    with pytest.raises(RunError, match="computes something else"):
        _own.check_same(run.config, Draws(drawn("wider")), run.env, folder)


def test_both_routes_give_the_same_gradient_of_a_core_of_the_users_own():
    env, draws = make("cancer-treatment", horizon=6), Draws(drawn("draw"), drawn("draw_plain"))
    config = dataclasses.replace(CONFIG, model="draw", own_model="traced")
    through = dataclasses.replace(CONFIG.improvement, through_policy=0.5)
    routes = [
        type(build_bpo(one, env, draws).improvement.gradient)
        for one in (config, dataclasses.replace(config, improvement=through))
    ]
    assert routes == [Direct, Unrolled]
    keys = jax.random.split(jax.random.key(0), 2)
    model = build_model(config, env, key=keys[0], draws=draws)
    policy = build_policy(config, env, key=keys[1], draws=draws)
    starts = jnp.stack([env.initial_state()] * 4)
    noise = draw_noise(4, 6, env.action_dim, key=keys[0])
    objective = Objective(env.reward, jnp.ones(()), jnp.zeros(()))
    direct, unrolled = (
        eqx.filter_jit(route)(policy, model, objective, starts, noise)[1].weights
        for route in (Direct(), Unrolled(0.0, 1.0))
    )
    assert np.abs(direct).max() > 1e-6
    np.testing.assert_allclose(direct, unrolled, rtol=1e-4)


@pytest.mark.slow
def test_it_is_diagnosed(run, tmp_path, capsys):
    small = ["--samples", "2", "--points", "5", "--horizons", "3", "--out", str(tmp_path)]
    assert main(["diagnose", "run", "--model", "models_of_a_test:draw", *small]) == 0
    assert "draw" in capsys.readouterr().out
    assert "draw" in (tmp_path / "alignment.csv").read_text(encoding="utf-8")


def test_it_is_diagnosed_by_module_and_name_on_a_task(registered, capsys):
    assert names_of_models(["models_of_a_test:draw", "markov"]) == ["draw", "markov"]
    assert MODELS["draw"].own is drawn("draw")
    given = ["diagnose", "cancer-treatment", "--models"]
    for name, message in {
        "models_of_a_test:markov": "'markov' is a model of the library: register yours",
        "models_of_a_test:number": "of type int: give a function draw(env, key)",
        "markof": "unknown model 'markof': did you mean 'markov'",
    }.items():
        assert main([*given, name]) == 2
        assert message in capsys.readouterr().err
    assert main([*given[:2], "--model", "models_of_a_test:draw"]) == 2
    assert "--policy-factory are for a run: name models of a task" in capsys.readouterr().err


REFUSED = {
    "needy": r"needy cannot be called as needy\(env, key=key\) \(missing a required argument",
    "broken": "broken fails on cancer-treatment .AttributeError: .*no_such_member",
    "nothing": "nothing draws an object of type NoneType, which is no subclass of beeline.models.W",
    "draw_plain": "draw_plain draws an object of type Plain, which is no subclass",
    "unscaled": r"a model whose `scaling` is NoneType\(\): give it a StateScaling of 1 entries",
    "undecided": r"whose `state_fed` is float32\[\]: give True or False",
    "narrow": r"`standardised` fails on states and actions of float32\[6,1\] and float32\[6,1\]",
    "wide": r"a model whose `standardised` predicts float32\[6,2\], not float32\[6,1\]",
    "halved": r"a model whose `step` predicts float16\[1\], not float32\[1\]",
    "lists": r"a model whose stages\(6\) are \(6, 6\): give increasing sizes, the last of them 6",
    "grows": r"`step` returns the carry float32\[3\], where it took tuple\(\): keep shapes",
    "markov": "model is 'markov', which is one of the library's: give the function that draws",
    "number": "model is .*:number', of type int: give a function draw.env, key. that draws a wor",
    "no_such": "unknown name in models_of_a_test 'no_such': ",
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_model_is_refused_before_any_work(name, folder, tmp_path, capsys):
    out = tmp_path / "run"
    with pytest.raises((TypeError, ValueError), match=REFUSED[name]):
        beeline.train(config=CONFIG, model=f"models_of_a_test:{name}", out=out)
    sizes = ["--horizon", "6", "--env-steps", "72", "--exploration.warmup-steps", "30"]
    assert main(["train", *sizes, "--model", f"models_of_a_test:{name}", "--out", str(out)]) == 2
    line = capsys.readouterr().err
    assert line.startswith("beeline: ")
    assert line.count("\n") == 1
    assert len(line) < 600
    assert not out.exists()


@pytest.mark.parametrize(
    ("policy", "message"),
    [
        ("models_of_a_test:draw", "draw draws an object of type ActionsModel, which is no sub"),
        ("models_of_a_test:deaf", r"`sample` gives actions of float32\[3\], not float32\[1\]"),
        ("models_of_a_test:sad", r"an entropy of float32\[\], not float32\[2,3\], for states"),
        ("models_of_a_test:single", r"policy that fails on states of float32\[2,3,1\] and noise"),
        ("draw_plain", "policy is 'draw_plain': give module:name of a function that draws a pol"),
        ("models_of_a_test:", "policy is 'models_of_a_test:': give module:name of a function"),
        ("no_such_module:draw", "there is no module 'no_such_module' in"),
        ("failing_of_a_test:draw", "failing_of_a_test cannot be imported: SyntaxError: "),
    ],
)
def test_what_is_no_policy_is_refused_before_any_work(policy, message, tmp_path):
    with pytest.raises((TypeError, ValueError), match=message):
        beeline.train(config=WITHOUT, policy=policy, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"world_model": Model(width=24)}, "world-model.width is 24, but the model 'draw' has no"),
        ({"world_model": Model(layers=3)}, "world-model.layers is 3, but the model 'draw'"),
        (
            {"policy": Policy(mean_bound=2.0), "own_policy": "p"},
            "policy.mean-bound is 2.0, but a p",
        ),
        ({"model": "sac", "own_model": "", "own_policy": "p"}, "'sac' has policies of its own ki"),
        ({"model": "draw", "own_model": ""}, "unknown model 'draw': "),
    ],
)
def test_options_that_ones_own_does_not_have(fields, message):
    with pytest.raises(ValueError, match=message):
        preset("default", **{"model": "draw", "own_model": "m", **fields})


def test_what_ones_own_has_of_the_group_is_what_stands_beside_it():
    beside = Model(hidden=(4,), frequencies=1, standardise=False)
    config = preset("default", model="draw", own_model="m", reward="learned", world_model=beside)
    env = make(config.task, horizon=config.horizon)
    bpo = build(config, env, Draws(drawn("draw"))).bpo
    assert bpo.fitting.dyna.hidden_sizes == (4,)
    assert not bpo.standardise


def test_a_configuration_alone_draws_nothing(run):
    with pytest.raises(RunError, match="the configuration is of a world model of its own, drawn"):
        beeline.train(config=run.config)


@pytest.fixture
def registered():
    """Names that last as long as a test."""
    before = dict(MODELS)
    yield
    MODELS.clear()
    MODELS.update(before)


@pytest.mark.usefixtures("registered")
def test_a_registered_name_is_known_everywhere(run, folder, tmp_path, capsys):
    beeline.register_model("mine", drawn("draw"), description="Forgets.")
    beeline.register_model("mine", drawn("draw"), description="Leaks.")
    assert main(["list"]) == 0
    assert "\n  mine               Leaks.\n" in capsys.readouterr().out
    mine = beeline.train(config=CONFIG, model="mine", out=tmp_path / "run")
    assert mine.config.model == "mine"
    assert eqx.tree_equal(mine.state, run.state)
    assert beeline.load(tmp_path / "run") == mine
    with pytest.raises(ValueError, match="unknown model 'min': did you mean 'mine'"):
        preset("default", model="min")
    with pytest.raises(ValueError, match=r"'mine' is the name of models_of_a_test:draw already"):
        register_model("mine", drawn("draw_linear"))
    del MODELS["mine"]
    with pytest.raises(
        RunError, match="is of a world model of its own, drawn by 'draw': hand that"
    ):
        beeline.load(tmp_path / "run")


@pytest.mark.usefixtures("registered")
@pytest.mark.parametrize(
    ("name", "draw", "message"),
    [
        ("ssm-awm", SimulatorModel, "'ssm-awm' is a model of the library: register yours under"),
        ("sac", SimulatorModel, "'sac' is a model of the library"),
        ("truth", SimulatorModel, "'truth' is a model of the library"),
        ("../mine", SimulatorModel, "'../mine' cannot name a model: give letters, digits"),
    ],
)
def test_a_name_that_cannot_be_registered(name, draw, message):
    with pytest.raises(ValueError, match=message):
        register_model(name, draw)


def test_functions_have_names_that_paths_can_have():
    assert name_of(functools.partial(drawn("draw"), width=3)) == "draw"
    assert name_of(lambda env, key: None) == "lambda"
    assert name_of(SimulatorModel) == "SimulatorModel"
    assert len(name_of(type("N" * 200, (), {}))) == 60


def test_a_forged_name_takes_one_line_all_the_same(copied):
    file = copied / "config.json"
    data = json.loads(file.read_text(encoding="utf-8"))
    data["config"] |= to_json(Config(model="x\n\u00fc", own_model="not traced yet"))
    file.write_text(json.dumps(data), encoding="utf-8")
    with pytest.raises(RunError, match=r"drawn by 'x\\n\\xfc': hand that function over") as refused:
        beeline.load(copied)
    assert "\n" not in str(refused.value)


def test_older_runs_have_none(copied):
    config = read_config(copied)
    assert (config.own_model, config.own_policy) == ("", "")
    file = copied / "config.json"
    data = json.loads(file.read_text(encoding="utf-8"))
    data["schema"] = 2
    for name in ("own_model", "own_policy"):
        del data["config"][name]
    file.write_text(json.dumps(data), encoding="utf-8")
    assert read_config(copied) == config


def test_the_documentation_trains_and_reads_its_model(tmp_path, monkeypatch):
    page = Path(__file__).parents[1] / "docs" / "models.md"
    blocks = re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.S)
    core, linear, held_together, policy = blocks
    monkeypatch.chdir(tmp_path)
    source = "\n".join([core, linear, policy])
    (tmp_path / "my_models.py").write_text(source, encoding="utf-8")
    names = {}
    exec(f"{source}\n{held_together}", names)
    named = ["--model", "my_models:draw", "--policy-factory", "my_models:draw_policy"]
    assert main(["train", *TINY, *named, "--out", "runs/mine"]) == 0
    assert main(["evaluate", "runs/mine", *named, "--json"]) == 0
    env = make("cancer-treatment", horizon=5)
    config = beeline.preset("default", horizon=5, model="draw_linear", own_model="m")
    assert "name=draw_linear" in identified(config, Draws(names["draw_linear"]), env).own_model
    sys.modules.pop("my_models")


TINY = [
    *("--horizon", "5", "--exploration.warmup-steps", "20", "--env-steps", "30"),
    *("--fitting.batch-size", "4", "--improvement.batch-size", "4", "--world-model.hidden", "8"),
]
