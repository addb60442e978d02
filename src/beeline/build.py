"""From a configuration to the objects that it describes."""

import dataclasses
import functools
import inspect
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import equinox as eqx
import jax
from jaxtyping import Array, PRNGKeyArray, UInt32

from beeline._choices import choose
from beeline.config import BASELINES, MODELS, Config
from beeline.config._catalogue import located
from beeline.control import is_deterministic
from beeline.envs import Environment, make
from beeline.gradients import Direct, Unrolled
from beeline.models import (
    ActionsModel,
    HistoryModel,
    MarkovModel,
    RewardModel,
    SimulatorModel,
    WorldModel,
)
from beeline.networks.scaling import StateScaling
from beeline.policies import Policy, SquashedGaussian
from beeline.training import (
    BPO,
    CorrelatedNoise,
    Dyna,
    Exploration,
    IndependentNoise,
    ModelFitting,
    OneStepFitting,
    Optimiser,
    PolicyImprovement,
    RewardFitting,
)
from beeline.training.algorithm import Algorithm
from beeline.training.critic import Critic, CriticFitting
from beeline.training.fit import fitting_of
from beeline.training.side_by_side import Networks, SideBySide
from beeline.training.windows import Windows

_EVALUATION_EPISODES = 32
"""Where chance has a part."""

_ONE_STEP_RATE = 2e-3
"""Adam's step size for the model that imagines episodes."""


class Draws(NamedTuple):
    """What a user draws in the place of the library, by a function of an environment and a key."""

    model: Callable[..., Any] | None = None
    """The world model; None for that of the configuration's name."""
    policy: Callable[..., Any] | None = None
    """The policy; None for the library's."""


NO_DRAWS = Draws()


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


def actions_model(config: Config, env: Environment, *, key: PRNGKeyArray) -> WorldModel:
    """Draw a model of actions around the sequence core that the model's entry names.

    Args:
        config: The run.
        env: Its environment.
        key: Random key.

    Returns:
        The model.
    """
    return _around_core(ActionsModel, config, env, key)


def history_model(config: Config, env: Environment, *, key: PRNGKeyArray) -> WorldModel:
    """Draw a model of histories around the sequence core that the model's entry names.

    Args:
        config: The run.
        env: Its environment.
        key: Random key.

    Returns:
        The model.
    """
    return _around_core(HistoryModel, config, env, key)


def markov_model(config: Config, env: Environment, *, key: PRNGKeyArray) -> WorldModel:
    """Draw a one-step model.

    Args:
        config: The run.
        env: Its environment.
        key: Random key.

    Returns:
        The model.
    """
    fields = config.world_model
    return MarkovModel(
        env.state_dim,
        env.action_dim,
        env.horizon,
        hidden_sizes=fields.hidden,
        frequencies=_frequencies(config, fields.frequencies),
        scaling=_scaling(config, env),
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
        key=key,
    )


