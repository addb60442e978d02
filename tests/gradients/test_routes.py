"""Both routes, against each other, finite differences and loops written by hand."""

from functools import partial

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

from beeline.compute import microbatch as _microbatch
from beeline.gradients import Direct, Objective, Unrolled, draw_noise
from beeline.gradients._rollout import scale_gradient
from beeline.models import ActionsModel, MarkovModel
from beeline.networks.scaling import StateScaling
from beeline.policies import SquashedGaussian
from beeline.sequence import Transformer
from tests.networks import drawn, normal

STATE, ACTION = 2, 1


def reward(state, action, t):
    return jnp.sin(state).sum() - 0.3 * jnp.sum(action**2) + 0.1 * state[0] * jnp.cos(0.3 * t)


def reward_ahead(state, action, t, next_state):
    return reward(next_state, action, t) + 0.3 * jnp.tanh(state[1] - next_state[0])


def make_policy(horizon, squash="tanh"):
    policy = drawn(SquashedGaussian, STATE, ACTION, horizon, hidden_sizes=(5,), squash=squash)
    # A new policy hardly looks at the state, and nothing about its input would be tested.
    return eqx.tree_at(lambda p: p.network.layers[-1].weight, policy, replace_fn=lambda w: 60 * w)


def actions_model(horizon, *, key):
    core_key, key = jax.random.split(key)
    core = Transformer(6, 1, 2, mlp_width=8, key=core_key)
    scaling = StateScaling(jnp.array([0.5, -0.2]), jnp.array([1.5, 0.7]), compress=True)
    return ActionsModel(core, STATE, ACTION, horizon, decoder_sizes=(6,), scaling=scaling, key=key)


def make_actions_model(horizon):
    return drawn(actions_model, horizon, seed=1)


def make_markov_model(horizon):
    return drawn(MarkovModel, STATE, ACTION, horizon, hidden_sizes=(6,), seed=3)


def make_problem(make_model, horizon, batch, reward=reward):
    objective = Objective(reward, jnp.array(3.0), jnp.array(0.1))
    initial, noise = normal(batch, STATE, seed=4), normal(batch, horizon, ACTION, seed=5)
    return make_policy(horizon), make_model(horizon), objective, initial, noise


def evaluate(route, *problem):
    return eqx.filter_jit(route)(*problem)


def difference(a, b):
    a, b = (np.concatenate([np.ravel(x) for x in jax.tree.leaves(tree)]) for tree in (a, b))
    return np.linalg.norm(a - b) / np.linalg.norm(b)


def assert_same(horizon, batch, tolerance, reward=reward):
    problem = make_problem(make_actions_model, horizon, batch, reward)
    (direct, imagined), direct_slope = evaluate(Direct(), *problem)
    (unrolled, unrolled_imagined), unrolled_slope = evaluate(Unrolled(), *problem)
    assert difference(direct_slope, unrolled_slope) < tolerance
    assert difference(direct, unrolled) < tolerance
    assert difference(imagined, unrolled_imagined) < tolerance
    assert imagined.states.shape == (batch, horizon, STATE)


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize(
    ("horizon", "batch"),
    [
        (2, 1),
        (20, 16),
        (300, 3),
        pytest.param(65, 3, marks=pytest.mark.slow),
        pytest.param(130, 16, marks=pytest.mark.slow),
    ],
)
def test_direct_equals_unrolled(horizon, batch):
    assert_same(horizon, batch, 1e-10)


@pytest.mark.usefixtures("float64")
def test_direct_equals_unrolled_with_a_reward_of_the_next_state():
    assert_same(20, 4, 1e-10, reward_ahead)


@pytest.mark.usefixtures("optimised")
def test_direct_equals_unrolled_in_single_precision():
    assert_same(65, 3, 2e-5)


@pytest.mark.usefixtures("float64")
def test_direct_equals_unrolled_with_actions_at_the_edges():
    _, *rest = make_problem(make_actions_model, 8, 4)
    policy = make_policy(8, squash="clip")
    (value, imagined), gradient = evaluate(Direct(), policy, *rest)
    (expected, _), unrolled = evaluate(Unrolled(), policy, *rest)
    assert 0.2 < np.mean(np.abs(imagined.actions) == 1) < 1
    assert abs(value - expected) < 1e-12
    assert difference(gradient, unrolled) < 1e-10


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("most_tokens", [1, 45])
def test_direct_equals_unrolled_in_groups(monkeypatch, most_tokens):
    monkeypatch.setattr(_microbatch, "_CPU_TOKENS", most_tokens)
    assert _microbatch.group_size(6, 20) == {1: 1, 45: 2}[most_tokens]
    assert_same(20, 6, 1e-10)


def test_direct_refuses_a_model_that_feeds_states_back():
    problem = make_problem(make_markov_model, 3, 2)
    with pytest.raises(ValueError, match=r"MarkovModel feeds predicted states back in.*Unrolled"):
        Direct()(*problem)


