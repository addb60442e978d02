"""Exported policies against `policy.mode`, each read by what it is for and nothing of Beeline."""

import json
import re
import zipfile
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import onnx
import onnxruntime
import pytest
from typing_extensions import override

from beeline.envs import Environment, make, names
from beeline.export import ExportError, export_policy, load_numpy
from beeline.networks.layers import MLP
from beeline.networks.modes import Modes
from beeline.networks.scaling import StateScaling
from beeline.online_dt._decision_transformer import DecisionTransformer
from beeline.policies import Policy, SquashedGaussian, Widened
from beeline.sac._actor import Actor
from tests.networks import drawn

HORIZON, BATCH = 20, 5
DOC = (Path(__file__).parents[2] / "docs" / "export.md").read_text(encoding="utf-8")
# The path of a policy by its suffix is the only thing that the examples of the page do not know.
FORMULA, STABLEHLO, ONNX = (
    code
    for code in re.findall(r"```python\n(.*?)```", DOC, flags=re.S)
    if "numpy_policy" not in code
)


def example(code, file, state, t=None):
    """Execute an example of the page, verbatim but for the file and whether time is seen."""
    suffix = {FORMULA: "npz", STABLEHLO: "stablehlo", ONNX: "onnx"}[code]
    code = code.replace(f'"policy.{suffix}"', repr(str(file)))
    if t is None:
        code = code.replace("= act(state, t)", "= act(state)").replace(', "t": t}', "}")
    scope = {"state": state, "t": t}
    exec(code, scope)
    return scope


def by_numpy(file, state, t):
    return load_numpy(file)(state, t)


def by_stablehlo(file, state, t):
    return np.asarray(example(STABLEHLO, file, state, t)["action"])


def by_onnx(file, state, t):
    return example(ONNX, file, state, t)["action"]


RUN = {"numpy": by_numpy, "stablehlo": by_stablehlo, "onnx": by_onnx}


def scaled(policy, size, *, compress, seed=0):
    """Give a policy coordinates that matter, and actions of every size."""
    generator = np.random.default_rng(seed)
    mean = jnp.asarray(generator.normal(size=size), jnp.float32)
    scale = jnp.asarray(np.exp(generator.normal(size=size)), jnp.float32)
    policy = eqx.tree_at(
        lambda p: p.network.layers[-1].weight, policy, replace_fn=lambda w: 30 * np.asarray(w)
    )
    return policy.standardise(StateScaling(mean, scale, compress=compress))


def gaussian(env, *, compress=True, **options):
    drew = drawn(
        SquashedGaussian,
        env.state_dim,
        env.action_dim,
        env.horizon,
        hidden_sizes=(16, 8),
        **options,
    )
    return scaled(drew, env.state_dim, compress=compress)


def visited(policy, count=BATCH):
    """States about where the policy expects them, one of them nearly zero, and steps."""
    generator = np.random.default_rng(1)
    inner = policy.policy if isinstance(policy, Widened) else policy
    states = generator.normal(size=(count, len(inner.scaling.mean)))
    states = np.array(inner.scaling.decode(jnp.asarray(states, jnp.float32)))
    states[0] = 1e-4
    return states, generator.integers(HORIZON, size=count).astype(np.int32)


ROUNDING = {"heat-exchanger": 3e-6}
"""What the policy's inputs add in single precision, where there are many and none is near 0."""


def close(env, given, right):
    """Compare actions in units of their range."""
    ends = jnp.asarray([[-1.0], [1.0]]) * jnp.ones(env.action_dim)
    low, high = np.asarray(env.physical_action(ends))
    assert given.dtype == np.float32
    assert given.shape == right.shape
    np.testing.assert_allclose(
        (given - low) / (high - low),
        (right - low) / (high - low),
        atol=ROUNDING.get(env.name, 1e-6),
    )


def right_actions(env, policy, states, t):
    return np.asarray(jax.jit(lambda s, t: env.physical_action(policy.mode(s, t)))(states, t))


