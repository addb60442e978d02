"""Tasks by name: the list, the options and the errors."""

import inspect
import subprocess
import sys

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from beeline import envs
from beeline.envs import _checks
from beeline.envs._registry import ENTRIES

EIGHT = (
    "bacteria",
    "bioreactor",
    "cancer-treatment",
    "harvest",
    "hiv-treatment",
    "invasive-plant",
    "mould-fungicide",
    "timber-harvest",
)
SYSTEMS = [name for name, entry in ENTRIES.items() if ".myriad." in entry.module]


@pytest.fixture
def env():
    return envs.make("cancer-treatment", horizon=20)


def test_the_eight_tasks_and_twelve_more_are_listed_in_order():
    assert set(EIGHT) < set(SYSTEMS) < set(envs.names())
    assert len(SYSTEMS) == 20
    assert list(envs.names()) == sorted(envs.names())
    assert tuple(envs.descriptions()) == envs.names()


@pytest.mark.parametrize("name", envs.names())
def test_every_task_is_made_and_described(name):
    env = envs.make(name, horizon=10)
    assert (env.name, env.horizon) == (name, 10)
    assert env.initial_state(key=jax.random.key(0)).shape == (env.state_dim,)
    line = envs.descriptions()[name]
    assert line.endswith(".")
    assert "\n" not in line


@pytest.mark.parametrize("name", SYSTEMS)
def test_every_system_names_its_entries(name):
    env = envs.make(name, horizon=10)
    system = env.system
    assert env.dt == pytest.approx(system.duration / 10)
    assert len(system.state_names) == len(system.state_units) == env.state_dim
    assert len(system.state_bounds) == len(system.x_0) == env.state_dim
    assert len(system.control_names) == len(system.control_units) == env.action_dim
    text = inspect.getdoc(type(system))
    for section in ("Attributes:", "State:", "Action:", "Reward:", "Start:", "End:", "References:"):
        assert section in text
    assert envs.descriptions()[name] == text.splitlines()[0]


