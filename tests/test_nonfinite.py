"""Injected faults: each is named, and stops the run, is left out, or is recovered from."""

import dataclasses
from types import SimpleNamespace
from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array

import beeline
from beeline.build import build, build_bpo, build_model, build_policy
from beeline.config import Config, Exploration, Fitting, Improvement, Model, Policy
from beeline.control import Optimum
from beeline.envs import Environment
from beeline.run import DivergedError
from beeline.run import _training as training
from beeline.run._reference import Reference
from beeline.run._remedies import recover
from beeline.training import BPOState, Record, side_by_side
from beeline.training._fault_names import fault_of_warmup, faults_of_iteration
from beeline.training._tally import Skipped
from beeline.training.algorithm import Fault
from beeline.training.faults import Faults, finite_leaves
from beeline.training.side_by_side import Programs

HORIZON = 4
CONFIG = Config(
    task="cancer-treatment",
    horizon=HORIZON,
    model="markov",
    seed=3,
    seeds=2,
    env_steps=7 * HORIZON,
    world_model=Model(hidden=(4,), frequencies=1),
    policy=Policy(hidden=(4,), frequencies=1),
    fitting=Fitting(batch_size=2, env_steps_per_update=2.0),
    improvement=Improvement(batch_size=2, env_steps_per_update=2.0),
    exploration=Exploration(warmup_steps=2 * HORIZON, fit_warmup=False),
)


@final
class Fragile(Environment):
    """A point that follows its action, and breaks where it is told to."""

    ceiling: Array
    """States above it have no next state."""
    reward_at: Array
    """Step whose reward is infinite."""
    gain: Array
    """Slope of the reward, whose value stays finite, as that of a rollout that explodes."""
    horizon: int = eqx.field(static=True)
    name = "fragile"
    state_dim = 1
    action_dim = 1
    dt = 0.1

    def initial_state(self, *, key=None):
        del key
        return jnp.full(1, 0.5)

    def step(self, state, action, t, *, key=None):
        del t, key
        return jnp.where(state > self.ceiling, jnp.nan, 0.9 * state + 0.1 * action)

    def reward(self, state, action, t):
        reward = -((state[0] - action[0]) ** 2) + 100 * jnp.sin(self.gain * state[0])
        return jnp.where(t == self.reward_at, jnp.inf, reward)


def algorithm(ceiling=np.inf, reward_at=-1, gain=0.0):
    env = Fragile(jnp.asarray(ceiling), jnp.asarray(reward_at), jnp.asarray(gain), HORIZON)
    return build_bpo(CONFIG, env)


@eqx.filter_jit
def start(algorithm):
    def one(seed):
        model_key, policy_key, key = jax.random.split(jax.random.key(seed), 3)
        model = build_model(CONFIG, algorithm.env, key=model_key)
        return algorithm.init(model, build_policy(CONFIG, algorithm.env, key=policy_key), key=key)

    return eqx.filter_vmap(one)(jnp.arange(2))


@eqx.filter_jit
def iterate(algorithm, state, index):
    return eqx.filter_vmap(lambda one: algorithm.iterate(one, index))(state)


@pytest.fixture(scope="module", autouse=True)
def compiled():
    begun = start(algorithm())
    return SimpleNamespace(start=begun, after=iterate(algorithm(), begun, jnp.asarray(0)))


@pytest.fixture
def train(compiled, monkeypatch):
    """Train, with another algorithm in some iterations."""

    def run(faulty, nonfinite="stop", out=None, at=(2,)):
        states = [compiled.start]

        def step(state, index):
            chosen = faulty if index in at else algorithm()
            after, record, faults = iterate(chosen, state, jnp.asarray(index))
            states.append(after)
            return after, *jax.device_get((record, faults))

        programs = Programs(lambda: compiled.start, step)
        monkeypatch.setattr(side_by_side, "compile_programs", lambda *_: programs)
        optimum = Optimum(np.zeros((HORIZON, 1)), np.zeros((HORIZON + 1, 1)), 1.0, np.ones(1))
        monkeypatch.setattr(
            training.Reference, "of", lambda env, kind: Reference(optimum, 1.0, 0.0)
        )
        config = dataclasses.replace(CONFIG, nonfinite=nonfinite)
        return beeline.train(config=config, out=out), states

    return run


def weights(state):
    return eqx.filter((state.model, state.policy), eqx.is_array)


def found_in(record, faults, state):
    return faults_of_iteration(algorithm().learners, record, faults, state)


def moments(state):
    return [state.learners[name].optimiser for name in ("model", "policy")]


def same(a, b):
    return all(map(np.array_equal, *map(jax.tree.leaves, (a, b))))


