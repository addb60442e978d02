"""A field, a core, a model and a baseline: each is declared once, and arrives everywhere."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import beeline
from beeline.cli._commands import Train
from beeline.config import BASELINES, MODELS, preset
from beeline.config._config import Fields
from beeline.config._fields import leaves
from benchmarks import soak

ROOT = Path(__file__).parents[1]

FIELD = '''
    patience: int = field(3, Count(1), since=3, before=7)
    """Updates to wait."""
'''

CORE = """
    "echo": Core("Echo", "echo", "beeline.sequence.echo:Echo", ("width", "horizon"), " (Eq. 99)"),
"""

MODEL = """
    "still": Entry(
        "Nothing ever moves.", "still model", "models_of_a_test:still", options=("fitting",)
    ),
"""

BASELINE = """
    "sleeper": Entry(
        "Sleeps.",
        "sleeper",
        "models_of_a_test:Sleeper",
        options=("exploration.warmup_steps",),
        packages=("no_such_package",),
        extra="sleep",
    ),
"""

CONFIG = "config/_groups.py", "config/_catalogue.py"
EDITS = [
    (CONFIG[0], '    """Improving the policy in the model."""\n', FIELD),
    (CONFIG[1], "\nCORES = {", CORE),
    (CONFIG[1], "\nMODELS = {", MODEL),
    (CONFIG[1], "\nBASELINES = {", BASELINE),
]
"""File, the text after which to add something, and what to add: no other file is touched."""

CORE_FILE = '''
"""A core."""

import equinox as eqx
import jax
import jax.numpy as jnp

from beeline.sequence._base import SequenceCore


class Echo(SequenceCore):
    gain: jax.Array
    width: int = eqx.field(static=True)

    def __init__(self, width, horizon, *, key):
        self.gain = jnp.full(width, 1.0 / horizon)
        self.width = width

    def parallel(self, tokens):
        return self.gain * tokens

    def start(self, length):
        return ()

    def step(self, cache, token):
        return cache, self.gain * token

    def reserve(self, cache, length):
        return cache

    def stages(self, length):
        return (length,)
'''

MODELS_FILE = """
from beeline.models import SimulatorModel


def still(config, env, *, key):
    return SimulatorModel(env)


class Sleeper:
    def __init__(self, config, env, evaluation_episodes):
        self.said = f"asleep for {config.env_steps} steps of {env.name}"
"""

SCRIPT = """
import contextlib, io, json, sys
from pathlib import Path
from beeline.cli import main

def said(*arguments):
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main(arguments)
        except SystemExit:
            pass
    return " ".join((out.getvalue() + err.getvalue()).split())

found = {
    "list": said("list"),
    "without JAX": "jax" not in sys.modules,
    "help": said("train", "--help"),
    "range": said("train", "--improvement.patience", "0"),
    "near": said("train", "--model", "ecko-awm"),
    "unused": [
        said("train", "--model", "still", "--policy.squash", "tanh"),
        said("train", "--model", "sac", "--improvement.patience", "4"),
        said("train", "--model", "sleeper", "--exploration.amplitude", "0.3"),
    ],
    "package": said("train", "--model", "sleeper", "--exploration.warmup-steps", "3"),
}

import jax, jax.numpy as jnp
from beeline.build import build, build_model
from beeline.config import BASELINES, Config, Improvement, Fitting
from beeline.envs import make
from beeline.run.directory.config_file import from_json, to_json
from beeline.run.directory.layout import SCHEMA, read_config

asked = Config(model="echo-history", improvement=Improvement(patience=5), horizon=4)
found["json"] = from_json(json.loads(json.dumps(to_json(asked))), "here", SCHEMA) == asked
found["older"] = [read_config(Path(run)).improvement.patience for run in sys.argv[1:]]
found["fitting"] = Config(model="still", fitting=Fitting(clip=3.0)).fitting.clip

def shape(model):
    config = Config(model=model, horizon=4)
    env = make(config.task, horizon=4)
    def predict(key):
        model = build_model(config, env, key=key)
        states = jnp.zeros((4, env.state_dim))
        return model.predict(states, jnp.zeros((4, env.action_dim)))
    return jax.eval_shape(predict, jax.random.key(0)).shape

