"""What the package promises, and that importing it is quick."""

import importlib
import subprocess
import sys

import pytest

import beeline

PUBLIC = {
    "beeline": {
        "Config",
        "DivergedError",
        "Episodes",
        "Run",
        "RunError",
        "StorageError",
        "control",
        "data",
        "diagnose",
        "envs",
        "evaluate",
        "fit",
        "forecast",
        "load",
        "preset",
        "register_model",
        "resume",
        "train",
    },
    "beeline.data": {"DataError", "DataWarning", "Episodes", "LoggedEpisode", "read"},
    "beeline.forecast": {
        "Errors",
        "Fitted",
        "Forecaster",
        "Held",
        "errors_ahead",
        "fit_episodes",
        "hold_out",
        "load",
        "save",
    },
    "beeline.offline": {
        "Judgement",
        "Rows",
        "System",
        "behaviour",
        "cut_rows",
        "judge",
        "learn_system",
        "packed_rows",
    },
    "beeline.run": {
        "DivergedError",
        "Evaluation",
        "Interrupted",
        "Run",
        "RunError",
        "RunWarning",
        "StorageError",
        "draw_curves",
        "draw_run",
        "evaluate_run",
        "load",
        "resume",
        "train",
    },
    "beeline.training": {
        "BPO",
        "Algorithm",
        "BPOState",
        "Buffer",
        "Context",
        "CorrelatedNoise",
        "Dyna",
        "Episode",
        "Exploration",
        "IndependentNoise",
        "Learned",
        "Learner",
        "ModelFitting",
        "OneStepFitting",
        "Optimiser",
        "PolicyImprovement",
        "Record",
        "RewardFitting",
        "Slope",
        "TransitionRewardFitting",
        "act",
        "evaluate",
        "fit",
        "mean_return",
        "play",
    },
}


@pytest.mark.parametrize("package", PUBLIC)
def test_the_public_names_are_these(package):
    module = importlib.import_module(package)
    assert set(module.__all__) == PUBLIC[package]
    # Constants first, as ruff sorts.
    assert list(module.__all__) == sorted(module.__all__, key=lambda n: (not n.isupper(), n))
    for name in module.__all__:
        assert getattr(module, name) is not None


def test_a_name_that_is_not_there():
    with pytest.raises(AttributeError, match="module 'beeline' has no attribute 'trian'"):
        _ = beeline.trian
    assert dir(beeline) == sorted(PUBLIC["beeline"])


def test_importing_starts_nothing():
    code = (
        "import sys, beeline\n"
        "from beeline.cli import main\n"
        "assert main(['list']) == 0\n"
        "assert main(['train', 'cancer-tretment']) == 2\n"
        "heavy = {'jax', 'jaxlib', 'equinox', 'scipy', 'matplotlib', 'numpy'} & set(sys.modules)\n"
        "heavy |= {'gymnasium', 'torch'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_training_needs_neither_figures_nor_a_solver_to_begin():
    code = (
        "import sys, beeline\n"
        "beeline.train, beeline.load\n"
        "heavy = {'matplotlib', 'scipy.optimize'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
