"""What the classic tasks have in common: the contract, documents, returns, and that they train."""

import dataclasses
import inspect

import jax
import numpy as np
import pytest

import beeline
from beeline import envs
from beeline.control import random_return, reference_return
from beeline.run import RunError, _figures

SMALL = {"reaction-diffusion": {"cells": 16}}
NAMES = (
    "cart-pole",
    "cart-pole-balance",
    "double-integrator",
    "pendulum",
    "reaction-diffusion",
    "unstable-pole",
)


@pytest.mark.parametrize("name", NAMES)
def test_the_contract_is_kept(name):
    env = envs.make(name, horizon=6, **SMALL.get(name, {}))
    assert envs.check(env, raises=True).ok


@pytest.mark.parametrize("name", NAMES)
def test_a_step_is_as_long_at_any_horizon(name):
    short, long = (envs.make(name, horizon=horizon) for horizon in (5, 500))
    assert short.dt == long.dt
    key = jax.random.key(3)
    np.testing.assert_array_equal(short.initial_state(key=key), long.initial_state(key=key))


@pytest.mark.parametrize("name", NAMES)
def test_docstrings_say_what_everything_is(name):
    env = envs.make(name, horizon=5)
    text = inspect.getdoc(type(env))
    for section in ("Attributes:", "State:", "Action:", "Reward:", "Start:", "End:", "References:"):
        assert section in text
    assert envs.descriptions()[name] == text.splitlines()[0]
    assert len(env.state_names) == env.state_dim
    assert len(env.action_names) == env.action_dim


@pytest.mark.usefixtures("optimised")
@pytest.mark.parametrize(
    ("name", "horizon", "mean", "error"),
    [("pendulum", 200, -1250, 45), ("cart-pole", 250, 4.6, 0.9)],
)
def test_random_actions_earn_what_they_did_elsewhere(name, horizon, mean, error):
    """There, in 50 episodes of a simulation of its own."""
    found = random_return(envs.make(name, horizon=horizon), 500)
    assert abs(found.mean - mean) <= 3.5 * np.hypot(error, found.standard_error)


@pytest.mark.parametrize(
    "name",
    [
        name if name == "double-integrator" else pytest.param(name, marks=pytest.mark.slow)
        for name in NAMES
        if envs.make(name, horizon=5).terminated is None
    ],
)
def test_a_run_is_measured_by_the_reference(name, tiny, tmp_path, monkeypatch):
    drawn = []
    save = _figures.save_figure
    monkeypatch.setattr(
        _figures, "save_figure", lambda figure, file: (drawn.append(figure), save(figure, file))
    )
    config = dataclasses.replace(tiny, task=name, env_steps=300, seeds=2)
    run = beeline.train(config=config, out=tmp_path / "run")
    assert run.config.environment == ""
    assert run.summary["evaluation_steps"] == len(run.records) * 32 * 10
    assert {"learning_curve.png", "trajectories.png"} <= {p.name for p in run.path.iterdir()}
    measured = beeline.evaluate(run.path)
    assert measured.returns.shape == (2, 32)
    assert measured.reference.optimum is None
    assert run.reference_kind == "reference"
    best = reference_return(run.env)
    assert run.summary["optimal_return"] == best
    assert np.isfinite(measured.normalized_return).all() == (best is not None)
    # Many entries are an image of the median seed, which is the lower of two.
    images = drawn[1].axes[0].images
    assert len(images) == (run.env.state_dim > 12)
    for image in images:
        np.testing.assert_array_equal(
            image.get_array(), measured.states[np.argmin(measured.return_)].T
        )


def test_a_model_that_asks_for_the_best_plan_is_refused():
    with pytest.raises(RunError, match="and 'pendulum' has none, for it starts or moves by chance"):
        beeline.train("pendulum", horizon=10, model="online-dt")