FAULTS: dict[str, dict[str, float]] = {
    "state entry 0 at step 1 of the collected episode": {"ceiling": -np.inf},
    "the reward at step 2 of the collected episode": {"reward_at": 2},
    "the gradient of network.layers.0.weight in policy update 1 of 2": {"gain": 3e38},
}


@pytest.mark.parametrize("quantity", FAULTS)
def test_a_fault_stops_the_run_with_its_name_and_the_state_before(train, tmp_path, quantity):
    with pytest.raises(DivergedError) as stopped:
        train(algorithm(**FAULTS[quantity]), out=tmp_path / "run")
    error = stopped.value
    assert (error.quantity, error.seed, error.iteration) == (quantity, 3, 3)
    kept = beeline.load(tmp_path / "run")
    assert len(kept.records) == 2
    assert np.asarray(kept.state.buffer.count).tolist() == [4, 4]
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(weights(kept.state)))


@pytest.mark.parametrize("quantity", FAULTS)
def test_a_fault_is_left_out_and_counted(train, caplog, quantity, tmp_path):
    run, states = train(algorithm(**FAULTS[quantity]), "skip", out=tmp_path / "run")
    assert same(beeline.load(tmp_path / "run").state.buffer, run.state.buffer)
    before, after = states[2], states[3]
    skipped = [row["skipped_updates"] for row in run.records]
    discarded = [row["discarded_episodes"] for row in run.records]
    in_episode = "episode" in quantity
    assert discarded == [[int(in_episode and i == 2)] * 2 for i in range(5)]
    assert np.asarray(run.state.buffer.count).tolist() == [7 - in_episode] * 2
    # An infinite reward and an infinite slope make every imagined update unusable.
    unusable = 2 if quantity.startswith("the") else 0
    assert skipped == [[unusable if i == 2 else 0] * 2 for i in range(5)]
    assert run.summary["skipped_updates"] == [unusable] * 2
    (model, policy), (model_after, policy_after) = moments(before), moments(after)
    assert same(policy, policy_after) == bool(unusable)
    assert not same(model, model_after)
    assert all(np.isfinite(x).all() for x in jax.tree.leaves((run.state.buffer, moments(after))))
    told = [record.getMessage() for record in caplog.records]
    assert told == [
        f"{quantity} of seed {s} is not finite in iteration 3: left out" for s in (3, 4)
    ]


def test_a_fault_is_recovered_from_at_half_the_rate(train):
    run, states = train(algorithm(gain=3e38), "restore", at=(1, 2))
    assert np.asarray(run.state.rate).tolist() == [0.25, 0.25]
    rates = [row["rate"] for row in run.records]
    assert rates == [[1.0, 1.0], [1.0, 1.0], [0.5, 0.5], *[[0.25, 0.25]] * (len(rates) - 3)]
    assert not same(weights(states[1]), weights(states[2]))
    expected = iterate(
        algorithm(),
        states[2]._replace(learners=states[1].learners, rate=0.5 * states[2].rate),
        jnp.asarray(2),
    )[0]
    assert same(expected.model, states[3].model)
    assert np.isfinite([row["return"] for row in run.records]).all()


def test_a_gradient_whose_norm_alone_overflows_is_followed(compiled):
    state = compiled.start
    after, record, faults = iterate(algorithm(gain=1e30), state, jnp.asarray(0))
    assert np.asarray(record.skipped_updates).tolist() == [0, 0]
    assert np.all(np.asarray(record.policy_gradient_norm) > 1e20)
    assert np.asarray(record.policy_clip_fraction).tolist() == [1.0, 1.0]
    assert list(found_in(record, faults, after)) == []
    assert not same(state.policy, after.policy)


def test_only_the_seed_at_fault_is_restored(compiled):
    before, after = compiled.start, compiled.after[0]
    config = dataclasses.replace(CONFIG, nonfinite="restore")
    held = recover(config, before, after, [Fault("return", 1)], iteration=1)
    assert np.asarray(held.rate).tolist() == [1.0, 0.5]
    for seed, source in enumerate((after, before)):
        ours, theirs = (
            jax.tree.map(lambda x, seed=seed: x[seed], (weights(s), moments(s)))
            for s in (held, source)
        )
        assert same(ours, theirs)
    assert same(held.buffer, after.buffer)
    tired = before._replace(rate=jnp.asarray([1.0, 2.0**-10]))
    recover(config, tired, after, [Fault("return", 0)], iteration=1)
    with pytest.raises(DivergedError, match=r"of seed 4 .* halved 10 times already"):
        recover(config, tired, after, [Fault("return", 1)], iteration=1)