def build_reward(config: Config, env: Environment, *, key: PRNGKeyArray) -> RewardModel | None:
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
    return RewardModel(
        env.state_dim,
        env.action_dim,
        env.horizon,
        hidden_sizes=config.world_model.hidden,
        frequencies=config.world_model.frequencies,
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
    if config.imagination == "episodes":
        return None
    fields = config.windows
    return Critic(
        env.state_dim,
        env.horizon,
        hidden_sizes=fields.hidden,
        frequencies=_frequencies(config, config.policy.frequencies),
        discount=fields.discount,
        scaling=_scaling(config, env),
        key=key,
    )


def build(config: Config, env: Environment | None = None, draws: Draws = NO_DRAWS) -> Algorithm:
    """Set up what a run trains with.

    Args:
        config: The run.
        env: Its environment; left out, the task of its name.
        draws: What the user draws.

    Returns:
        Algorithm 1, or a baseline that takes its place.
    """
    env = make(config.task, horizon=config.horizon) if env is None else env
    if config.model in BASELINES:
        return BASELINES[config.model].make(config, env, _evaluation_episodes(config, env))
    draw = functools.partial(_draw, config, env, draws)
    return SideBySide(config, build_bpo(config, env, draws), draw)


def _draw(config: Config, env: Environment, draws: Draws, seed: UInt32[Array, ""]) -> Networks:
    model_key, policy_key, key = jax.random.split(jax.random.key(seed), 3)
    return Networks(
        build_model(config, env, key=model_key, draws=draws),
        build_policy(config, env, key=policy_key, draws=draws),
        build_reward(config, env, key=jax.random.fold_in(model_key, 1)),
        build_critic(config, env, key=jax.random.fold_in(policy_key, 1)),
        key,
    )


def build_bpo(config: Config, env: Environment | None = None, draws: Draws = NO_DRAWS) -> BPO:
    """Set Algorithm 1 up.

    Args:
        config: The run, of a world model.
        env: Its environment; left out, the task of its name.
        draws: What the user draws.

    Returns:
        The algorithm; `init` it with a model and a policy.
    """
    env = make(config.task, horizon=config.horizon) if env is None else env
    draw = functools.partial(build_model, config, env, draws=draws)
    model = eqx.filter_eval_shape(lambda: draw(key=jax.random.key(0)))
    noise = _exploration(config)
    fitting, one_step = fitting_of(config), None
    if not model.learned:
        fitting = dataclasses.replace(fitting, env_steps_per_update=math.inf)
    elif not model.one_step:
        fitting, one_step = _taught(config, env, fitting, noise)
    windows = _windows(config, env, model)
    fitting = dataclasses.replace(fitting, windows=windows)
    return BPO(
        env=env,
        fitting=fitting,
        improvement=_improvement(config, env, model, windows),
        exploration=noise,
        reward_fitting=_reward_fitting(config, fitting),
        one_step_fitting=one_step,
        critic_fitting=_critic_fitting(config, env, windows),
        scale_returns=config.improvement.scale_returns,
        standardise=config.world_model.standardise,
        warmup_episodes=config.warmup_episodes,
        fit_warmup=config.exploration.fit_warmup,
        iterations=config.iterations,
        evaluation_episodes=_evaluation_episodes(config, env),
    )


def _exploration(config: Config) -> Exploration:
    if config.exploration.correlated:
        return CorrelatedNoise(config.exploration.amplitude)
    return IndependentNoise()


def _improvement(
    config: Config, env: Environment, model: WorldModel, windows: Windows | None
) -> PolicyImprovement:
    fields = config.improvement
    exact = not model.state_fed and fields.through_policy == 0
    route = Direct() if exact else Unrolled(fields.through_policy, fields.through_states)
    return PolicyImprovement(
        Optimiser(fields.learning_rate, fields.final_rate, fields.clip),
        config.improvement_batch,
        env,
        route,
        fields.first_noise,
        fields.entropy_weight,
        windows,
        env_steps_per_update=fields.env_steps_per_update,
    )


def _windows(config: Config, env: Environment, model: WorldModel) -> Windows | None:
    if config.imagination == "episodes":
        return None
    if "first" not in inspect.signature(type(model).standardised).parameters:
        raise ValueError(
            f"imagination is 'windows', but the model {config.model!r} knows whole episodes only: "
            "let its standardised and start take first=0, or take imagination = episodes"
        )
    return Windows(config.windows.length, config.windows.fresh)


def _critic_fitting(
    config: Config, env: Environment, windows: Windows | None
) -> CriticFitting | None:
    if windows is None:
        return None
    fields, improvement = config.windows, config.improvement
    return CriticFitting(
        Optimiser(fields.critic_rate, improvement.final_rate, improvement.clip),
        config.improvement_batch,
        env,
        windows,
        fields.trace,
        fields.target_rate,
        env_steps_per_update=improvement.env_steps_per_update,
    )


def _frequencies(config: Config, count: int) -> int | None:
    timeless = config.imagination == "windows" and config.windows.clock == "none"
    return None if timeless else count


def _evaluation_episodes(config: Config, env: Environment) -> int:
    if config.evaluation_episodes:
        return config.evaluation_episodes
    return 1 if is_deterministic(env) else _EVALUATION_EPISODES


def _reward_fitting(config: Config, fitting: ModelFitting) -> RewardFitting | None:
    if config.reward == "known":
        return None
    fields = config.fitting
    optimiser = Optimiser(
        fields.learning_rate, fields.final_rate, fields.clip, method=fields.optimiser
    )
    return RewardFitting(
        optimiser, config.fitting_batch, env_steps_per_update=fitting.env_steps_per_update
    )


def _taught(
    config: Config, env: Environment, fitting: ModelFitting, exploration: Exploration
) -> tuple[ModelFitting, OneStepFitting | None]:
    imagined = round(config.fitting.imagined * config.fitting_batch)
    if imagined == 0 or config.imagination == "windows":
        return fitting, None
    dyna = Dyna(env, exploration, config.world_model.hidden, imagined)
    optimiser = Optimiser(_ONE_STEP_RATE, config.fitting.final_rate, config.fitting.clip)
    one_step = OneStepFitting(
        optimiser, config.fitting_batch, env_steps_per_update=fitting.env_steps_per_update
    )
    return dataclasses.replace(fitting, dyna=dyna), one_step


def _scaling(config: Config, env: Environment) -> StateScaling:
    identity = StateScaling.identity(env.state_dim)
    return StateScaling(identity.mean, identity.scale, compress=config.world_model.standardise)


def _around_core(
    kind: type[ActionsModel | HistoryModel], config: Config, env: Environment, key: PRNGKeyArray
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
        frequencies=_frequencies(config, fields.frequencies),
        harmonics=fields.harmonics,
        scaling=_scaling(config, env),
        key=key,
    )
