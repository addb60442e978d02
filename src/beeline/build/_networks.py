"""World models, policies, rewards and critics, newly drawn from a configuration."""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from jaxtyping import PRNGKeyArray

from beeline._choices import choose
from beeline.config import MODELS, Config
from beeline.config._catalogue import located
from beeline.envs import Environment
from beeline.envs._simulator import Simulator
from beeline.models import (
    ActionsModel,
    HistoryModel,
    MarkovModel,
    RewardModel,
    SimulatorModel,
    TerminationModel,
    TransitionReward,
    WorldModel,
)
from beeline.networks.layers import Activation
from beeline.networks.modes import Modes
from beeline.networks.scaling import StateScaling
from beeline.networks.schedule import AHEAD, Schedule
from beeline.policies import Policy, SquashedGaussian
from beeline.training.critic import Critic


@runtime_checkable
class Sized(Protocol):
    """What a world model has to know of a system: an environment, or data that has none."""

    @property
    def name(self) -> str:
        """What it is called."""
        ...

    @property
    def state_dim(self) -> int:
        """Number of state entries."""
        ...

    @property
    def action_dim(self) -> int:
        """Number of action entries."""
        ...

    @property
    def horizon(self) -> int:
        """Most steps in an episode."""
        ...


class Draws(NamedTuple):
    """What a user draws in the place of the library, by a function of an environment and a key."""

    model: Callable[..., Any] | None = None
    """The world model; None for that of the configuration's name."""
    policy: Callable[..., Any] | None = None
    """The policy; None for the library's."""


NO_DRAWS = Draws()

_MANY = 64
"""Entries of a state, beyond which networks see its principal components."""
_MODES = 32
"""How many, unless the configuration says so."""


def modes_of(config: Config, env: Sized) -> int | None:
    """Say how many principal components networks see states by.

    Args:
        config: The run.
        env: Its environment.

    Returns:
        Their number; None for all entries of the state as they are.

    Raises:
        ValueError: If more are asked for than a state has entries, or without their statistics.
    """
    wanted, standardise = config.world_model.modes, config.world_model.standardise
    if wanted == "auto":
        return _MODES if standardise and env.state_dim > _MANY else None
    if wanted == "all":
        return None
    if not standardise:
        raise ValueError(
            f"world-model.modes is {wanted}, but states are not standardised: give all, or leave "
            "world-model.no-standardise out"
        )
    if int(wanted) > env.state_dim:
        raise ValueError(
            f"world-model.modes is {wanted}, but a state of {env.name} has {env.state_dim} "
            "entries: give at most that, or all"
        )
    return int(wanted)


def build_model(
    config: Config, env: Environment, *, key: PRNGKeyArray, draws: Draws = NO_DRAWS
) -> WorldModel:
    """Draw the world model.

    Args:
        config: The run.
        env: Its environment.
        key: Random key.
        draws: What the user draws.

    Returns:
        The model, in physical units until it is standardised.
    """
    if draws.model is not None:
        return draws.model(env, key=key)
    entry = choose("model", config.model, MODELS)
    return entry.make(config, env, key=key) if entry.own is None else entry.own(env, key=key)


def actions_model(config: Config, env: Sized, *, key: PRNGKeyArray) -> WorldModel:
    """Draw a model of actions around the sequence core that the model's entry names.

    Args:
        config: The run.
        env: Its environment.
        key: Random key.

    Returns:
        The model.
    """
    return _around_core(ActionsModel, config, env, key)


def history_model(config: Config, env: Sized, *, key: PRNGKeyArray) -> WorldModel:
    """Draw a model of histories around the sequence core that the model's entry names.

    Args:
        config: The run.
        env: Its environment.
        key: Random key.

    Returns:
        The model.
    """
    return _around_core(HistoryModel, config, env, key)


def markov_model(config: Config, env: Sized, *, key: PRNGKeyArray) -> WorldModel:
    """Draw a one-step model.

    Args:
        config: The run.
        env: Its environment.
        key: Random key.

    Returns:
        The model.
    """
    fields, scaling = config.world_model, _scaling(config, env)
    return MarkovModel(
        env.state_dim,
        env.action_dim,
        env.horizon,
        hidden_sizes=fields.hidden,
        activation=_activation(config, jax.nn.silu),
        frequencies=_frequencies(config, fields.frequencies),
        scaling=scaling,
        schedule=_schedule(env),
        change=jnp.ones(scaling.width) if fields.units == "change" else None,
        key=key,
    )


def simulator_model(config: Config, env: Environment, *, key: PRNGKeyArray) -> WorldModel:
    """Take the environment as the model of itself.

    Args:
        config: The run.
        env: Its environment.
        key: Not used.

    Returns:
        The model.
    """
    return SimulatorModel(env)


