"""What the README promises of pure functions, and results that go to other processes."""

import concurrent.futures
import functools
import multiprocessing
import pickle
import signal
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import beeline
from beeline import policies, sequence
from beeline.control import Optimum
from beeline.models import ActionsModel, RewardModel
from beeline.run import DivergedError, Interrupted, RunError, StorageError


class Line(beeline.envs.Environment):
    """A user's environment that holds an array, and has a function for an entry."""

    drift: jax.Array
    bend: object = eqx.field(static=True, default=jax.nn.relu)
    name: str = eqx.field(static=True, default="line")
    state_dim: int = eqx.field(static=True, default=2)
    action_dim: int = eqx.field(static=True, default=1)
    horizon: int = eqx.field(static=True, default=4)
    dt: float = eqx.field(static=True, default=1.0)

    def initial_state(self, *, key=None):
        return jnp.zeros(2)

    def step(self, state, action, t, *, key=None):
        return self.drift @ state + self.bend(action[0])

    def reward(self, state, action, t):
        return -jnp.sum(state**2)


LINE = Line(jnp.asarray([[1.0, 0.1], [0.0, 1.0]]))
REWARD = RewardModel(2, 1, 4, hidden_sizes=(3,), key=jax.random.key(0))
POLICY = policies.SquashedGaussian(2, 1, 4, hidden_sizes=(3,), key=jax.random.key(1))
MODEL = ActionsModel(sequence.GRU(4, (4,), key=jax.random.key(2)), 2, 1, 4, key=jax.random.key(3))
STATE, ACTION = jnp.asarray([0.3, -0.2]), jnp.asarray([0.5])

FUNCTIONS = {
    "user's step": (LINE.step, (STATE, ACTION, 1)),
    "user's reward": (LINE.reward, (STATE, ACTION, 1)),
    "reward model": (REWARD, (STATE, ACTION, 1)),
    "policy mode": (POLICY.mode, (STATE, 1)),
    "policy sample": (POLICY.sample, (STATE, 1, ACTION)),
    "model": (MODEL.predict, (jnp.stack([STATE] * 3), jnp.stack([ACTION] * 3))),
    "core": (MODEL.core.parallel, (jnp.ones((3, 4)),)),
    "scaling": (POLICY.scaling.encode, (STATE,)),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_methods_go_through_jit_vmap_and_grad_as_they_are(name):
    function, inputs = FUNCTIONS[name]
    plain = function(*inputs)
    assert eqx.tree_equal(jax.jit(function)(*inputs), plain, rtol=1e-5, atol=1e-6)
    # Twice, for the second time finds what the first compiled by its hash.
    assert eqx.tree_equal(jax.jit(function)(*inputs), plain, rtol=1e-5, atol=1e-6)
    first, *rest = inputs
    batched = jax.vmap(lambda first: function(first, *rest))(jnp.stack([first, 2 * first]))
    one = jax.tree.map(lambda leaf: leaf[0], batched)
    assert eqx.tree_equal(one, plain, rtol=1e-5, atol=1e-6)
    slope = jax.grad(lambda first: sum(jnp.sum(x) for x in jax.tree.leaves(function(first, *rest))))
    assert jnp.isfinite(slope(first)).all()


def test_modules_that_are_equal_have_the_same_hash_and_others_are_told_apart():
    again = jax.tree.map(lambda leaf: leaf + 0, POLICY)
    other = jax.tree.map(lambda leaf: leaf + 1, POLICY)
    assert again == POLICY
    assert hash(again) == hash(POLICY)
    assert other != POLICY
    assert not jnp.allclose(jax.jit(other.mode)(STATE, 1), jax.jit(POLICY.mode)(STATE, 1))


def test_methods_of_a_batch_of_policies_are_jitted_inside_vmap():
    pair = jax.tree.map(lambda leaf: jnp.stack([leaf, leaf + 0.1]), POLICY)

    @eqx.filter_vmap
    def act(policy):
        again = jax.jit(policy.mode)
        return jax.jit(policy.mode)(STATE, 1) + 0 * again(STATE, 1)

    actions = act(pair)
    assert jnp.allclose(actions[0], POLICY.mode(STATE, 1), atol=1e-6)
    assert not jnp.allclose(actions[0], actions[1])


@pytest.mark.parametrize("thing", [LINE, REWARD, POLICY, MODEL, beeline.preset("paper")])
def test_what_is_pickled_comes_back_equal(thing):
    assert pickle.loads(pickle.dumps(thing)) == thing


def test_a_run_and_its_evaluation_come_back_equal_and_are_told_from_others(trained, pair):
    copy = pickle.loads(pickle.dumps(trained))
    assert copy == trained
    assert copy != pair
    evaluation = beeline.evaluate(trained)
    assert pickle.loads(pickle.dumps(evaluation)) == evaluation
    assert beeline.evaluate(copy) == evaluation
    assert evaluation.reference.optimum == pickle.loads(pickle.dumps(evaluation.reference.optimum))
    assert isinstance(evaluation.reference.optimum, Optimum)


def test_numbers_of_double_precision_survive_where_it_is_off(trained):
    precise = np.float64(1) / 3
    with jax.enable_x64(True):
        state = trained.state._replace(return_scale=jnp.asarray([precise]))
    changed = type(trained)(**vars(trained) | {"state": state})
    copy = pickle.loads(pickle.dumps(changed))
    assert copy.state.return_scale.dtype == np.float64
    assert np.asarray(copy.state.return_scale) == [precise]


@pytest.mark.parametrize("model", ["sac", "online-dt"])
def test_a_baseline_is_copied_without_its_programs(model):
    config = beeline.preset("default", task="cancer-treatment", horizon=10, model=model)
    from beeline.build import build

    algorithm: object = build(config)
    algorithm._iterate = lambda: None  # As a compiled program, nothing to pickle.
    copy = pickle.loads(pickle.dumps(algorithm))
    assert copy == algorithm
    assert hash(copy) == hash(algorithm)
    assert copy != build(beeline.preset("default", task="harvest", horizon=10, model=model))


@pytest.mark.parametrize(
    "error",
    [
        DivergedError("return", 3, 7, "; kept", advice="do this"),
        Interrupted(3, 9, Path("runs/x"), signal.SIGTERM),
        RunError("this"),
        StorageError("that"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_errors_cross_from_a_process_to_another(error):
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert str(copy) == str(error)
    assert vars(copy) == vars(error)


def _first_action(policy):
    return np.asarray(jax.jit(policy.mode)(jnp.asarray([0.975]), 0))


def _load_and_fail(path):
    run = beeline.load(path)
    if run.summary is None:
        raise DivergedError("return", 0, 1)
    return run


def test_a_spawned_pool_takes_a_policy_and_returns_a_run(trained):
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:
        action = pool.submit(_first_action, trained.policy).result()
        run = pool.submit(functools.partial(_load_and_fail, trained.path)).result()
    assert np.allclose(action, _first_action(trained.policy), atol=1e-6)
    assert eqx.tree_equal(run.state, trained.state)
    assert run.records == trained.records