def first_of_each_shape():
    """Tasks by the shapes of states and actions."""
    tasks = [make(name, horizon=HORIZON) for name in reversed(names())]
    return {(env.state_dim, env.action_dim): env.name for env in tasks}.values()


SHAPES = set(first_of_each_shape())


@pytest.mark.parametrize("name", names())
def test_every_form_acts_as_the_policy_does_on_every_task(name, tmp_path):
    env = make(name, horizon=HORIZON)
    policy = gaussian(env, squash="clip", frequencies=4)
    states, t = visited(policy)
    right = right_actions(env, policy, states, t)
    share = (right - right.min()) / np.ptp(right)
    assert np.std(share) > 0.01
    for to in RUN if name in SHAPES else ("numpy", "onnx"):
        file = export_policy(policy, env, tmp_path / to, to=to)
        close(env, RUN[to](file, states, t), right)
    close(env, by_onnx(tmp_path / "onnx", states[:1], t[:1]), right[:1])
    close(env, by_numpy(tmp_path / "numpy", states[1], t[1]), right[1])


@pytest.mark.parametrize("to", RUN)
@pytest.mark.parametrize(
    "options",
    [
        {"squash": "tanh", "frequencies": None, "compress": False},
        {"squash": "clip", "frequencies": 2, "activation": jnp.tanh},
        {"squash": "clip", "frequencies": None, "compress": False, "activation": jax.nn.silu},
        {"squash": "clip", "frequencies": 0, "compress": True},
        {"squash": "tanh", "frequencies": 2, "compress": False},
    ],
)
def test_a_policy_takes_time_only_if_it_sees_it(options, to, tmp_path):
    env = make("cart-pole", horizon=HORIZON)
    policy = Widened(gaussian(env, **options), jnp.asarray(2.0))
    states, t = visited(policy)
    right = right_actions(env, policy, states, t)
    file = export_policy(policy, env, tmp_path / "policy", to=to)
    sees = options["frequencies"] is not None
    close(env, RUN[to](file, states, t if sees else None), right)
    close(env, RUN[to](file, states[:1], t[:1] if sees else None), right[:1])
    assert metadata_of(to, file)["inputs"] == (["state", "t"] if sees else ["state"])


@pytest.mark.parametrize("to", RUN)
@pytest.mark.parametrize("horizon", [HORIZON, None])
def test_the_actor_of_soft_actor_critic_is_exported_too(horizon, to, tmp_path):
    env = make("hiv-treatment", horizon=HORIZON)
    inputs = env.state_dim + (horizon is not None)
    with jax.enable_x64(False):
        actor = Actor(env.state_dim, 1, horizon, hidden_sizes=(8,), key=jax.random.key(0))
        statistics = jnp.linspace(0.3, 0.7, inputs), jnp.linspace(0.2, 0.4, inputs)
        actor = eqx.tree_at(lambda a: (a.mean, a.deviation), actor, statistics)
    states = np.linspace(-1, 9, BATCH * env.state_dim, dtype=np.float32).reshape(BATCH, -1)
    t = np.arange(BATCH, dtype=np.int32) * 4
    file = export_policy(actor, env, tmp_path / "policy", to=to)
    given = RUN[to](file, states, None if horizon is None else t)
    close(env, given, right_actions(env, actor, states, t))


