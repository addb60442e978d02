"""An environment of the user's own, from outside the package: handed over, by module:Name, read."""

import dataclasses
import json
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import beeline
from beeline.cli import main
from beeline.config import Exploration, OnlineDecisionTransformer, SoftActorCritic
from beeline.control import is_deterministic, solve_optimum
from beeline.envs import Environment, make
from beeline.envs._given import given_environment, name_of
from beeline.envs._identity import differences, equations, identity
from beeline.run import RunError, draw_curves
from beeline.run import _training as training
from beeline.run._figures import _learning_curve
from beeline.run.directory.config_file import to_json
from beeline.storage import checkpoint

MODULE = """
import equinox as eqx
import jax
import jax.numpy as jnp

from beeline.envs import Environment


class Tank(Environment):
    horizon: int = eqx.field(static=True)
    level: float = 1.0
    name = "tank"
    state_dim = 1
    action_dim = 1
    dt = 0.1

    def initial_state(self, *, key=None):
        return jnp.full(1, 0.2)

    def step(self, state, action, t, *, key=None):
        inflow, outflow = 1.0 + action, jnp.sqrt(jnp.maximum(state, 1e-3))
        return jax.nn.relu(state + self.dt * (inflow - outflow))

    def reward(self, state, action, t):
        return -self.dt * ((state[0] - self.level) ** 2 + 0.1 * action[0] ** 2)


class Slow(Tank):
    dt = 0.2


class Keyed(Tank):
    def initial_state(self, *, key):
        return 0.2 + 0 * jax.random.uniform(key, (1,))

    def step(self, state, action, t, *, key):
        return Tank.step(self, state, action, t) + 0 * jax.random.uniform(key, (1,))


class Broken(Tank):
    def reward(self, state, action, t):
        return jnp.log(state[0] - 0.2)


class Needy(Tank):
    def __init__(self, horizon, height):
        self.horizon = horizon


class Anywhere(Tank):
    def initial_state(self, *, key=None):
        return jax.random.uniform(key, (1,), minval=0.2, maxval=1.5)


full = Tank(8, 2.0)


def half(horizon):
    return Tank(horizon, 0.5)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("own")
    (folder / "tanks_of_a_test.py").write_text(MODULE, encoding="utf-8")
    return folder


@pytest.fixture(autouse=True)
def here(folder, monkeypatch):
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", [*sys.path])


@pytest.fixture(scope="module")
def small(tiny):
    return dataclasses.replace(tiny, env_steps=200)


@pytest.fixture(scope="module")
def run(folder, small, own_cache):
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(sys, "path", [*sys.path])
        env = given_environment("tanks_of_a_test:Tank", horizon=10)
        return beeline.train(env, config=small, out=folder / "run")


def tank(name="Tank", horizon=10):
    return given_environment(f"tanks_of_a_test:{name}", horizon=horizon)


def test_it_is_trained_and_read_like_a_task(run, folder):
    assert (run.config.task, run.config.horizon) == ("tank", 10)
    assert run.env == tank()
    read = beeline.load(folder / "run", env="tanks_of_a_test:Tank")
    assert read == dataclasses.replace(run, path=read.path)
    assert beeline.evaluate(folder / "run", env=tank()) == beeline.evaluate(run)
    assert run.summary["normalized_return"][0] <= 1 + 1e-6
    assert run.summary["evaluation_steps"] == len(run.records) * 10
    assert beeline.evaluate(run).standard_error is None
    assert {"learning_curve.png", "trajectories.png"} <= {p.name for p in run.path.iterdir()}


def test_the_command_line_names_it_in_another_process(run, folder):
    done = subprocess.run(
        [sys.executable, "-m", "beeline", "evaluate", "run", "--env", "tanks_of_a_test:Tank"],
        capture_output=True,
        encoding="utf-8",
        cwd=folder,
    )
    assert not done.returncode, done.stderr
    assert f"return {run.summary['return'][0]:.6g}" in done.stdout


KILLED = """
import json, os, signal, sys
import beeline
from beeline.run import _training as training
from beeline.run.directory.config_file import from_json
from beeline.run.directory.layout import SCHEMA

measured, row = [], training.row

def die(*arguments):
    measured.append(row(*arguments))
    if len(measured) == 4:
        os.kill(os.getpid(), signal.SIGKILL)
    return measured[-1]

