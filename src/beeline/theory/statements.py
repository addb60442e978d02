"""Every statement of the paper on small instances: where it holds, is tight, and breaks.

Each function gives labelled checks. Some instances satisfy the hypotheses, some are built to
break them, and some show where the paper's own formula fails. Compute in float64.

References:
    Paper, sections 3 and 4, Appendices A and B.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from beeline.diagnostics.probe import Probe, probe
from beeline.envs import make
from beeline.gradients import Direct, Objective, Unrolled
from beeline.models import (
    ActionsModel,
    DynamicsActionsModel,
    HistoryModel,
    MarkovModel,
    SimulatorModel,
)
from beeline.policies import SquashedGaussian
from beeline.sequence import RNN, SelfAttention, Transformer
from beeline.theory import bounds
from beeline.theory.checks import (
    Check,
    check_corollary_21,
    check_corollary_22,
    check_influence,
    check_summed_slopes,
    check_theorem_1,
    check_theorem_2,
)
from beeline.theory.equalities import check_equal_gradients, check_remark_1
from beeline.theory.instances import Affine, BareCore, EqualSlopes

Checks = dict[str, Check]

_FORMS = (" as stated, influence", ", influence", " as stated", "")


def linear_reward(
    state: Float[Array, " state"], action: Float[Array, " action"], t: Int[Array, ""]
) -> Float[Array, ""]:
    """The first entry of the state: L_r = 1.

    Args:
        state: State before the action.
        action: Not rewarded.
        t: Index of the step.

    Returns:
        The reward.
    """
    del action, t
    return state[0]


def wavy_reward(
    state: Float[Array, " state"], action: Float[Array, " action"], t: Int[Array, ""]
) -> Float[Array, ""]:
    """A nonlinear reward of the state.

    Args:
        state: State before the action.
        action: Not rewarded.
        t: Index of the step.

    Returns:
        The reward.
    """
    del action, t
    return jnp.sum(jnp.sin(state))


def theorem_1(horizon: int, *, key: PRNGKeyArray) -> Checks:
    """History models: the bound, its tightness, and the rate that the paper gives.

    Args:
        horizon: H.
        key: Random key.

    Returns:
        The checks.

    References:
        Paper, Theorem 1 and Appendix A.1.
    """
    action_slope, state_slope = 0.7, 0.5
    worst = _one_dimensional(EqualSlopes(action_slope, state_slope), horizon)
    last = _one_dimensional(EqualSlopes(action_slope, state_slope, memory=False), horizon)
    core_key, model_key, policy_key, noise_key = jax.random.split(key, 4)
    core = SelfAttention(4, key=core_key)
    model = HistoryModel(core, 2, 2, horizon, decoder_sizes=(), key=model_key)
    random = _two_dimensional(model, horizon, policy_key, noise_key)
    gaps = 1.0 + np.arange(horizon - 1)
    stated = bounds.history_influence_as_stated(gaps, action_slope, state_slope)
    markov = bounds.markov_influence(gaps, action_slope, state_slope)
    checks: Checks = {}
    checks["equal slopes, influence"], checks["equal slopes"] = check_theorem_1(worst)
    checks["random history, influence"], checks["random history"] = check_theorem_1(random)
    checks["random history, summed, influence"], checks["random history, summed"] = (
        check_summed_slopes(random)
    )
    checks["last step only, influence"] = check_influence("Markov", last, markov)
    checks["rate as stated, influence"] = check_influence("Theorem 1 as stated", worst, stated)
    checks["slope exceeded, influence"], checks["slope exceeded"] = check_theorem_1(
        worst, action_slope=action_slope, state_slope=0.6 * state_slope
    )
    return checks


def proposition_1(horizons: tuple[int, ...], *, key: PRNGKeyArray) -> Checks:
    """The dynamics as a Markov model and as the cell of an actions model.

    Args:
        horizons: H.
        key: Random key.

    Returns:
        The checks: relative differences of policy gradients.

    References:
        Paper, Proposition 1.
    """
    policy_key, noise_key = jax.random.split(key)
    task = "cancer-treatment"
    env, other = make(task, horizon=max(horizons)), make(task, horizon=max(horizons), delta=0.46)
    policy = _steep(SquashedGaussian(1, 1, env.horizon, hidden_sizes=(4,), key=policy_key))
    given = (
        Objective(env.reward, jnp.ones(()), jnp.zeros(())),
        jnp.array([[0.975], [0.5]]),
        jax.random.normal(noise_key, (2, env.horizon, 1)),
        horizons,
    )
    dynamics, recurrent = SimulatorModel(env), DynamicsActionsModel(env)

    def compare(model, route, true_route):
        models, routes = (model, dynamics), (route, true_route)
        return check_equal_gradients("Proposition 1", policy, models, routes, *given)

    unrolled, full = Unrolled(), Unrolled(through_policy=1.0)
    return {
        "unrolled": compare(recurrent, unrolled, unrolled),
        "direct": compare(recurrent, Direct(), unrolled),
        "another cell": compare(DynamicsActionsModel(other), unrolled, unrolled),
        "no stop-gradient": compare(recurrent, Direct(), full),
    }


def theorem_2(horizon: int, *, key: PRNGKeyArray) -> Checks:
    """Models of actions, and two ways of not being one.

    Args:
        horizon: H.
        key: Random key.

    Returns:
        The checks.

    References:
        Paper, Theorem 2.
    """
    core_key, model_key, policy_key, noise_key = jax.random.split(key, 4)
    core = Transformer(4, 1, 2, mlp_width=6, key=core_key)
    model = ActionsModel(core, 2, 2, horizon, decoder_sizes=(), key=model_key)
    direct = _two_dimensional(model, horizon, policy_key, noise_key)
    fed = MarkovModel(2, 2, horizon, hidden_sizes=(6,), key=model_key)
    circuitous = _two_dimensional(fed, horizon, policy_key, noise_key)
    # Actions that push back harder the further the state is: a loop that the stop-gradient cuts.
    no_noise = jnp.zeros((horizon, 1))
    looped = probe(
        Affine(jnp.array([0.3]), feedback=0.5),
        EqualSlopes(1.0, 1.0, memory=False),
        linear_reward,
        jnp.array([0.1]),
        no_noise,
        through_policy=1.0,
    )
    # All paths of the integrator count for this bound, so that only the loop can exceed it.
    looped = looped._replace(action_slopes=looped.influence)
    return {
        "transformer": check_theorem_2(direct),
        "states fed back": check_theorem_2(circuitous),
        "no stop-gradient": check_theorem_2(looped),
    }


def corollary_21(horizon: int, *, key: PRNGKeyArray) -> Checks:
    """A bare recurrent layer: the bound, its tightness, and steeper activations.

    Args:
        horizon: H.
        key: Random key.

    Returns:
        The checks.

    References:
        Paper, Corollary 2.1 and Appendix A.2.
    """
    core_key, policy_key, noise_key = jax.random.split(key, 3)
    core = _scale_recurrence(RNN(2, (4,), jnp.tanh, key=core_key), 1.2)
    measured = _two_dimensional(BareCore(core), horizon, policy_key, noise_key)
    ripples = RNN(2, (4,), _ripples, key=core_key)
    ripples = eqx.tree_at(lambda c: c.cells[0].inputs.weight, ripples, replace_fn=lambda w: 4 * w)
    unbounded = _two_dimensional(BareCore(ripples), horizon, policy_key, noise_key)
    line = RNN(1, (1,), _identity, key=core_key)
    weights = (jnp.full((1, 1), value) for value in (1.3, 0.7, 0.4))
    line = eqx.tree_at(
        lambda c: (c.cells[0].recurrent, c.cells[0].inputs.weight, c.readout), line, tuple(weights)
    )
    straight = _one_dimensional(BareCore(line), horizon)
    checks: Checks = {}
    for label, episode, layer, slope in (
        ("tanh", measured, core, 1.0),
        ("one dimension", straight, line, 1.0),
        ("slope exceeded", straight, line, 0.8),
        ("unbounded slope", unbounded, ripples, 1.0),
    ):
        both = check_corollary_21(episode, layer, activation_slope=slope)
        checks[f"{label}, influence"], checks[label] = both
    return checks


def corollary_22(horizon: int, *, key: PRNGKeyArray) -> Checks:
    """A bare self-attention layer: the cubic bound, the linear one, and where each breaks.

    Args:
        horizon: H.
        key: Random key.

    Returns:
        The checks, each once against the formula as stated and once against the complete one.

    References:
        Paper, Corollary 2.2.
    """
    core_key, noise_key = jax.random.split(key)
    core = SelfAttention(2, key=core_key)
    random = jax.random.uniform(noise_key, (horizon, 2), minval=-1.0, maxval=1.0)
    even = _attention(jnp.zeros((2, 2)), jnp.zeros((2, 2)), jnp.eye(2))
    constant = jnp.ones((horizon, 2)) / 2
    # Queries along one axis, keys along the other: all scores are zero, but not their slopes.
    signs = (-1.0) ** jnp.arange(horizon)
    crossed = _attention(jnp.array([[0.0, 30.0], [0.0, 0.0]]), jnp.eye(2), jnp.eye(2))
    alternating = jnp.stack([signs, jnp.zeros(horizon)], axis=1)
    growing = alternating * (1.0 + jnp.arange(horizon))[:, None]
    checks: Checks = {}
    for label, layer, actions, radius in (
        ("random", core, random, 2**0.5),
        ("even weights", even, constant, 2**-0.5),
        ("steep scores", crossed, alternating, 1.0),
        ("actions unbounded", crossed, growing, 1.0),
    ):
        measured = probe(
            Affine(jnp.zeros(2)), BareCore(layer), linear_reward, jnp.zeros(2), actions
        )
        four = check_corollary_22(measured, layer, actions, radius=radius)
        for which, check in zip(_FORMS, four, strict=True):
            checks[f"{label}{which}"] = check
    return checks


def remark_1(horizons: tuple[int, ...], *, key: PRNGKeyArray) -> Checks:
    """A recurrent network whose hidden state is the state, with teacher forcing and without.

    Args:
        horizons: Lengths of the episodes.
        key: Random key.

    Returns:
        The checks: relative differences of the gradients of the losses.

    References:
        Paper, Remark 1.
    """
    cell_key, states_key, actions_key = jax.random.split(key, 3)
    length = max(horizons)
    cell = MarkovModel(2, 1, length, hidden_sizes=(6,), key=cell_key)
    states = jax.random.normal(states_key, (3, length + 1, 2))
    actions = jax.random.uniform(actions_key, (3, length, 1), minval=-1.0, maxval=1.0)
    return {
        "forced": check_remark_1(cell, states, actions, horizons),
        "free": check_remark_1(cell, states, actions, horizons, forced=False),
    }


def _one_dimensional(model: EqualSlopes | BareCore, horizon: int) -> Probe:
    no_noise = jnp.zeros((horizon, 1))
    return probe(Affine(jnp.array([0.3])), model, linear_reward, jnp.array([0.1]), no_noise)


def _two_dimensional(
    model: ActionsModel | BareCore | HistoryModel | MarkovModel,
    horizon: int,
    policy_key: PRNGKeyArray,
    noise_key: PRNGKeyArray,
) -> Probe:
    policy = _steep(SquashedGaussian(2, 2, horizon, hidden_sizes=(4,), key=policy_key))
    noise = jax.random.normal(noise_key, (horizon, 2))
    return probe(policy, model, wavy_reward, jnp.array([0.1, -0.2]), noise)


def _steep(policy: SquashedGaussian, factor: float = 60.0) -> SquashedGaussian:
    # A new policy hardly looks at the state, which would leave what passes through it untested.
    last = policy.network.layers[-1].weight
    return eqx.tree_at(lambda p: p.network.layers[-1].weight, policy, factor * last)


def _scale_recurrence(core: RNN, factor: float) -> RNN:
    return eqx.tree_at(lambda c: c.cells[0].recurrent, core, replace_fn=lambda w: factor * w)


def _attention(
    query: Float[Array, "hidden hidden"],
    key: Float[Array, "hidden hidden"],
    value: Float[Array, "hidden hidden"],
) -> SelfAttention:
    layer = SelfAttention(query.shape[0], key=jax.random.key(0))
    weights = jnp.concatenate([query, key, value], axis=1)
    return eqx.tree_at(lambda c: c.query_key_value, layer, weights)


def _identity(x: Float[Array, " hidden"]) -> Float[Array, " hidden"]:
    return x


def _ripples(x: Float[Array, " hidden"]) -> Float[Array, " hidden"]:
    # Bounded, so that nothing overflows, and ever steeper.
    return jnp.sin(x**2)
