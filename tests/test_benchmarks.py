import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from beeline.build import build, build_model, build_policy
from beeline.config import MODELS, preset
from beeline.gradients import rollout
from benchmarks import exports
from benchmarks.cases import OPERATIONS
from benchmarks.operations import COUNTED, count
from benchmarks.sweeps import sweep_rollout
from tests.networks import normal


@pytest.mark.usefixtures("float64")
def test_sweeps_settle_where_steps_lead():
    config = preset("default", horizon=9, model="rnn-awm", env_steps=2000)
    env = build(config).env
    model, policy = (
        eqx.filter_jit(make)(config, env, key=jax.random.key(0))
        for make in (build_model, build_policy)
    )
    starts = jnp.asarray(np.tile(env.initial_state(), (4, 1)))
    noise = normal(4, 9, env.action_dim, seed=2)

    def live(state, draws):
        return rollout(policy, model, state, draws, through_policy=0.0, through_states=0.0)

    states, actions, *_ = jax.jit(jax.vmap(live))(starts, noise)
    settled = jax.jit(lambda: sweep_rollout(policy, model, starts, noise, tolerance=0.0))()
    assert 1 < settled.sweeps <= 10
    np.testing.assert_allclose(settled.actions, actions, atol=1e-12)
    np.testing.assert_allclose(settled.states, states, rtol=1e-10)
    once = jax.jit(lambda: sweep_rollout(policy, model, starts, noise, most_sweeps=1))()
    assert once.sweeps == 1
    # The first action does not wait for any other.
    np.testing.assert_allclose(once.actions[:, 0], actions[:, 0], atol=1e-12)
    assert np.abs(np.asarray(once.actions) - actions).max() > 1e-6


@pytest.mark.parametrize(
    "model", [name for name in MODELS if name.split("-")[0] in {*COUNTED, "markov"}]
)
def test_operations_are_counted(model):
    for operation in OPERATIONS:
        short, long = (
            count(preset("default", model=model, horizon=h, env_steps=9000), 2, 1, operation, 16)
            for h in (100, 1000)
        )
        # An iteration makes updates in proportion to its steps.
        linear = 100 if operation == "iteration" else 10
        assert 0.99 * linear * short < long < 3 * linear * short


def test_every_form_of_a_policy_is_timed(monkeypatch, capsys):
    monkeypatch.setattr(exports, "_ROUNDS", 1)
    exports.run("pendulum", horizon=10, batch=2)
    head, _, *rows = capsys.readouterr().out.splitlines()
    assert head.endswith("| one state | of 2 states, each |")
    assert [row.split("|")[1].split()[0] for row in rows] == [
        "`policy.mode`",
        "NumPy",
        "StableHLO,",
        "ONNX,",
    ]
