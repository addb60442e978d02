"""Names for environments of one's own, by `register` and by entry points, and their constants."""

import importlib
import inspect
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Optional

import jax
import jax.numpy as jnp
import pytest

import beeline
from beeline import envs
from beeline.cli import main
from beeline.cli._constants import constant
from beeline.config import Config
from beeline.envs import ControlTask, Environment, _registered, make, register
from beeline.envs._given import given_environment, name_of
from beeline.examine._subjects import of_environment
from beeline.run import RunError
from beeline.storage import checkpoint

ROOT = Path(__file__).parents[1]

MODULE = '''
import equinox as eqx
import jax
import jax.numpy as jnp

from beeline.envs import ControlSystem, Environment


class Tank(Environment):
    """Keep the level of a tank."""

    horizon: int = eqx.field(static=True)
    level: float = 1.0
    name = "tank"
    state_dim = 1
    action_dim = 1
    dt = 0.1

    def initial_state(self, *, key=None):
        return jnp.full(1, 0.2)

    def step(self, state, action, t, *, key=None):
        return state + self.dt * (0.5 * action - 0.2 * state)

    def reward(self, state, action, t):
        return -self.dt * ((state[0] - self.level) ** 2 + 0.1 * action[0] ** 2)


class Anywhere(Tank):
    def initial_state(self, *, key=None):
        return jax.random.uniform(key, (1,))


class Needy(Tank):
    def __init__(self, horizon, height):
        self.horizon = horizon
        self.level = height


class Decay(ControlSystem):
    name = "decay"
    state_names, state_units = ("x",), ("1",)
    control_names, control_units = ("u",), ("1",)
    time_unit = "s"
    rate: float = 0.5
    x_0: tuple = (1.0,)
    duration: float = 2.0
    state_bounds: tuple = ((0.0, 2.0),)
    control_bounds: tuple = ((-1.0, 1.0),)

    def dynamics(self, x, u, t):
        return u - self.rate * x

    def cost(self, x, u, t):
        return x[0] ** 2 + u[0] ** 2

    def terminal_cost(self, x):
        return 0 * x[0]


made = Tank(8)


def shallow(horizon=6, *, level: "float" = 0.5):
    return Tank(horizon, level)


def anything(horizon, **constants):
    return Tank(horizon, **constants)
'''