def build_policy(
    config: Config, env: Environment, *, key: PRNGKeyArray, draws: Draws = NO_DRAWS
) -> Policy:
    """Draw the policy.

    Args:
        config: The run.
        env: Its environment.
        key: Random key.
        draws: What the user draws.

    Returns:
        The policy, in physical units until it is standardised.
    """
    if draws.policy is not None:
        return draws.policy(env, key=key)
    fields = config.policy
    return SquashedGaussian(
        env.state_dim,
        env.action_dim,
        env.horizon,
        hidden_sizes=fields.hidden,
        frequencies=_frequencies(config, fields.frequencies),
        mean_bound=fields.mean_bound,
        deviations=(fields.least_deviation, fields.greatest_deviation),
        squash=fields.squash,
        scaling=_scaling(config, env),
        schedule=_schedule(env, AHEAD),
        key=key,
    )


def build_reward(
    config: Config, env: Environment, *, key: PRNGKeyArray
) -> RewardModel | TransitionReward | None:
    """Draw the reward model, if the reward is to be learned.

    Args:
        config: The run.
        env: Its environment.
        key: Random key.

    Returns:
        The model, or None where the reward is known.
    """
    if config.reward == "known":
        return None
    if isinstance(env, Simulator):
        hidden, scaling = config.world_model.hidden, _scaling(config, env)
        sizes = env.state_dim, env.action_dim
        return TransitionReward(*sizes, hidden_sizes=hidden, scaling=scaling, key=key)
    return RewardModel(
        env.state_dim,
        env.action_dim,
        env.horizon,
        hidden_sizes=config.world_model.hidden,
        frequencies=None if env.continuing else config.world_model.frequencies,
        scaling=_scaling(config, env),
        schedule=_schedule(env),
        key=key,
    )


def build_termination(
    config: Config, env: Environment, *, key: PRNGKeyArray
) -> TerminationModel | None:
    """Draw the termination model, if the termination is to be learned.

    Args:
        config: The run.
        env: Its environment.
        key: Random key.

    Returns:
        The model, or None where the termination is known, or there is none.
    """
    if config.termination == "known":
        return None
    return TerminationModel(
        env.state_dim,
        env.action_dim,
        hidden_sizes=config.world_model.hidden,
        scaling=_scaling(config, env),
        key=key,
    )


def build_critic(config: Config, env: Environment, *, key: PRNGKeyArray) -> Critic | None:
    """Draw the critic at the end of windows, if windows are imagined.

    Args:
        config: The run.
        env: Its environment.
        key: Random key.

    Returns:
        The critic, or None where whole episodes are imagined.
    """
    if config.imagination != "windows":
        return None
    fields = config.windows
    return Critic(
        env.state_dim,
        env.horizon,
        hidden_sizes=fields.hidden,
        activation=_activation(config, jnp.tanh),
        frequencies=_frequencies(config, config.policy.frequencies),
        discount=fields.discount,
        scaling=_scaling(config, env),
        schedule=_schedule(env, AHEAD),
        key=key,
    )


def _frequencies(config: Config, count: int) -> int | None:
    timeless = config.imagination == "windows" and config.windows.clock == "none"
    return None if timeless else count


def _activation(config: Config, smooth: Activation) -> Activation:
    in_windows = config.imagination == "windows"
    return smooth if in_windows and config.windows.activation == "smooth" else jax.nn.relu


def _schedule(env: Sized, ahead: tuple[int, ...] = (0,)) -> Schedule | None:
    # Logged data have no context.
    context = env.context if isinstance(env, Environment) else None
    return Schedule.of(context, env.horizon, ahead)


def _scaling(config: Config, env: Sized) -> StateScaling:
    count = modes_of(config, env)
    identity = StateScaling.identity(env.state_dim if count is None else count)
    return StateScaling(
        identity.mean,
        identity.scale,
        compress=config.world_model.standardise,
        modes=None if count is None else Modes.blank(env.state_dim, count),
    )


def _around_core(
    kind: type[ActionsModel | HistoryModel], config: Config, env: Sized, key: PRNGKeyArray
) -> WorldModel:
    core, fields = MODELS[config.model].core, config.world_model
    assert core is not None
    core_key, key = jax.random.split(key)
    # Memories are set by how long a sequence is, of which windows may be the longest.
    known = vars(fields) | {"horizon": config.sequence_length}
    return kind(
        located(core.factory)(*(known[name] for name in core.takes), key=core_key),
        env.state_dim,
        env.action_dim,
        env.horizon,
        decoder_sizes=fields.hidden,
        activation=_activation(config, jax.nn.silu),
        frequencies=_frequencies(config, fields.frequencies),
        harmonics=fields.harmonics,
        scaling=_scaling(config, env),
        schedule=_schedule(env),
        key=key,
    )