def test_listing_tasks_does_not_import_jax():
    code = (
        "import sys, beeline.envs as envs; envs.names(); envs.descriptions(); dir(envs); "
        "assert 'jax' not in sys.modules and 'numpy' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_public_names():
    assert set(envs.__all__) == {
        "CheckReport",
        "Constrained",
        "ContractError",
        "ControlSystem",
        "ControlTask",
        "Environment",
        "Simulator",
        "SimulatorError",
        "Violation",
        "check",
        "descriptions",
        "from_gymnasium",
        "from_jax",
        "make",
        "names",
        "register",
        "reward_of",
    }
    assert all(getattr(envs, name) is not None for name in envs.__all__)
    assert dir(envs) == sorted(envs.__all__)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        envs.nothing  # noqa: B018


def test_unknown_task_suggests_the_nearest():
    with pytest.raises(
        ValueError, match="unknown task 'cancer-treat': did you mean 'cancer-treatment'"
    ):
        envs.make("cancer-treat", horizon=20)


def test_options_reach_the_system_and_unknown_ones_are_refused():
    env = envs.make("cancer-treatment", horizon=20, delta=0.9, process_noise=0.5)
    assert (env.system.delta, env.process_noise) == (0.9, 0.5)
    with pytest.raises(ValueError, match=r"unknown option of cancer-treatment 'detla'.*'delta'"):
        envs.make("cancer-treatment", horizon=20, detla=0.9)


@pytest.mark.parametrize("horizon", [2, np.int64(2), np.asarray(2)])
def test_horizons_may_be_any_integer(horizon):
    env = envs.make("harvest", horizon=horizon)
    assert type(env.horizon) is int
    assert env.horizon == 2


@pytest.mark.parametrize("name", envs.names())
def test_the_least_horizon_is_known_without_making_the_task(name):
    def made(horizon):
        try:
            envs.make(name, horizon=horizon)
        except ValueError:
            return False
        return True

    assert min(filter(made, range(1, 21))) == ENTRIES[name].least_horizon


@pytest.mark.parametrize("horizon", [True, np.True_, 20.0, "20", None])
def test_horizons_of_the_wrong_kind(horizon):
    with pytest.raises(TypeError, match="horizon must be an integer of at least 2, got"):
        _checks.check_horizon(horizon)


@pytest.mark.parametrize("horizon", [1, 0, -3])
def test_horizons_too_short(horizon):
    with pytest.raises(ValueError, match=f"horizon must be at least 2, got {horizon}"):
        envs.make("harvest", horizon=horizon)


def test_process_noise_must_be_a_size():
    for bad in (True, "1", None):
        with pytest.raises(TypeError, match="process_noise must be a number"):
            _checks.check_process_noise(bad)
    for bad in (-0.1, float("inf"), float("nan")):
        with pytest.raises(ValueError, match="process_noise must be finite and at least 0"):
            envs.make("harvest", horizon=2, process_noise=bad)


def test_wrong_shapes_are_refused(env):
    state, action = jnp.array([0.5]), jnp.array([0.0])
    for function in (env.step, env.reward, jax.jit(env.step), jax.jit(env.reward)):
        with pytest.raises(ValueError, match=r"state must have shape \(1,\), got \(2,\)"):
            function(jnp.ones(2), action, 0)
        with pytest.raises(ValueError, match=r"action must have shape \(1,\), got \(3,\)"):
            function(state, jnp.zeros(3), 0)


def test_a_batch_is_told_of_vmap():
    with pytest.raises(ValueError, match=r"shape \(2,\), got \(9, 2\); use jax.vmap for a batch"):
        _checks.check_state(jnp.ones((9, 2)), 2)
    with pytest.raises(ValueError, match=r"action must have shape \(1,\), got \(\)$"):
        _checks.check_action(jnp.asarray(0.5), 1)


def test_what_is_not_an_array_of_floats_is_refused():
    with pytest.raises(TypeError, match=r"action must be an array of shape \(1,\), got \[0.5\]"):
        _checks.check_action([0.5], 1)
    with pytest.raises(TypeError, match="state must hold floating-point numbers, got int32"):
        _checks.check_state(jnp.zeros(1, jnp.int32), 1)
    with pytest.raises(TypeError, match=r"t must be one integer step index, got 1\.0"):
        _checks.check_step_index(1.0)
    with pytest.raises(TypeError, match="got an array of float32 and shape"):
        _checks.check_step_index(jnp.asarray(19.0001))
    with pytest.raises(TypeError, match="got True"):
        _checks.check_step_index(True)


@pytest.mark.parametrize("value", [1.001, -1.001, float("nan"), float("inf")])
def test_actions_out_of_range_are_refused_where_they_are_known(env, value):
    state, action = jnp.array([0.5]), jnp.array([value])
    for function in (env.step, env.reward):
        with pytest.raises(ValueError, match=r"action entries must lie in \[-1, 1\], got \["):
            function(state, action, 0)
        jax.jit(function)(state, action, 0)


def test_actions_may_overshoot_by_rounding(env):
    edge = jnp.array([1.0 + 2**-23], jnp.float32)
    assert float(edge[0]) > 1.0
    assert np.isfinite(env.step(jnp.array([0.5]), edge, 0)).all()


def test_process_noise_has_its_size_and_needs_a_key():
    env = envs.make("harvest", horizon=10, process_noise=0.05)
    state, action = env.initial_state(), jnp.array([0.0])
    with pytest.raises(ValueError, match=r"harvest has process_noise=0.05: pass key= to step"):
        env.step(state, action, 0)
    keys = jax.random.split(jax.random.key(0), 4000)
    moved = jax.vmap(lambda key: env.step(state, action, 0, key=key))(keys)
    quiet = envs.make("harvest", horizon=10).step(state, action, 0)
    # Standard errors: 0.05 / √4000 = 0.0008 of the mean, about 0.0006 of the deviation.
    np.testing.assert_allclose(moved.mean(0), quiet, atol=0.0032)
    np.testing.assert_allclose(moved.std(0), 0.05, atol=0.0024)


def test_noise_is_added_before_clipping():
    env = envs.make("bacteria", horizon=10, process_noise=5.0)
    keys = jax.random.split(jax.random.key(0), 200)
    moved = jax.vmap(lambda key: env.step(jnp.array([1.0]), jnp.array([0.0]), 0, key=key))(keys)
    assert float(moved.min()) == 0.0
    assert float(moved.max()) <= 10.0


def test_environments_pass_through_jit_as_arguments(env):
    state, action = env.initial_state(), jnp.array([0.3])
    plain = env.step(state, action, 3)
    for jit in (jax.jit, eqx.filter_jit):
        np.testing.assert_allclose(
            jit(lambda env, t: env.step(state, action, t))(env, 3), plain, rtol=1e-6
        )