TINY = [
    *("--model", "markov", "--exploration.warmup-steps", "40"),
    *("--env-steps", "60", "--fitting.batch-size", "4", "--improvement.batch-size", "4"),
    *("--world-model.hidden", "8", "--policy.hidden", "8"),
]
SMALL = ["--samples", "2", "--points", "5", "--transitions", "12", "--fit-steps", "2"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("registered")
    (folder / "tanks_to_name.py").write_text(MODULE, encoding="utf-8")
    return folder


@pytest.fixture(autouse=True)
def here(folder, monkeypatch):
    at_home(folder, monkeypatch)


@pytest.fixture(scope="module")
def run(folder, own_cache):
    """A run of a name that is not the environment's own."""
    with pytest.MonkeyPatch.context() as patch:
        at_home(folder, patch)
        register("shallow", "tanks_to_name:shallow")
        assert main(["train", "shallow", *TINY]) == 0
    return folder / "runs" / "shallow-h6-markov-seed0"


def at_home(folder, patch):
    """Work in a folder whose modules can be imported, with nothing registered."""
    patch.chdir(folder)
    patch.syspath_prepend(str(folder))
    patch.setattr(_registered, "_REGISTERED", {})


def refused(capsys, *arguments):
    """Run a command that must end with code 2 and one line; give that line."""
    capsys.readouterr()
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("beeline: ")
    assert err.count("\n") == 1
    return err


def tanks():
    return importlib.import_module("tanks_to_name")


def rewritten(run, tmp_path, **fields):
    """Copy a run and change what its configuration says."""
    copy = Path(shutil.copytree(run, tmp_path / "copy"))
    data = json.loads((copy / "config.json").read_text(encoding="utf-8"))
    data["config"] |= fields
    (copy / "config.json").write_text(json.dumps(data), encoding="utf-8")
    return copy


def asked_for(monkeypatch, **fields):
    """Give the configuration and the environment that would be trained on."""

    class ReachedError(Exception):
        """Raised in place of training."""

    def stop(config, env, *rest):
        raise ReachedError(config, env)

    monkeypatch.setattr("beeline.run._training._train", stop)
    with pytest.raises(ReachedError) as reached:
        beeline.train(**fields)
    return reached.value.args


def test_a_name_is_listed_and_made_and_nothing_is_imported_for_the_list(capsys):
    register("a-tank", "tanks_to_name:Tank", description="Hold it.", least_horizon=4)
    register("documented", tanks().Tank)
    register("bare", tanks().shallow)
    assert {"a-tank", "documented", "bare", "harvest"} <= set(envs.names())
    assert list(envs.names()) == sorted(envs.names())
    assert main(["list"]) == 0
    told = capsys.readouterr().out
    for name, text in (
        ("a-tank", "Hold it."),
        ("documented", "Keep the level of a tank."),
        ("bare", "tanks_to_name:shallow."),
    ):
        assert f"\n  {name:<18} {text}\n" in told
    env = make("a-tank", horizon=4, level=0.25)
    assert (env.name, env.horizon, env.level) == ("tank", 4, 0.25)
    assert Config(task="a-tank", horizon=40).task == "a-tank"
    for refuse in (lambda: make("a-tank", horizon=3), lambda: Config(task="a-tank", horizon=3)):
        with pytest.raises(ValueError, match="horizon is 3, but a-tank takes at least 4"):
            refuse()
    code = (
        "import sys, beeline.envs as envs; from beeline.cli import main;"
        "envs.register('a-tank', 'no_such_module:Tank'); assert 'a-tank' in envs.names();"
        "assert main(['list']) == 0; assert not {'jax', 'numpy'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8")
    assert not done.returncode, done.stderr
    assert "a-tank             no_such_module:Tank." in done.stdout


def test_a_name_that_is_taken():
    register("mine", tanks().Tank)
    register("mine", tanks().Tank)
    register("mine", "tanks_to_name:Tank")
    # As a cell of a notebook that is run twice does.
    anew = type("Tank", (tanks().Tank,), {"__module__": "tanks_to_name", "__qualname__": "Tank"})
    register("mine", anew, description="Anew.")
    assert envs.descriptions()["mine"] == "Anew."
    with pytest.raises(ValueError, match="'mine' is the name of tanks_to_name:Tank already"):
        register("mine", "tanks_to_name:Needy")
    with pytest.raises(ValueError, match="'harvest' is a task of the library: register yours"):
        register("harvest", tanks().Tank)
    register("local", lambda horizon: tanks().Tank(horizon))
    with pytest.raises(ValueError, match=r"'local' is the name of .*<lambda> already"):
        register("local", lambda horizon: tanks().Tank(horizon))
    assert make("local", horizon=5) == tanks().Tank(5)


@pytest.mark.parametrize("name", ["", "my_tasks:Tank", "a/b", "-x", "a b", "..", "x\ny"])
def test_what_cannot_be_a_name(name):
    with pytest.raises(ValueError, match="cannot name a task: give letters, digits"):
        register(name, tanks().Tank)


@pytest.mark.parametrize(
    ("factory", "least", "error", "message"),
    [
        (
            "tanks_to_name",
            2,
            TypeError,
            "'tanks_to_name' makes no environment: give a class or",
        ),
        ("tanks_to_name:Tank", 1, ValueError, "least_horizon is 1: give an integer of at least 2"),
        (
            "tanks_to_name:Tank",
            True,
            TypeError,
            "least_horizon is True: give an integer",
        ),
    ],
)
def test_what_cannot_be_registered(factory, least, error, message):
    with pytest.raises(error, match=message):
        register("mine", factory, least_horizon=least)
    assert "mine" not in envs.names()


def test_a_run_of_a_registered_name_is_found_by_it(run, capsys, tmp_path):
    assert run.is_dir()
    register("shallow", "tanks_to_name:shallow")
    read = beeline.load(run)
    assert (read.config.task, read.config.horizon) == ("shallow", 6)
    assert read.env == tanks().shallow(6)
    assert "equations=" in read.config.environment
    assert main(["evaluate", str(run)]) == 0
    assert f"return {read.summary['return'][0]:.6g}" in capsys.readouterr().out
    # What it is made of counts, whatever it is called.
    assert beeline.load(run, env="tanks_to_name:shallow").env == read.env
    # In Python, by the name in a configuration too, of which the horizon is taken.
    stop = {"env_steps": 5, "config": read.config}
    with pytest.raises(ValueError, match="env-steps is 5"):
        beeline.train(**stop)
    with pytest.raises(RunError, match="holds another run"):
        beeline.train(config=read.config, out=run)
    assert read.config.task in (run / "config.json").read_text(encoding="utf-8")
    assert "tanks_to_name" not in (run / "config.json").read_text(encoding="utf-8")


def test_where_the_name_means_nothing_or_another_the_run_says_so(run, capsys):
    for command in ("evaluate", "resume", "plot", "diagnose"):
        line = refused(capsys, command, str(run))
        assert "an environment of its own, 'shallow': hand it over with env=" in line
    register("shallow", "tanks_to_name:Tank")
    line = refused(capsys, "evaluate", str(run))
    assert "another 'shallow' than that of this name, which differs in equations: give" in line
    assert "--env.NAME VALUE" in line
    config = beeline.load(run, env="tanks_to_name:shallow").config
    with pytest.raises(RunError, match="is of another 'shallow' than that of this name, which dif"):
        beeline.train(config=config)
    assert main(["evaluate", str(run), "--env.level", "0.5"]) == 0
    assert "return -" in capsys.readouterr().out


def test_a_file_names_nothing_that_is_imported(run, tmp_path, capsys, monkeypatch):
    trap = tmp_path / "trap_of_a_test.py"
    trap.write_text("raise SystemExit('imported')", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    copy = rewritten(run, tmp_path, task="trap_of_a_test:Tank")
    for more in ([], ["--env.level", "0.5"]):
        line = refused(capsys, "evaluate", str(copy), *more)
        assert "of its own, 'trap_of_a_test:Tank': hand it over" in line


def test_a_name_without_a_fingerprint_is_refused(run, tmp_path):
    register("shallow", "tanks_to_name:shallow")
    with pytest.raises(RunError, match=r"another 'shallow' than .* differs in state_dim"):
        beeline.load(rewritten(run, tmp_path, environment=""))


def test_the_horizon_of_a_name(monkeypatch):
    register("shallow", "tanks_to_name:shallow")
    register("a-tank", "tanks_to_name:Tank")
    longer = beeline.preset("default", horizon=20, env_steps=4000)
    named = beeline.preset("default", task="a-tank", horizon=9)
    asked = [
        {"task": "a-tank", "config": longer},
        {"task": "a-tank", "horizon": 30, "config": longer},
        {"task": "a-tank"},
        {"task": "shallow"},
        {"task": tanks().Tank(7), "config": longer},
        {"config": named},
    ]
    configs, made = zip(*(asked_for(monkeypatch, **fields) for fields in asked), strict=True)
    seen = [
        (config.task, config.horizon, env.horizon)
        for config, env in zip(configs, made, strict=True)
    ]
    assert seen == [
        ("a-tank", 20, 20),
        ("a-tank", 30, 30),
        ("a-tank", 100, 100),
        ("shallow", 6, 6),
        ("tank", 7, 7),
        ("a-tank", 9, 9),
    ]


def test_a_configuration_of_one_environment_serves_another(monkeypatch):
    own, _ = asked_for(monkeypatch, task=tanks().Tank(7))
    other, env = asked_for(monkeypatch, task="harvest", config=own)
    assert (own.task, own.environment[:9]) == ("tank", "state_dim")
    assert (other.task, other.environment, env) == ("harvest", "", None)


def test_constants_are_flags_and_have_to_be_given_again(
    copied, trained, tmp_path, monkeypatch, capsys
):
    env, asked = make("cancer-treatment", horizon=10, delta=0.3), []

    def collect(config, made, *rest):
        asked.append((config, made))
        raise RunError("reached")

    with monkeypatch.context() as patch:
        patch.setattr("beeline.run._training._train", collect)
        given = ["--env.delta", "0.3", "--horizon", "10"]
        assert "reached" in refused(capsys, "train", "cancer-treatment", *given)
    ((config, made),) = asked
    assert made == env
    # A run of the task as it is, but for what it says that it was trained on.
    said = {"environment": config.environment, "reference": "none"}
    changed = rewritten(copied, tmp_path, **said)
    about = checkpoint.peek(changed / "checkpoint.npz").about
    about["config"] |= said
    checkpoint.save(changed / "checkpoint.npz", trained.state, about)
    read = beeline.load(changed, env=env)
    assert read.config.task == "cancer-treatment"
    assert read.env == env
    (measured,) = beeline.evaluate(read).return_
    assert measured != pytest.approx(read.summary["return"][0], rel=1e-3)
    assert main(["evaluate", str(changed), "--env.delta=0.3"]) == 0
    assert f"return {measured:.6g}" in capsys.readouterr().out
    for given in ([], ["--env.delta", "0.31"], ["--env", "cancer-treatment"]):
        line = refused(capsys, "evaluate", str(changed), *given)
        assert "another 'cancer-treatment' than" in line
        assert "differs in equations: give the constants that it was trained with" in line


def test_a_task_as_it_is_takes_no_constants(copied, capsys):
    line = refused(capsys, "evaluate", str(copied), "--env.delta", "0.3")
    assert "the task 'cancer-treatment' as it is: leave env out, and every --env.NAME" in line
    assert main(["evaluate", str(copied), "--env.delta", "0.45"]) == 0


def test_constants_reach_what_is_made(monkeypatch):
    register("a-tank", "tanks_to_name:Tank")
    seen = []

    def train(task, **options):
        seen.append((task, os.fspath(options["out"])))
        raise RunError("reached")

    monkeypatch.setattr(beeline.run, "train", train)
    asked = [
        ("cancer-treatment", "--env.process-noise", "0.03", "--env.x-0", "0.5,"),
        ("cancer-treatment", "--env.state-bounds=((0.1, inf),)"),
        ("a-tank", "--env.level", "-2"),
        ("tanks_to_name:Needy", "--env.height", "3", "--horizon", "4"),
        ("tanks_to_name:shallow", "--env.level", "2"),
        ("tanks_to_name:anything", "--env.level", "0.125"),
        ("tanks_to_name:Decay", "--env.rate", "2", "--horizon", "9"),
        ("cancer-treatment", "--env.delta", "0.45"),
    ]
    for arguments in asked:
        assert main(["train", *arguments]) == 2
    noisy, bounded, tank, needy, shallow, anything, decay, same = (task for task, _ in seen)
    assert (noisy.process_noise, noisy.system.x_0, noisy.horizon) == (0.03, (0.5,), 100)
    assert bounded.system.state_bounds == ((0.1, float("inf")),)
    assert tank.level == -2.0
    assert type(tank.level) is float
    assert (needy.level, needy.horizon) == (3, 4)
    assert (shallow.level, shallow.horizon) == (2.0, 6)
    assert anything.level == 0.125
    assert isinstance(decay, ControlTask)
    assert (decay.system.rate, decay.horizon, decay.dt) == (2, 9, 2 / 9)
    assert name_of(same) == "cancer-treatment"
    assert seen[0][1] == "runs/cancer-treatment-h100-transformer-awm-seed0"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["a-tnk"], "unknown task 'a-tnk': did you mean 'a-tank'"),
        (["tanks_to_nam:Tank"], "is installed: did you mean 'tanks_to_name'?"),
        (["tanks_to_name:Tnk"], "unknown name in tanks_to_name 'Tnk': did you mean 'Tank'"),
        (["tanks_to_name:Tank.level"], "names no environment: give module:Name"),
        (
            ["fails_of_a_test:Tank"],
            "fails_of_a_test cannot be imported: ZeroDivisionError: div",
        ),
        (["needs_of_a_test:Tank"], "needs_of_a_test cannot be imported: No module named 'no_such_"),
        (
            ["tanks_to_name:Needy"],
            "cannot be made with a horizon alone (missing a required",
        ),
        (["tanks_to_name:Tank", "--env.levl", "1"], "'levl': did you mean 'level'? choose from l"),
        (["harvest", "--env.horizon", "5"], "unknown option of harvest 'horizon'"),
        (["tanks_to_name:Tank", "--env.level", "high"], "--env.level is 'high': give a number, su"),
        (["tanks_to_name:Tank", "--env.level", "true"], "--env.level is 'true': give a number, su"),
        (["harvest", "--env.x-0", "much"], "--env.x-0 is 'much': give numbers with commas between"),
        (["harvest", "--env.x-0", "-1,"], "harvest: x_0 must lie within state_bounds, got -1.0"),
        (["harvest", "--env.k"], "--env.k has no value: give one, such as --env.k 0.5"),
        (["harvest", "--env.k", "--seed", "1"], "--env.k has no value: give one"),
        (["harvest", "--env.k="], "--env.k has no value: give one"),
        (["tanks_to_name:made", "--env.level", "1"], "made is made already: leave out level"),
        (["tanks_to_name:jnp"], "jnp is of type module, which is no subclass"),
        (["a-tank", "--horizon", "4"], "horizon is 4, but a-tank takes at least 5"),
        (["twice"], "the task 'twice' is broken"),
    ],
)
def test_a_mistake_is_answered_in_one_line(arguments, message, folder, capsys):
    (folder / "fails_of_a_test.py").write_text("1 / 0", encoding="utf-8")
    (folder / "needs_of_a_test.py").write_text("import no_such_module", encoding="utf-8")
    register("a-tank", "tanks_to_name:Tank", least_horizon=5)
    register("twice", "tanks_to_name:Gone")
    line = refused(capsys, "train", *arguments)
    if arguments == ["twice"]:
        message = "unknown name in tanks_to_name 'Gone'"
    assert message in line


