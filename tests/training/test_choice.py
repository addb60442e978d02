"""What the choice between whole episodes and windows is made by, against systems known exactly."""

import dataclasses
import re

import numpy as np
import pytest

import beeline
from beeline import envs
from beeline.build import imagination_of
from beeline.build._imagination import _warm_up
from beeline.config import Config, Exploration, Windows
from beeline.training.choice import Evidence, one_step_growth, weigh

STEPS = 60

PAPER = (
    "cancer-treatment", "bioreactor", "mould-fungicide", "bacteria",
    "harvest", "invasive-plant", "hiv-treatment", "timber-harvest",
)  # fmt: skip


def episodes(matrix, *, push=0.3, starts=0.0, seed=0):
    """Episodes of z+ = matrix z + push a, standardised only so far as the test needs it."""
    draws = np.random.default_rng(seed)
    actions = draws.uniform(-1, 1, (8, STEPS, 1))
    values = np.zeros((8, STEPS + 1, 2))
    values[:, 0] = starts * draws.normal(size=(8, 2))
    for t in range(STEPS):
        values[:, t + 1] = values[:, t] @ matrix.T + push * actions[:, t]
    return values, actions


@pytest.mark.parametrize("rate", [0.9, 1.0, 1.1])
def test_growth_is_that_of_the_powers_of_a_linear_system(rate):
    turn = 0.3
    matrix = rate * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    growth = one_step_growth(*episodes(matrix))
    expected = [np.linalg.norm(np.linalg.matrix_power(matrix, k + 1), 2) for k in range(STEPS)]
    np.testing.assert_allclose(growth[:20], expected[:20], rtol=0.05)


def test_a_product_that_explodes_is_not_followed():
    growth = one_step_growth(*episodes(np.diag([5.0, 0.5])))
    assert np.isfinite(growth).all()
    assert growth[-1] == pytest.approx(1e12)


@pytest.mark.parametrize(
    ("evidence", "windows", "says"),
    [
        (Evidence(0.5, False, 1000, None), True, "start in many states (0.5 of the spread"),
        (Evidence(0.0, True, 1000, None), True, "the same actions lead elsewhere by chance"),
        (Evidence(0.0, False, 1000, 1e6), True, "gradients grow over an episode (1e+06 times)"),
        (Evidence(0.0, False, 1000, 1.3), False, "gradients do not grow over an episode (1.3"),
        (Evidence(0.0, False, 50, None), False, "50 steps of random actions are too few"),
    ],
)
def test_what_decides_is_said(evidence, windows, says):
    assert evidence.for_windows is windows
    assert says in str(evidence)


def test_the_variety_of_starts_is_a_share_of_that_of_states():
    still = weigh(*episodes(np.eye(2) * 0.9), noisy=False)
    assert still.variety == 0
    values, actions = episodes(np.eye(2) * 0.9, starts=0.5)
    assert weigh(values, actions, noisy=False).variety == pytest.approx(
        values[:, 0].std(axis=0).max()
    )


def test_growth_is_measured_where_nothing_else_decides():
    still, varied = episodes(np.eye(2) * 0.9), episodes(np.eye(2) * 0.9, starts=0.5)
    growth = one_step_growth(*still).max()
    assert weigh(*still, noisy=False).growth == pytest.approx(growth)
    assert weigh(*varied, noisy=False).growth is None
    assert weigh(*still, noisy=True).growth is None
    few = (still[0][:1, :100], still[1][:1, :99])
    assert weigh(*few, noisy=False).growth is None


@pytest.mark.parametrize(
    ("task", "horizon", "imagination", "why"),
    [
        ("cancer-treatment", 100, "episodes", "there is one start, and gradients do not grow"),
        ("pendulum", 50, "windows", "episodes start in many states"),
        ("double-integrator", 50, "windows", "the same actions lead elsewhere by chance"),
        ("pendulum", 20, "episodes", "20 steps are less than two windows of 16"),
    ],
)
def test_tasks_are_imagined_as_they_need(task, horizon, imagination, why):
    chosen = imagination_of(Config(task=task, horizon=horizon, model="markov", env_steps=10_000))
    assert chosen.imagination == imagination
    assert chosen.because.startswith(why)
    assert imagination_of(chosen) is chosen


@pytest.mark.slow
@pytest.mark.parametrize("horizon", [50, 100, 200, 500])
@pytest.mark.parametrize("task", PAPER)
def test_the_papers_tasks_are_imagined_whole(task, horizon):
    """docs/imagination.md tells the largest growth of them all."""
    chosen = imagination_of(Config(task=task, horizon=horizon, model="markov", env_steps=20_000))
    assert chosen.imagination == "episodes"
    growth = re.search(r"over an episode \((\S+) times\)", chosen.because)
    assert growth is not None
    assert float(growth[1]) <= 2.2


def test_what_depends_on_time_gets_a_clock():
    """Noise in a task whose catch is discounted by the date, and in one that is steady."""
    env = envs.make("harvest", horizon=50, process_noise=0.05)
    config = Config(task="harvest", horizon=50, model="markov", env_steps=10_000)
    assert imagination_of(config, env).windows.clock == "episode"
    steady = envs.make("double-integrator", horizon=50)
    config = dataclasses.replace(config, task="double-integrator")
    assert imagination_of(config, steady).windows.clock == "none"


def test_the_choice_looks_at_the_episodes_that_the_run_begins_with(tiny_windows):
    config = dataclasses.replace(
        tiny_windows,
        task="pendulum",
        horizon=12,
        env_steps=48,
        windows=Windows(length=4, hidden=(8,)),
        exploration=Exploration(warmup_steps=24),
        imagination="auto",
    )
    run = beeline.train(config=config)
    assert run.config.imagination == "windows"
    assert run.config.because.startswith("episodes start in many states")
    looked_at = _warm_up(config, run.env).states
    kept = run.state.buffer.states[0, : len(looked_at)]
    np.testing.assert_allclose(kept, looked_at, rtol=1e-5, atol=1e-6)