@pytest.mark.parametrize("squash", ["clip", "tanh"])
@pytest.mark.parametrize("frequencies", [None, 3])
@pytest.mark.parametrize("activation", [jax.nn.relu, jax.nn.silu, jnp.tanh])
def test_the_formula_of_the_page_is_the_policy(squash, frequencies, activation, tmp_path):
    env = make("invasive-plant", horizon=HORIZON)
    policy = gaussian(env, squash=squash, frequencies=frequencies, activation=activation)
    states, t = visited(policy)
    file = export_policy(policy, env, tmp_path / "policy.npz")
    act = example(FORMULA, file, None)["act"]
    given = np.stack([act(*one) for one in zip(states, t, strict=True)]).astype(np.float32)
    close(env, given, right_actions(env, policy, states, t))


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("to", RUN)
def test_a_policy_in_double_precision_is_exported_in_single(to, tmp_path):
    env = make("pendulum", horizon=HORIZON)
    policy = gaussian(env)
    policy = jax.tree.map(lambda x: x.astype(float) if eqx.is_inexact_array(x) else x, policy)
    assert policy.scaling.mean.dtype == np.float64
    states, t = visited(policy)
    right = right_actions(env, policy, states.astype(float), t).astype(np.float32)
    file = export_policy(policy, env, tmp_path / "policy", to=to)
    close(env, RUN[to](file, states.astype(np.float32), t), right)


def metadata_of(to, file):
    if to == "numpy":
        return load_numpy(file).metadata
    if to == "onnx":
        (entry,) = onnx.load(file).metadata_props
        assert entry.key == "beeline"
        return json.loads(entry.value)
    with zipfile.ZipFile(file) as archive:
        return json.loads(archive.read("metadata.json"))


@pytest.mark.parametrize("to", RUN)
def test_a_file_says_what_it_is(to, tmp_path):
    env = make("hiv-treatment", horizon=90)
    about = {"seed": 3}
    file = export_policy(gaussian(env), env, tmp_path / "policy", to=to, about=about)
    told = metadata_of(to, file)
    told.pop("formula", None)
    assert re.fullmatch(r"\d+\.\d+\.\d+", told.pop("beeline"))
    assert told.pop("dt") == pytest.approx(env.dt)
    names, units = env.state_names, env.state_units
    assert told == {
        "format": "beeline-policy",
        "schema": 2,
        "task": "hiv-treatment",
        "horizon": 90,
        "time_unit": env.time_unit,
        "inputs": ["state", "t"],
        "state": [{"name": n, "unit": u} for n, u in zip(names, units, strict=True)],
        "action": [
            {"name": env.action_names[0], "unit": env.action_units[0], "low": 0.0, "high": 1.0}
        ],
        "seed": 3,
    }


@pytest.mark.parametrize("to", RUN)
def test_the_same_policy_gives_the_same_bytes(to, tmp_path):
    env = make("pendulum", horizon=HORIZON)
    first, second = (
        export_policy(gaussian(env), env, tmp_path / name, to=to).read_bytes() for name in "ab"
    )
    assert first == second


class Constant(Policy):
    """A policy of the user's own."""

    value: jax.Array

    @override
    def sample(self, state, t, noise, width=1.0):
        return self.mode(state, t), jnp.zeros(state.shape[:-1])

    @override
    def mode(self, state, t):
        return jnp.tanh(self.value * state[..., :1])


def test_a_policy_of_ones_own_goes_to_stablehlo_alone(tmp_path):
    env = make("pendulum", horizon=HORIZON)
    policy, states = Constant(jnp.asarray(0.5)), np.ones((BATCH, 3), np.float32)
    file = export_policy(policy, env, tmp_path / "policy", to="stablehlo")
    close(
        env, by_stablehlo(file, states, None), right_actions(env, policy, states, np.zeros(BATCH))
    )
    for to in ("numpy", "onnx"):
        with pytest.raises(ExportError, match=r"no formula of a Constant: .*--to stablehlo"):
            export_policy(policy, env, tmp_path / to, to=to)
        assert not (tmp_path / to).exists()


class Curved(Environment):
    """A task whose physical actions are no scaling of its own."""

    name, state_dim, action_dim, horizon, dt = "curved", 2, 1, HORIZON, 1.0

    @override
    def initial_state(self, *, key=None):
        return jnp.zeros(2)

    @override
    def step(self, state, action, t, *, key=None):
        return state

    @override
    def reward(self, state, action, t):
        return state[0]

    @override
    def physical_action(self, action):
        return action**3


