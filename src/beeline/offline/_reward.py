"""The reward of logged data: a function that is given, or a model of the rewards logged."""

import inspect
from collections.abc import Callable
from typing import Any, final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int, PRNGKeyArray

from beeline._module import Module
from beeline.models import RewardModel
from beeline.networks.scaling import StateScaling
from beeline.offline._rows import Rows
from beeline.training import Buffer, Context, Optimiser, RewardFitting

_BATCH_STEPS = 512
_STAGES = (0.0, 0.5, 1.0)
"""How far the learning rate is along its cosine, one third of the updates each."""


@final
class LearnedReward(Module):
    """A model of the rewards logged, of actions between their bounds."""

    model: RewardModel
    low: tuple[float, ...] = eqx.field(static=True)
    high: tuple[float, ...] = eqx.field(static=True)

    def __call__(
        self, state: Float[Array, " state"], action: Float[Array, " action"], t: Int[ArrayLike, ""]
    ) -> Float[Array, ""]:
        """Predict the reward of one step.

        Args:
            state: State before the action.
            action: Action between the bounds.
            t: Index of the step, which it does not depend on.

        Returns:
            The reward.
        """
        return self.model(state, boxed(action, self.low, self.high), t)


def boxed(
    action: Float[Array, " action"], low: tuple[float, ...], high: tuple[float, ...]
) -> Float[Array, " action"]:
    """Map an action from between its bounds to [-1, 1].

    Args:
        action: The action.
        low: Its lower bounds.
        high: Its upper bounds.

    Returns:
        The same in the box; 0 for an entry whose bounds are equal.
    """
    middle, half = (np.add(high, low) / 2, np.subtract(high, low) / 2)
    half = np.where(half > 0, half, 1.0)
    return (action - jnp.asarray(middle, action.dtype)) / jnp.asarray(half, action.dtype)


def draw_reward(
    state_dim: int,
    action_dim: int,
    horizon: int,
    hidden: tuple[int, ...],
    *,
    compress: bool,
    key: PRNGKeyArray,
) -> RewardModel:
    """Draw a model of rewards that do not depend on time.

    Args:
        state_dim: Number of state entries.
        action_dim: Number of action entries.
        horizon: Steps in an episode.
        hidden: Hidden layers.
        compress: Whether states pass a symlog first.
        key: Random key.

    Returns:
        The model.
    """
    identity = StateScaling.identity(state_dim)
    scaling = StateScaling(identity.mean, identity.scale, compress=compress)
    sizes = state_dim, action_dim, horizon
    return RewardModel(*sizes, hidden_sizes=hidden, frequencies=None, scaling=scaling, key=key)


def fit_reward(
    model: RewardModel, rows: Rows, optimiser: Optimiser, *, updates: int, key: PRNGKeyArray
) -> RewardModel:
    """Fit it to the rewards logged.

    Args:
        model: The model, newly drawn.
        rows: What it learns from; it has rewards.
        optimiser: How its weights descend.
        updates: Steps of the optimiser.
        key: Random key.

    Returns:
        The fitted model.
    """
    seen = rows.states, rows.actions, rows.rewards
    states, actions, rewards = (jnp.asarray(x, dtype=float) for x in seen)
    scaling = StateScaling.fit(states, compress=model.scaling.compress)
    model = model.standardise(scaling, rewards)
    buffer = Buffer(states, actions, jnp.asarray(len(states)), rewards)
    learner = RewardFitting(optimiser, max(1, _BATCH_STEPS // rewards.shape[1]))

    @eqx.filter_jit
    def stage(learned: Any, progress: Array, key: PRNGKeyArray) -> Any:
        context, count = Context(buffer, progress), jnp.asarray(-(-updates // len(_STAGES)))
        return learner.learn(learned, context, count, key=key)[0]

    learned = learner.init(model)
    for number, progress in enumerate(_STAGES):
        learned = stage(learned, jnp.asarray(progress), jax.random.fold_in(key, number))
    return learned.weights


def check_reward(reward: Callable[..., Any], state_dim: int, action_dim: int) -> None:
    """Refuse a reward that is no function of a state, an action and a step index.

    Args:
        reward: What was given.
        state_dim: Number of state entries.
        action_dim: Number of action entries.

    Raises:
        TypeError: If it takes other arguments.
        ValueError: If it fails, or gives something else than a number.
    """
    forms = "(state, action, t) or (state, action, t, next_state)"
    try:
        names = list(inspect.signature(reward).parameters)
    except (TypeError, ValueError):
        raise TypeError(f"the reward is {reward!r}: give a function of {forms}") from None
    if len(names) not in (3, 4) or (len(names) == 4 and names[3] != "next_state"):
        raise TypeError(f"the reward takes ({', '.join(names)}): give a function of {forms}")
    state, action = jnp.zeros(state_dim), jnp.zeros(action_dim)
    more = {"next_state": state} if len(names) == 4 else {}
    try:
        out: Any = jax.eval_shape(lambda *given: reward(*given, **more), state, action, 0)
    except Exception as error:
        first = (str(error).strip().splitlines() or [""])[0]
        raise ValueError(
            f"the reward fails on a state of {state_dim} and an action of {action_dim} entries "
            f"({type(error).__name__}: {first}): give one in JAX, for one step"
        ) from error
    if getattr(out, "shape", None) != ():
        raise ValueError(f"the reward gives {out}: give one number a step")