def test_weights_that_are_not_finite_are_put_back_when_skipping(compiled):
    config = dataclasses.replace(CONFIG, nonfinite="skip")
    fault = Fault("model weights", 0, in_weights=True)
    held = recover(config, compiled.start, compiled.after[0], [fault], iteration=1)
    first = [jax.tree.map(lambda x: x[0], weights(s)) for s in (held, compiled.start)]
    assert same(*first)


@pytest.fixture(scope="module")
def everything():
    """A state of two seeds with every part that there is, in which nothing was computed."""
    config = dataclasses.replace(
        CONFIG,
        model="ssm-awm",
        reward="learned",
        world_model=Model(width=4, layers=1, heads=1, frequencies=1, hidden=(4,)),
        fitting=dataclasses.replace(CONFIG.fitting, imagined=0.5),
    )
    shapes = build(config).skeleton()

    def fill(value):
        def filled(x):
            if jnp.issubdtype(x.dtype, jax.dtypes.prng_key):
                return jax.random.split(jax.random.key(value), x.shape)
            return jnp.full(x.shape, value, x.dtype)

        return jax.tree.map(lambda x: filled(x) if hasattr(x, "dtype") else x, shapes)

    return config, fill(1), fill(2)


def by_name(state):
    leaves = jax.tree_util.tree_leaves_with_path(eqx.filter(state, eqx.is_array))
    return {jax.tree_util.keystr(path, simple=True, separator="."): leaf for path, leaf in leaves}


SEEN = ("buffer.", "rate", "key")


@pytest.mark.parametrize("nonfinite", ["skip", "restore"])
def test_every_part_that_learns_is_put_back(everything, nonfinite):
    config, before, after = everything
    config = dataclasses.replace(config, nonfinite=nonfinite)
    held = recover(config, before, after, [Fault("it", 1, in_weights=True)], iteration=1)
    names = by_name(held)
    assert {name.split(".")[0] for name in names} == set(BPOState._fields)
    for name, leaf in names.items():
        if not name.startswith(SEEN):
            assert np.unique(leaf[0]).tolist() == [2], name
            assert np.unique(leaf[1]).tolist() == [1], name
    assert same(held.buffer, after.buffer)
    assert np.asarray(held.rate).tolist() == [2.0, 2.0 if nonfinite == "skip" else 1.0]


def test_a_number_that_is_not_finite_in_any_part_is_found_and_named(everything):
    sound = eqx.tree_at(lambda state: state.key, everything[2], None)
    sound = jax.device_get(sound)
    names = [name for name, leaf in by_name(sound).items() if eqx.is_inexact_array(leaf)]
    names = [name for name in names if not name.startswith(SEEN)]
    assert len(names) > 40
    learners = build(everything[0]).bpo.learners
    skipped = {learner.name: none_skipped() for learner in learners}
    nothing = np.asarray([-1, -1])
    look = eqx.filter_jit(eqx.filter_vmap(lambda one: finite_leaves(one.learned)))
    record = Record(*([np.ones(2)] * len(Record._fields)))
    for name in names:
        leaves, structure = jax.tree.flatten(eqx.filter(sound, eqx.is_array))
        place = list(by_name(sound)).index(name)
        leaves[place] = np.array(leaves[place])
        leaves[place].reshape(2, -1)[1, 0] = np.inf
        state = eqx.combine(jax.tree.unflatten(structure, leaves), sound)
        faults = Faults(nothing, skipped, np.asarray(look(state)), nothing)
        (fault,) = faults_of_iteration(learners, record, faults, state)
        assert (fault.quantity, fault.position, fault.in_weights) == (plainly(name), 1, True)
    assert fault_of_warmup(state, 2).quantity == plainly(names[-1])


def plainly(name):
    part, _, rest = name.removeprefix("learners.").partition(".")
    kind, _, leaf = rest.partition(".")
    return {"weights": f"{part}.{leaf}", "optimiser": f"{part}_optimiser.{leaf}"}.get(kind, name)


def none_skipped():
    none = np.asarray([-1, -1])
    return Skipped(none, np.ones((2, 2)), none, np.ones(2, int))


def with_model(faults, **changes):
    return faults.skipped | {"model": faults.skipped["model"]._replace(**changes)}