def parameter(annotation, default=inspect.Parameter.empty):
    kind = inspect.Parameter.KEYWORD_ONLY
    return inspect.Parameter("x", kind, annotation=annotation, default=default)


@pytest.mark.parametrize(
    ("text", "annotation", "default", "value"),
    [
        ("1e-3", float, 1.0, 1e-3),
        ("2", float, 1.0, 2.0),
        ("-inf", float, 1.0, -float("inf")),
        ("3", int, 1, 3),
        ("True", bool, False, True),
        ("false", inspect.Parameter.empty, True, False),
        ("12", str, "a", "12"),
        ("1,2", tuple[float, ...], (0.5,), (1.0, 2.0)),
        ("1", tuple[int, ...], (), (1,)),
        ("(1, 2.5)", tuple[int, float], (0, 0.0), (1, 2.5)),
        ("[0, 1]", inspect.Parameter.empty, (0.5,), (0.0, 1.0)),
        ("none", float | None, 1.0, None),
        ("2", Optional[float], None, 2.0),  # noqa: UP045
        ("5", str | int, 1, 5),
        ("0.5", "Unreadable", 1, 0.5),
        ("word", inspect.Parameter.empty, inspect.Parameter.empty, "word"),
        ("7", inspect.Parameter.empty, None, 7),
    ],
)
def test_a_text_becomes_what_is_annotated_or_usual(text, annotation, default, value):
    known = parameter(annotation, default)
    if annotation == "Unreadable":
        known = parameter(annotation, jnp.zeros(()))
    found = constant("--env.x", text, known)
    assert found == value
    assert type(found) is type(value)
    if isinstance(value, tuple):
        assert [*map(type, found)] == [*map(type, value)]