found["shapes"] = [shape(name) for name in ("echo-awm", "echo-history", "still")]
found["baseline"] = BASELINES["sleeper"].make(asked, make("harvest", horizon=4), 1).said
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """What a copy of the library with a few lines more says of itself."""
    folder = tmp_path_factory.mktemp("declared")
    package = folder / "beeline"
    shutil.copytree(
        Path(beeline.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__")
    )
    for name, after, added in EDITS:
        text = (package / name).read_text(encoding="utf-8")
        assert text.count(after) == 1
        (package / name).write_text(text.replace(after, f"{after}{added}"), encoding="utf-8")
    (package / "sequence" / "echo.py").write_text(CORE_FILE, encoding="utf-8")
    (folder / "models_of_a_test.py").write_text(MODELS_FILE, encoding="utf-8")
    fixtures = [str(ROOT / "tests" / "fixtures" / f"schema-{schema}") for schema in (1, 2)]
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *fixtures], capture_output=True, text=True, cwd=folder
    )
    assert not done.returncode, done.stderr
    return json.loads(done.stdout)


def test_lists_and_help_have_them_and_start_nothing(found):
    assert "Echo over the initial state and the actions (Eq. 99)." in found["list"]
    assert "echo-history Echo over states and actions, its predictions fed back." in found["list"]
    assert "still Nothing ever moves." in found["list"].partition("baselines")[0]
    assert "sleeper Sleeps." in found["list"].partition("baselines")[2]
    assert found["without JAX"]
    assert "--improvement.patience INT" in found["help"]
    assert "Updates to wait. (default: 3)" in found["help"]


def test_they_are_checked(found):
    assert "improvement.patience is 0: give an integer of at least 1" in found["range"]
    assert "unknown model 'ecko-awm': did you mean 'echo-awm'" in found["near"]
    for said, path in zip(
        found["unused"],
        ("policy.squash is tanh", "improvement.patience is 4", "exploration.amplitude is 0.3"),
        strict=True,
    ):
        assert re.search(rf"{path}, but the model '\w+' has no such option: leave it out", said)
    assert found["fitting"] == 3.0
    assert "needs no_such_package, which is not installed: pip install 'bee" in found["package"]


def test_files_keep_them_and_older_ones_get_what_did_as_before(found):
    assert found["json"]
    assert found["older"] == [7, 7]


def test_they_are_built(found):
    assert found["shapes"] == [[4, 1]] * 3
    assert found["baseline"] == "asleep for 10000 steps of harvest"


def test_the_command_line_repeats_no_field():
    again = set(vars(Train)["__annotations__"]) & set(Fields.__dataclass_fields__)
    # One is an argument by its place, the others are for the library to fill in.
    assert again == {"task", "environment", "own_model", "own_policy", "because"}


@pytest.mark.parametrize("model", BASELINES)
def test_what_no_entry_claims_is_everyones(model):
    assert preset("default", model=model, evaluation_episodes=3).evaluation_episodes == 3


def test_each_model_has_a_name_in_figures_and_a_small_run(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT))
    from experiments._figures import COLOURS, LABELS

    assert LABELS["ssm-awm"] == "SSM AWM"
    assert LABELS["lstm-history"] == "LSTM history model"
    for name in (*MODELS, *BASELINES):
        assert LABELS[name]
        assert COLOURS[name].startswith("#")
        assert soak.small("harvest", name, 0).model == name


def test_documents_name_fields_that_there_are():
    paths = dict(leaves(Fields()))
    groups = {path.partition(".")[0] for path in paths if "." in path}
    pages = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("experiments/**/README.md")]
    text = "\n".join(page.read_text(encoding="utf-8") for page in pages).replace("-", "_")
    text = text.replace(".no_", ".")
    named = set(re.findall(rf"(?<![\w.])_*((?:{'|'.join(groups)})\.[a-z_]+)(?![\w(])", text))
    # In docs/export.md, `policy` is a file and what is read from it, not a group of options.
    exported = {
        f"policy.{name}" for name in ("npz", "stablehlo", "onnx", "metadata", "mode", "network")
    }
    assert len(named) > 20
    assert not named - set(paths) - exported