def test_weights_are_put_back_though_something_else_is_named_first(compiled):
    """Updates of the world model fail on what broken weights of the one-step model imagine."""
    after, record, faults = jax.device_get(compiled.after)
    broken = faults._replace(
        skipped=with_model(faults, update=np.asarray([-1, 0])),
        weights=faults.weights & (np.asarray([[True], [False]])),
    )
    (fault,) = found_in(record, broken, after)
    assert "model update 1 of 2" in fault.quantity
    assert fault.in_weights
    config = dataclasses.replace(CONFIG, nonfinite="skip")
    held = recover(config, compiled.start, compiled.after[0], [fault], iteration=1)
    second = [jax.tree.map(lambda x: x[1], weights(s)) for s in (held, compiled.start)]
    assert same(*second)


def test_the_first_quantity_is_named(compiled):
    after, record, faults = jax.device_get(compiled.after)

    def named(record, faults):
        found = found_in(record, faults, after)
        return [(fault.quantity, fault.position) for fault in found]

    nan = np.asarray([1.0, np.nan])
    late = faults._replace(evaluated=np.asarray([4, -1]))
    early = late._replace(collected=np.asarray([-1, 5]))
    assert named(record, faults) == []
    assert named(record._replace(return_=nan), faults) == [("return", 1)]
    assert named(record._replace(return_=nan, fresh_error=nan), faults) == [("fresh_error", 1)]
    evaluated = ("action entry 0 at step 1 of the evaluation episode", 0)
    assert named(record, late) == [evaluated]
    assert named(record._replace(fresh_error=nan), early) == [
        evaluated,
        ("the reward at step 1 of the collected episode", 1),
    ]
    broken = late._replace(weights=late.weights & (np.arange(late.weights.shape[1]) != 2))
    assert [name for name, _ in named(record, broken)] == [f"model.{LEAVES[2]}"] * 2


LEAVES = (
    "network.layers.0.weight",
    "network.layers.0.bias",
    "network.layers.1.weight",
    "network.layers.1.bias",
    "scaling.mean",
    "scaling.scale",
    "change",
)


def test_the_layer_of_a_bad_gradient_is_named(compiled):
    after, record, faults = jax.device_get(compiled.after)
    sizes = [x[0].size for x in jax.tree.leaves(eqx.filter(after.model, eqx.is_array))]
    assert len(sizes) == len(LEAVES)
    for entry, leaf in enumerate(np.repeat(LEAVES, sizes).tolist()):
        skipped = with_model(
            faults,
            update=np.asarray([-1, 1]),
            values=np.ones((2, 2)),
            bad_entry=np.asarray([-1, entry]),
        )
        (fault,) = found_in(record, faults._replace(skipped=skipped), after)
        assert fault.quantity == f"the gradient of {leaf} in model update 2 of 2"
        assert fault.position == 1
    lost = faults._replace(skipped=skipped)
    lost = lost._replace(skipped=with_model(lost, values=np.full((2, 2), np.nan)))
    (fault,) = found_in(record, lost, after)
    assert fault.quantity == "the loss in model update 2 of 2"


@pytest.mark.parametrize(("part", "entry"), [("states", "state"), ("rewards", "the reward")])
def test_the_warmup_is_checked_too(compiled, train, part, entry):
    values = getattr(compiled.start.buffer, part)
    broken = eqx.tree_at(
        lambda s: getattr(s.buffer, part), compiled.start, values.at[1, 1, 2].set(jnp.nan)
    )
    fault = fault_of_warmup(broken, 2)
    assert fault.quantity.startswith(entry)
    assert fault.quantity.endswith("at step 2 of warm-up episode 2")
    assert fault.position == 1
    compiled.start, good = broken, compiled.start
    try:
        with pytest.raises(DivergedError, match="of seed 4 is not finite in iteration 0: try"):
            train(algorithm())
    finally:
        compiled.start = good


def test_the_model_is_measured_on_old_episodes_as_on_the_fresh_one(compiled):
    state, (after, record, _) = compiled.start, compiled.after
    for seed in range(2):
        model = jax.tree.map(lambda x, seed=seed: x[seed] if eqx.is_array(x) else x, state.model)

        def error(episode, model=model, seed=seed):
            states = after.buffer.states[seed, episode]
            predicted = model.predict(states[:-1], after.buffer.actions[seed, episode])
            return np.sqrt(
                np.mean((model.scaling.encode(predicted) - model.scaling.encode(states[1:])) ** 2)
            )

        # Two old episodes, each measured twice.
        expected = np.sqrt((error(0) ** 2 + error(1) ** 2) / 2)
        assert float(record.replayed_error[seed]) == pytest.approx(expected, rel=1e-4)
        assert float(record.fresh_error[seed]) == pytest.approx(error(2), rel=1e-4)
    gap = np.asarray(record.imagined_return - record.return_)
    np.testing.assert_array_equal(record.imagined_minus_real_return, gap)