def test_a_reward_of_the_next_state_needs_the_last_one():
    objective = make_problem(make_actions_model, 3, 2, reward_ahead)[2]
    with pytest.raises(ValueError, match="takes the next state: give the state after the last"):
        objective(jnp.zeros((2, 3, STATE)), jnp.zeros((2, 3, ACTION)), jnp.zeros((2, 3)))


@pytest.mark.parametrize("share", [-0.1, 1.5, float("nan")])
@pytest.mark.parametrize("name", ["through_policy", "through_states"])
def test_shares_lie_between_zero_and_one(name, share):
    with pytest.raises(ValueError, match=rf"{name} is {share}.*from 0 to 1"):
        Unrolled(**{name: share})


def perturbed(policy, step):
    """The policy with every weight of its network moved along one fixed random direction."""
    flat, unflatten = ravel_pytree(policy.network)
    way = normal(*flat.shape, seed=6)
    return eqx.tree_at(lambda p: p.network, policy, unflatten(flat + step * way)), way


def along(slope, way):
    return float(ravel_pytree(slope.network)[0] @ way)


def slope_by_differences(value, policy, step=1e-6):
    """Central differences with one Richardson step: an error of the fourth order."""

    def central(step):
        ahead, behind = perturbed(policy, step)[0], perturbed(policy, -step)[0]
        return float(value(ahead) - value(behind)) / (2 * step)

    return (4 * central(step) - central(2 * step)) / 3, perturbed(policy, step)[1]


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize(
    ("make_model", "reward"),
    [
        (make_actions_model, reward),
        (make_markov_model, reward),
        (make_markov_model, reward_ahead),
    ],
)
def test_full_shares_give_the_total_derivative(make_model, reward):
    policy, *rest = make_problem(make_model, 12, 3, reward)
    route = eqx.filter_jit(Unrolled(through_policy=1.0))
    slope = route(policy, *rest)[1]
    expected, way = slope_by_differences(lambda policy: route(policy, *rest)[0][0], policy)
    assert along(slope, way) == pytest.approx(expected, rel=1e-7)


def by_hand(
    policy, frozen, model, objective, initial, noise, *, fed_back_frozen=False, ahead=False
):
    """The objective, one step at a time, with the policy shown only states held fixed."""
    returns, entropies = [], []
    for b in range(noise.shape[0]):
        state, carry, total = initial[b], model.start(initial[b], noise.shape[1]), 0.0
        for t in range(noise.shape[1]):
            shown = state if frozen is None else frozen[b, t]
            action, entropy = policy.sample(shown, jnp.array(t), noise[b, t])
            entropies.append(entropy)
            given = frozen[b, t] if fed_back_frozen else state
            carry, after = model.step(carry, given, action, jnp.array(t))
            step = (state, action, jnp.array(t))
            total += reward_ahead(*step, after) if ahead else reward(*step)
            state = after
        returns.append(total)
    returns, entropies = jnp.stack(returns), jnp.stack(entropies)
    scale, weight = objective.return_scale, objective.entropy_weight
    return returns.mean() / scale + weight * entropies.mean(), returns


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize(
    ("make_model", "ahead"),
    [(make_actions_model, False), (make_markov_model, False), (make_markov_model, True)],
)
def test_no_share_through_the_policy_holds_visited_states_still(make_model, ahead):
    policy, *rest = make_problem(make_model, 5, 2, reward_ahead if ahead else reward)
    (value, imagined), slope = evaluate(Unrolled(through_policy=0.0), policy, *rest)
    hand = eqx.filter_jit(partial(by_hand, ahead=ahead))
    np.testing.assert_allclose(value, hand(policy, None, *rest)[0], rtol=1e-12)
    np.testing.assert_allclose(imagined.return_, hand(policy, None, *rest)[1], rtol=1e-12)
    expected, way = slope_by_differences(
        lambda policy: hand(policy, imagined.states, *rest)[0], policy
    )
    assert along(slope, way) == pytest.approx(expected, rel=1e-7)


@pytest.mark.usefixtures("float64")
def test_no_share_through_fed_back_states_holds_them_still_too():
    policy, *rest = make_problem(make_markov_model, 5, 2)
    route = Unrolled(through_policy=0.0, through_states=0.0)
    (_, imagined), slope = evaluate(route, policy, *rest)
    hand = eqx.filter_jit(by_hand)
    expected, way = slope_by_differences(
        lambda policy: hand(policy, imagined.states, *rest, fed_back_frozen=True)[0], policy
    )
    assert along(slope, way) == pytest.approx(expected, rel=1e-7)


@pytest.mark.parametrize("share", [0.0, 0.25, 1.0])
def test_scale_gradient_leaves_the_value(share):
    value, slope = jax.value_and_grad(lambda x: scale_gradient(x, share) ** 2)(jnp.array(3.0))
    assert value == 9
    assert slope == 6 * share


@pytest.mark.parametrize("batch", [1, 2, 5])
def test_noise_comes_in_antithetic_pairs(batch):
    noise = draw_noise(batch, 4, 3, key=jax.random.key(0))
    half = -(-batch // 2)
    assert noise.shape == (batch, 4, 3)
    np.testing.assert_array_equal(noise[half:], -noise[: batch - half])
    assert noise.any(axis=(1, 2)).all()