@pytest.mark.parametrize(
    ("text", "annotation", "wanted"),
    [
        ("1.5", int, "an integer"),
        ("1", bool, "true or false"),
        ("true", int, "an integer"),
        ("nan", float, "a number"),
        ("1", tuple[int, int], "numbers with commas between"),
        ("1,x", tuple[int, ...], "numbers with commas between"),
        ("x", float | None, "another"),
    ],
)
def test_a_text_of_another_type_is_refused(text, annotation, wanted):
    with pytest.raises(ValueError, match=f"--env.x is '{text}': give {wanted}$"):
        constant("--env.x", text, parameter(annotation))


def test_the_constants_are_listed_and_the_help_tells_of_them(capsys):
    assert main(["list", "--env", "cancer-treatment"]) == 0
    told = capsys.readouterr().out
    assert told.startswith("constants of cancer-treatment\n")
    for line in ("--env.delta        0.45", "--env.x-0          (0.975,)", "process-noise 0.0"):
        assert line in told
    assert main(["list", "--env", "tanks_to_name:Needy"]) == 0
    assert "--env.height       has to be given" in capsys.readouterr().out
    assert "did you mean 'harvest'" in refused(capsys, "list", "--env", "harvst")
    assert "Unrecognized options: --env.delta" in refused(capsys, "list", "--env.delta", "1")
    for command in ("train", "resume", "evaluate", "plot", "diagnose"):
        with pytest.raises(SystemExit):
            main([command, "--help"])
        assert "--env.NAME" in capsys.readouterr().out