training.row = die
config = from_json(json.loads(sys.argv[1]), "the test", SCHEMA)
beeline.train("tanks_of_a_test:Tank", config=config, out=sys.argv[2], checkpoint_steps=20)
"""


def test_a_process_that_is_killed_leaves_a_run_that_others_go_on_with(
    run, small, folder, tmp_path, capsys
):
    killed = tmp_path / "killed"
    command = [sys.executable, "-c", KILLED, json.dumps(to_json(small)), str(killed)]
    began = subprocess.run(command, cwd=folder, capture_output=True, encoding="utf-8")
    assert began.returncode == -signal.SIGKILL, began.stderr
    assert checkpoint.peek(killed / "checkpoint.npz").about["iterations"] == 2
    assert not (killed / "summary.json").exists()
    handed = ["--env", "tanks_of_a_test:Tank"]
    assert main(["resume", str(killed), *handed]) == 0
    resumed = beeline.load(killed, env=tank())
    assert eqx.tree_equal(resumed.state, run.state)
    uninterrupted, resumed = (
        [row | {"wall_seconds": None} for row in one.records] for one in (run, resumed)
    )
    assert len(resumed) == 10
    assert resumed == uninterrupted
    capsys.readouterr()
    assert main(["evaluate", str(killed), *handed, "--json"]) == 0
    evaluated = json.loads(capsys.readouterr().out)["return"]
    assert evaluated == pytest.approx(resumed[-1]["return"], rel=1e-5)
    (killed / "trajectories.png").unlink()
    assert main(["plot", str(killed), *handed]) == 0
    assert (killed / "trajectories.png").exists()


def test_its_files_never_say_what_to_import(run, folder, capsys):
    text = (folder / "run" / "config.json").read_text(encoding="utf-8")
    assert "tanks_of_a_test" not in text
    for command in ("evaluate", "resume", "plot"):
        assert main([command, "run"]) == 2
        line = capsys.readouterr().err
        assert "trained on an environment of its own, 'tank': hand it over with env=" in line
        assert line.count("\n") == 1


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Slow", r"differs in dt \(0.1, not 0.2\), equations"),
        ("half", "differs in equations"),
        ("full", "horizon is 10, but the environment 'tank' has 8"),
    ],
)
def test_another_environment_is_refused_by_what_differs(run, folder, name, message):
    with pytest.raises(RunError, match=message):
        beeline.load(folder / "run", env=f"tanks_of_a_test:{name}")


def test_a_run_of_a_task_takes_that_task_alone(copied, trained):
    env = make("cancer-treatment", horizon=10)
    assert eqx.tree_equal(beeline.load(copied, env=env).state, trained.state)
    with pytest.raises(RunError, match="as it is: leave env out"):
        beeline.load(copied, env=make("cancer-treatment", horizon=10, delta=0.3))
    with pytest.raises(RunError, match="was trained on 'cancer-treatment', not on 'tank'"):
        beeline.load(copied, env=tank())


def test_a_task_of_the_library_is_known_by_its_name(small, monkeypatch):
    env, asked = make("harvest", horizon=20), []
    assert name_of(env) == "harvest"
    assert name_of(make("cancer-treatment", horizon=20, delta=0.3)) is None

    def collect(config, env, *rest):
        asked.append((config, env))
        raise RunError("reached")

    monkeypatch.setattr(training, "_train", collect)
    with pytest.raises(RunError, match="reached"):
        beeline.train(env, config=small)
    ((config, own),) = asked
    assert (config.task, config.horizon, config.environment) == ("harvest", 20, "")
    assert own is env


def test_where_chance_has_a_part_returns_are_told_as_they_are(small, tmp_path, capsys):
    env = tank("Anywhere")
    assert not is_deterministic(env)
    assert is_deterministic(tank())
    with pytest.raises(ValueError, match="tank starts or moves by chance, so that no plan is the"):
        solve_optimum(env)
    run = beeline.train(env, config=small, out=tmp_path / "run")
    assert run.summary["optimal_return"] is None
    assert run.summary["normalized_return"] == [None]
    assert np.isfinite(run.summary["return"][0])
    assert {"learning_curve.png", "trajectories.png"} <= {p.name for p in run.path.iterdir()}
    handed = ["--env", "tanks_of_a_test:Anywhere"]
    assert main(["evaluate", str(tmp_path / "run"), *handed]) == 0
    told = capsys.readouterr().out
    assert "random -" in told
    assert "mean of 32 episodes, standard error 0." in told
    measured = beeline.evaluate(run)
    assert measured.returns.shape == (1, 32)
    np.testing.assert_allclose(measured.return_, measured.returns.mean(axis=1), rtol=1e-6)
    spread = np.sum((measured.returns - measured.return_[:, None]) ** 2) / 31
    np.testing.assert_allclose(measured.standard_error, np.sqrt(spread / 32), rtol=1e-4)
    starts = {float(np.asarray(start)[0]) for start in measured.states[:, 0]}
    assert all(0.2 <= start <= 1.5 for start in starts)
    assert run.summary["evaluation_steps"] == len(run.records) * 10 * 32
    assert "optimum" not in told
    draw_curves([run.path, run.path], tmp_path / "curves.png")
    band = _learning_curve(run, measured).axes[0].collections[0].get_paths()[0].vertices
    last = run.records[-1]["return"][0], run.records[-1]["return_deviation"][0]
    edges = band[band[:, 0] == run.records[-1]["env_steps"], 1]
    np.testing.assert_allclose([edges.min(), edges.max()], [last[0] - last[1], last[0] + last[1]])
    asking = beeline.preset("default", horizon=10, model="online-dt")
    with pytest.raises(RunError, match="'online-dt' asks for a share of the best return"):
        beeline.train(env, config=asking)


def test_a_key_is_always_handed_over_where_it_changes_nothing_too():
    keyed, plain = (solve_optimum(tank(name), starts=3, cache=False) for name in ("Keyed", "Tank"))
    assert keyed.return_ == pytest.approx(plain.return_, rel=1e-9)
    assert len(keyed.transcriptions) == len(plain.transcriptions) > 0


def test_a_reference_of_ones_own(small, tmp_path, capsys):
    config = dataclasses.replace(small, reference="-0.1")
    run = beeline.train(tank(), config=config, out=tmp_path / "run")
    low, (return_,) = run.summary["random_return"], run.summary["return"]
    share = (return_ - low) / (-0.1 - low)
    assert run.summary["normalized_return"][0] == pytest.approx(share)
    assert main(["evaluate", str(tmp_path / "run"), "--env", "tanks_of_a_test:Tank"]) == 0
    assert f"{share:.2%} of the way to the reference" in capsys.readouterr().out
    with pytest.raises(ValueError, match="reference is 'best': give optimum, none or a finite"):
        dataclasses.replace(small, reference="best")


@pytest.mark.parametrize("model", ["sac", pytest.param("online-dt", marks=pytest.mark.slow)])
def test_baselines_learn_on_it(model):
    options = {
        "sac": {"sac": SoftActorCritic(hidden=(4,), batch_size=4)},
        "online-dt": {
            "online_dt": OnlineDecisionTransformer(width=4, layers=1, heads=1, batch_size=4)
        },
    }
    config = beeline.preset(
        "default",
        horizon=10,
        model=model,
        env_steps=40,
        exploration=Exploration(warmup_steps=20),
        **options[model],
    )
    run = beeline.train(tank(), config=config)
    assert run.env == tank()
    assert np.isfinite(run.records[-1]["return"][0])


class Stranger:
    """No environment at all."""

    horizon = 5

    def step(self, state, action, t):
        return state


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        (
            Stranger(),
            TypeError,
            "of type Stranger, which is no subclass .* lacks initial_state",
        ),
        (3, TypeError, "is of type int, which is no subclass of beeline.envs.Environment"),
        ("no_such_module:Tank", ValueError, "there is no module 'no_such_module'"),
        ("tanks_of_a_test:Tan", ValueError, "unknown name in tanks_of_a_test 'Tan': did you mean"),
        ("tanks_of_a_test:Needy", ValueError, "cannot be made with a horizon alone .*'height'"),
        ("tanks_of_a_test:", ValueError, "names no environment: give module:Name"),
        ("tanks_of_a_test:jnp", TypeError, "jnp is of type module, which is no subclass"),
        ("tanks_of_a_test:Broken", RunError, "tank breaks the contract of an environment .finite"),
    ],
)
def test_what_is_no_environment_is_refused_before_any_work(given, error, message, tmp_path):
    if isinstance(given, str):
        with pytest.raises(error, match=message):
            beeline.train(given, out=tmp_path / "run")
        assert main(["train", given, "--out", str(tmp_path / "run")]) == 2
        assert not (tmp_path / "run").exists()
    else:
        # `train` would be refused by the types that these tests check at run time.
        with pytest.raises(error, match=message):
            given_environment(given)


def test_no_device_is_looked_for_before_the_cores_are_shared_out(folder):
    code = (
        "import beeline, sys; import beeline.run._training as training;"
        "training.use_every_core = lambda *batches: sys.exit(len(jax_bridge._backends));"
        "import jax._src.xla_bridge as jax_bridge;"
        "beeline.train('tanks_of_a_test:Tank', horizon=10)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True)
    assert done.returncode == 0, done.stderr


def test_a_horizon_that_contradicts_the_environment():
    with pytest.raises(ValueError, match="horizon is 30, but the environment 'tank' has 10"):
        beeline.train(tank(), horizon=30)


@pytest.mark.parametrize(
    ("arguments", "horizon"),
    [
        (["tanks_of_a_test:full"], 8),
        (["tanks_of_a_test:Tank"], 100),
        (["tanks_of_a_test:half", "--horizon=9"], 9),
        (["tanks_of_a_test:full", "--horizon", "100"], None),
    ],
)
def test_the_command_line_takes_the_horizon_of_the_environment(
    arguments, horizon, monkeypatch, capsys
):
    asked = []

    def train(task, **options):
        asked.append((task.name, task.horizon, options["config"].horizon))
        raise RunError("reached")

    monkeypatch.setattr(beeline.run, "train", train)
    assert main(["train", *arguments]) == 2
    assert asked == ([] if horizon is None else [("tank", horizon, horizon)])
    if horizon is None:
        assert "horizon is 100, but the environment 'tank' has 8" in capsys.readouterr().err


def test_the_check_can_be_left_out(monkeypatch):
    class ReachedError(Exception):
        """Raised in place of training."""

    def stop(config, env, *rest):
        assert (config.task, env.name) == ("tank", "tank")
        raise ReachedError

    monkeypatch.setattr("beeline.run._training._train", stop)
    with pytest.raises(ReachedError):
        beeline.train(tank("Broken"), check=False)


def test_the_fingerprint_is_the_same_in_another_process_and_another_precision(folder):
    code = (
        "from beeline.envs._given import given_environment as g;"
        "from beeline.envs._identity import identity;"
        "print(identity(g('tanks_of_a_test:Tank', horizon=10)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, encoding="utf-8", cwd=folder
    )
    assert done.stdout.strip() == identity(tank()), done.stderr
    with jax.enable_x64(True):
        assert identity(tank()) == done.stdout.strip()
    assert equations(tank()) != equations(tank("half"))


def test_under_another_version_of_jax_a_few_steps_tell():
    said = identity(tank())
    other = re.sub(r"equations=\S+ jax=\S+", "equations=0 jax=0.0", said)
    assert differences(other, said) == []
    assert differences(re.sub(r"equations=\S+", "equations=0", said), said) == ["equations"]
    assert differences(re.sub(r"probe=\S+", "probe=7.5", other), said) == ["equations"]
    assert differences("forged", said)[-1] == "equations"
    state, return_ = 0.2, 0.0
    for t in range(10):
        action = np.sin(t)
        return_ -= 0.1 * ((state - 1) ** 2 + 0.1 * action**2)
        state = max(state + 0.1 * (1 + action - max(state, 1e-3) ** 0.5), 0)
    assert float(said.partition("probe=")[2]) == pytest.approx(return_ + state, rel=1e-12)


def test_arrays_and_constants_are_part_of_the_fingerprint():
    class Field(Environment):
        weights: jax.Array
        name = "field"
        state_dim, action_dim, horizon, dt = 2, 1, 5, 1.0

        def initial_state(self, *, key=None):
            return jnp.zeros(2)

        def step(self, state, action, t, *, key=None):
            return state + self.weights * action

        def reward(self, state, action, t):
            return state[0]

    one, other = Field(jnp.asarray([1.0, 2.0])), Field(jnp.asarray([1.0, 2.5]))
    assert equations(one) != equations(other)


def test_the_documentation_trains_and_reads_its_tank(tmp_path, monkeypatch):
    page = Path(__file__).parents[1] / "docs" / "environments.md"
    text = page.read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, flags=re.S)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_tasks.py").write_text(blocks[0].split("\n\n\nreport")[0], encoding="utf-8")
    assert main(["train", "my_tasks:Tank", *TINY, "--out", "runs/tank"]) == 0
    assert main(["evaluate", "runs/tank", "--env", "my_tasks:Tank", "--json"]) == 0
    config = json.loads((tmp_path / "runs/tank/config.json").read_text(encoding="utf-8"))
    assert config["config"]["task"] == "tank"
    shutil.rmtree(tmp_path / "runs")
    sys.modules.pop("my_tasks")


TINY = [
    *("--horizon", "5", "--model", "markov", "--exploration.warmup-steps", "40"),
    *("--env-steps", "60", "--fitting.batch-size", "4", "--improvement.batch-size", "4"),
    *("--world-model.hidden", "8", "--policy.hidden", "8"),
]