def test_what_is_no_formula_is_refused_not_written_wrong(tmp_path):
    env, pendulum = Curved(), make("pendulum", horizon=HORIZON)
    policy = gaussian(env)
    with pytest.raises(ExportError, match="`physical_action` is no scaling"):
        export_policy(policy, env, tmp_path / "policy")
    states, t = visited(policy)
    file = export_policy(policy, env, tmp_path / "policy", to="stablehlo")
    close(env, by_stablehlo(file, states, t), right_actions(env, policy, states, t))

    policy = gaussian(pendulum)
    network = MLP((3 + 1, 4, 2), jax.nn.gelu, key=jax.random.key(0))
    other = eqx.tree_at(lambda p: p.network, policy, network)
    with pytest.raises(ExportError, match="activation is none of relu, silu, tanh"):
        export_policy(other, pendulum, tmp_path / "other")
    nan = eqx.tree_at(lambda p: p.scaling.mean, policy, jnp.full(3, jnp.nan))
    with pytest.raises(ExportError, match="mean is not finite"):
        export_policy(nan, pendulum, tmp_path / "other")


@pytest.mark.parametrize("to", RUN)
def test_fields_are_seen_by_their_modes(to, tmp_path):
    env = make("reaction-diffusion", horizon=HORIZON, cells=40)
    fields = np.random.default_rng(2).normal(size=(60, 6)) @ np.random.default_rng(3).normal(
        size=(6, 40)
    )
    states = jnp.asarray(fields, jnp.float32)
    scaling = StateScaling.fit(states, modes=Modes.fit(states, 5))
    drew = SquashedGaussian(
        40, env.action_dim, HORIZON, hidden_sizes=(8,), scaling=scaling, key=jax.random.key(0)
    )
    policy = eqx.tree_at(
        lambda p: p.network.layers[-1].weight, drew, replace_fn=lambda w: 30 * np.asarray(w)
    )
    assert policy.scaling.width == 5
    file = export_policy(policy, env, tmp_path / "policy", to=to)
    times = np.arange(len(states), dtype=np.int32) % HORIZON
    given = policy.frequencies is not None
    answered = RUN[to](file, np.asarray(states[:BATCH]), times[:BATCH] if given else None)
    right = right_actions(env, policy, states[:BATCH], times[:BATCH])
    assert np.ptp(right, axis=0).min() > 0.1
    close(env, answered, right)


def test_coordinates_that_no_formula_has_are_refused(tmp_path, monkeypatch):
    from beeline.export import _formula

    env = make("pendulum", horizon=HORIZON)
    # As if there were one more kind of coordinates than the formula knows.
    monkeypatch.setattr(_formula, "_COORDINATES", {"mean", "scale", "bounded"})
    with pytest.raises(ExportError, match="coordinates with 'compress', which no formula has"):
        export_policy(gaussian(env), env, tmp_path / "policy")


def test_the_decision_transformer_is_refused(tmp_path):
    env = make("pendulum", horizon=HORIZON)
    sizes = {"width": 8, "layers": 1, "heads": 1, "context": 4}
    policy = eqx.filter_eval_shape(
        lambda key: DecisionTransformer(3, 1, HORIZON, **sizes, key=key), jax.random.key(0)
    )
    with pytest.raises(ExportError, match="acts on the episode so far"):
        export_policy(policy, env, tmp_path / "policy")


def test_without_the_package_onnx_the_extra_is_named(tmp_path, monkeypatch):
    import sys

    env = make("pendulum", horizon=HORIZON)
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ExportError, match=r"pip install 'beeline\[export\]'"):
        export_policy(gaussian(env), env, tmp_path / "policy", to="onnx")


def test_onnx_keeps_to_operators_of_its_opset(tmp_path):
    env = make("pendulum", horizon=HORIZON)
    model = onnx.load(export_policy(gaussian(env), env, tmp_path / "policy", to="onnx"))
    assert (model.opset_import[0].version, model.ir_version) == (17, 8)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    (output,) = session.get_outputs()
    assert (output.name, output.shape) == ("action", ["batch", 1])