@pytest.mark.slow
def test_an_environment_is_diagnosed_by_the_command_line(tmp_path, capsys):
    given = ["tanks_to_name:Tank", "--env.level", "0.5", "--models", "markov", "--horizons", "3"]
    assert main(["diagnose", *given, *SMALL, "--out", str(tmp_path / "out")]) == 0
    assert f"{tmp_path}/out/report.md" in capsys.readouterr().out
    alignment = (tmp_path / "out" / "alignment.csv").read_text(encoding="utf-8")
    assert "markov" in alignment
    for arguments, message in (
        (["tanks_to_name:made"], "horizon 10 is beyond the environment's own 8: give shorter ones"),
        (["tanks_to_name:jnp"], "is of type module, which is no subclass"),
        (["tanks_to_name:Tank", "--env.levl", "1"], "'levl': did you mean 'level'"),
        (["tanks_to_nam:Tank"], "did you mean 'tanks_to_name'?"),
        (["harvst"], "unknown task or run 'harvst': did you mean 'harvest'"),
    ):
        assert message in refused(capsys, "diagnose", *arguments)


def test_what_can_be_made_is_diagnosed_at_each_horizon_and_what_is_made_once(tmp_path, monkeypatch):
    fitted, seen = [], []

    def fit(env, **options):
        fitted.append(env)
        return env

    def measure(subjects, **options):
        seen.append(subjects)
        raise KeyboardInterrupt

    monkeypatch.setattr("beeline.examine._diagnose.of_environment", fit)
    monkeypatch.setattr("beeline.examine._diagnose.measure", measure)
    register("a-tank", "tanks_to_name:Tank")
    tank = tanks().Tank
    for subject in ("a-tank", "tanks_to_name:Tank", tank, tank(6), "tanks_to_name:made"):
        with pytest.raises(KeyboardInterrupt):
            beeline.diagnose(subject, [], [6, 3], tmp_path / "out")
    each, whole = {3: tank(3), 6: tank(6)}, tank(6)
    assert seen == [each, each, each, {3: whole, 6: whole}, {3: tank(8), 6: tank(8)}]
    assert [env.horizon for env in fitted] == [3, 6, 3, 6, 3, 6, 6, 8]
    with pytest.raises(ValueError, match="horizon 7 is beyond the environment's own 6"):
        beeline.diagnose(tank(6), [], [7], tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_models_are_fitted_to_the_environment_that_was_handed_over(monkeypatch):
    class ReachedError(Exception):
        """Raised in place of fitting."""

    def stop(config, env):
        raise ReachedError(config.task, env)

    monkeypatch.setattr("beeline.examine._subjects.build_bpo", stop)
    # Of the library's name, but with other constants.
    env = make("cancer-treatment", horizon=3, delta=0.3)
    small = {"transitions": 12, "fit_steps": 0, "preset_name": "default", "say": print}
    with pytest.raises(ReachedError) as reached:
        of_environment(env, ["markov"], **small, key=jax.random.key(0))
    assert reached.value.args == ("cancer-treatment", env)


def test_gymnasium_takes_a_registered_name():
    gymnasium = pytest.importorskip("beeline.envs.gymnasium")
    register("a-tank", "tanks_to_name:Tank")
    assert gymnasium.GymnasiumTask("a-tank", 5, level=0.5).task == tanks().Tank(5, 0.5)
    with pytest.raises(TypeError, match="unknown option of a-tank 'depth'"):
        gymnasium.GymnasiumTask("a-tank", 5, depth=0.5)


def test_a_task_with_constants_may_take_what_it_refuses_by_itself():
    env = make("invasive-plant", horizon=5, duration=5.0)
    assert name_of(env) is None
    assert isinstance(given_environment(env), Environment)


GRID = """
[[smoke]]
tasks = ["tanks_to_name:Tank"]
horizons = [5]
models = ["markov"]
variants = ["default env_steps=1000 exploration.warmup_steps=100"]
seeds = 2
"""


@pytest.fixture
def grid(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(str(ROOT))
    read = importlib.import_module("experiments._grid").read_grid
    runner = importlib.import_module("experiments._runner")
    store = importlib.import_module("experiments._store").Store(tmp_path / "results")

    def cells(text):
        (tmp_path / "grid.toml").write_text(text, encoding="utf-8")
        return read(tmp_path / "grid.toml", "smoke")

    return SimpleNamespace(cells=cells, run=lambda cells: runner.run(cells, store), store=store)


def test_a_grid_takes_module_and_name(grid, monkeypatch):
    cells = grid.cells(GRID)
    assert cells[0].env == tanks().Tank(5)
    assert (cells[0].config.task, cells[0].config.horizon) == ("tank", 5)
    assert cells[0].arguments[:4] == ["train", "tanks_to_name:Tank", "--horizon", "5"]
    assert ":" not in cells[0].slug
    asked = []

    def train(task, horizon, *, config, out, overwrite):
        asked.append((task, horizon, config.task, config.seed))
        out.mkdir(parents=True)
        row = '{"env_steps": 105, "wall_seconds": 1, "return": [-1], "normalized_return": [0.5]}'
        (out / "metrics.jsonl").write_text(f"{row}\n", encoding="utf-8")
        (out / "summary.json").write_text('{"wall_seconds": 3.0, "compile_seconds": 4.0}')

    monkeypatch.setattr(beeline, "train", train)
    grid.run(cells)
    assert asked == [("tanks_to_name:Tank", 5, "tank", seed) for seed in (0, 1)]
    assert [cell.task for cell in grid.store.finals()] == ["tanks_to_name:Tank"] * 2
    register("a-tank", "tanks_to_name:Tank")
    (cell, _) = grid.cells(GRID.replace("tanks_to_name:Tank", "a-tank"))
    assert cell.config.task == "a-tank"
    assert cell.env == tanks().Tank(5)


def test_a_grid_goes_on_with_an_environment_of_its_own(grid, run, monkeypatch):
    (cell, _) = grid.cells(GRID)
    folder = grid.store.folder / ".running" / cell.slug
    config = beeline.load(run, env="tanks_to_name:shallow").config
    begun = {"config": config, "env": []}
    folder.mkdir(parents=True)

    def load(path, env):
        begun["env"].append(env)
        return SimpleNamespace(config=cell._replace(seed=begun["seed"]).config)

    def resume(path, env):
        begun["env"].append(env)
        raise KeyboardInterrupt

    def train(**options):
        raise ZeroDivisionError

    for name, fake in (("load", load), ("resume", resume), ("train", train)):
        monkeypatch.setattr(beeline, name, fake)
    begun["seed"] = cell.seed
    with pytest.raises(KeyboardInterrupt):
        grid.run([cell])
    assert begun["env"] == [cell.env, cell.env]
    begun["seed"] = 7
    with pytest.raises(ZeroDivisionError):
        grid.run([cell])


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (":Tank", ":Tnk", "did you mean 'Tank'"),
        (":Tank", ":jnp", "is of type module, which is no subclass"),
        (":Tank", ":made", "horizon is 5, but the environment 'tank' has 8"),
        ("tanks_to_name:Tank", "a-tnk", "unknown task 'a-tnk'"),
        ("exploration", "environment=x exploration", "unknown field 'environment'"),
        (":Tank", ":Anywhere", "has no scale to measure returns on: say in its variant"),
        ("tanks_to_name:Tank", "cart-pole", "has no scale to measure returns on: say in its"),
        ("exploration", "reference=none exploration", "has no scale to measure returns on: say in"),
    ],
)
def test_a_grid_refuses_what_it_cannot_train_or_judge(old, new, message, grid, monkeypatch):
    monkeypatch.setattr(beeline, "train", lambda **_: pytest.fail("trained"))
    with pytest.raises(ValueError, match=message) as refusal:
        grid.run(grid.cells(GRID.replace(old, new)))
    assert type(refusal.value).__name__ == "GridError"
    assert "\n" not in str(refusal.value)


def test_a_grid_takes_what_has_a_reference_where_chance_has_a_part(grid, monkeypatch):
    def train(**options):
        raise ZeroDivisionError

    monkeypatch.setattr(beeline, "train", train)
    with pytest.raises(ZeroDivisionError):
        grid.run(grid.cells(GRID.replace("tanks_to_name:Tank", "double-integrator")))


def installed(site, package, entries, module=""):
    """Put a package into a folder as an installer does."""
    (site / f"{package}.py").write_text(module, encoding="utf-8")
    about = site / f"{package}-1.0.dist-info"
    about.mkdir(parents=True)
    (about / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(f"[beeline.envs]\n{entries}\n")


def test_a_task_of_an_installed_package_is_like_one_of_the_library(
    run, tmp_path, monkeypatch, capsys
):
    site = tmp_path / "site"
    site.mkdir()
    # Its programs and its optimum are those of the run above, and in the cache.
    installed(site, "tanks_of_a_package", "packaged-tank = tanks_of_a_package:shallow", MODULE)
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.chdir(tmp_path)
    assert main(["list"]) == 0
    assert "packaged-tank      Of the installed package tanks_of_a_package." in (
        capsys.readouterr().out
    )
    assert "tanks_of_a_package" not in sys.modules
    assert main(["train", "packaged-tank", "--horizon", "6", *TINY, "--out", "named"]) == 0
    trained = json.loads((tmp_path / "named" / "summary.json").read_text(encoding="utf-8"))
    assert trained["return"] == beeline.load(run, env="tanks_to_name:shallow").summary["return"]
    assert main(["evaluate", "named"]) == 0
    capsys.readouterr()
    assert main(["resume", "named", "--env-steps", "66"]) == 0
    assert "training  66 environment steps" in capsys.readouterr().out
    assert main(["plot", "named"]) == 0
    told = capsys.readouterr().out
    assert told.endswith("named/learning_curve.png\nnamed/trajectories.png\n")
    config = json.loads((tmp_path / "named" / "config.json").read_text(encoding="utf-8"))
    assert config["config"]["task"] == "packaged-tank"
    assert "tanks_of_a_package" not in json.dumps(config)
    sys.modules.pop("tanks_of_a_package")


def test_a_broken_entry_point_breaks_nothing_but_itself(tmp_path, monkeypatch, capsys):
    installed(tmp_path, "good_of_a_test", "good-tank = good_of_a_test:Tank", MODULE)
    bad = "failing = bad_of_a_test:Tank\ngone = no_such_module:Tank\nodd = nonsense"
    installed(tmp_path, "bad_of_a_test", f"{bad}\nharvest = bad_of_a_test:Tank", "1 / 0")
    installed(tmp_path, "one_of_a_test", "double = tanks_to_name:Tank\na:b = tanks_to_name:Tank")
    installed(tmp_path, "two_of_a_test", "double = tanks_to_name:Needy")
    installed(tmp_path, "torn_of_a_test", "what is this")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert main(["list"]) == 0
    told = capsys.readouterr().out
    assert "good-tank          Of the installed package good_of_a_test." in told
    assert "double             Of the installed package" in told
    assert "a:b" not in told
    assert "harvest            Harvest a population whose members grow with time." in told
    assert make("good-tank", horizon=5, level=0.5).level == 0.5
    assert isinstance(make("harvest", horizon=20), ControlTask)
    for name, message in (
        ("failing", "bad_of_a_test is broken: bad_of_a_test cannot be imported: ZeroDivisionError"),
        ("gone", "bad_of_a_test is broken: there is no module 'no_such_module'"),
        ("odd", "bad_of_a_test is broken: 'nonsense' names no environment: give module:Name"),
        ("double", "'double' is a task of the installed packages"),
    ):
        assert message in refused(capsys, "train", name)
    register("good-tank", "good_of_a_test:Tank")
    with pytest.raises(ValueError, match="'failing' is the name of bad_of_a_test:Tank already"):
        register("failing", "tanks_to_name:Tank")
