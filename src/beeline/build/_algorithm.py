"""What a run trains with, set up from a configuration."""

import dataclasses
import functools
import math

import equinox as eqx
import jax
from jaxtyping import Array, UInt32

from beeline.build._constraints import pricing_of
from beeline.build._networks import (
    NO_DRAWS,
    Draws,
    build_critic,
    build_model,
    build_policy,
    build_reward,
    build_termination,
)
from beeline.config import BASELINES, Config
from beeline.control import is_deterministic, is_noisy
from beeline.envs import Environment, make
from beeline.envs._simulator import Simulator
from beeline.gradients import Direct, Unrolled
from beeline.models import WorldModel, knows_windows
from beeline.training import (
    BPO,
    CorrelatedNoise,
    Dyna,
    Episode,
    Exploration,
    IndependentNoise,
    ModelFitting,
    OneStepFitting,
    Optimiser,
    PolicyImprovement,
    RewardFitting,
    TransitionRewardFitting,
)
from beeline.training._seeds import Networks
from beeline.training.algorithm import Algorithm
from beeline.training.critic import CriticFitting
from beeline.training.fit import fitting_of
from beeline.training.hosted import Hosted
from beeline.training.side_by_side import SideBySide
from beeline.training.termination_fitting import TerminationFitting
from beeline.training.windows import Windows

_EVALUATION_EPISODES = 32
"""Where chance has a part."""

_ONE_STEP_RATE = 2e-3
"""Adam's step size for the model that imagines episodes."""


def build(
    config: Config,
    env: Environment | None = None,
    draws: Draws = NO_DRAWS,
    data: Episode | None = None,
) -> Algorithm:
    """Set up what a run trains with.

    Args:
        config: The run.
        env: Its environment; left out, the task of its name.
        draws: What the user draws.
        data: Logged episodes in the place of the warm-up.

    Returns:
        Algorithm 1, or a baseline that takes its place.

    Raises:
        ValueError: If the data is to be the warm-up of a simulator.
    """
    env = make(config.task, horizon=config.horizon) if env is None else env
    if config.model in BASELINES:
        return BASELINES[config.model].make(config, env, _evaluation_episodes(config, env))
    draw = functools.partial(_draw, config, env, draws)
    if data is not None and isinstance(env, Simulator):
        raise ValueError(
            f"data cannot be the warm-up of {env.name} yet: learn from it alone with --offline, or "
            "from the simulator alone"
        )
    bpo = dataclasses.replace(build_bpo(config, env, draws), data=data)
    kind = Hosted if isinstance(env, Simulator) else SideBySide
    return kind(config, bpo, draw)


def _draw(config: Config, env: Environment, draws: Draws, seed: UInt32[Array, ""]) -> Networks:
    model_key, policy_key, key = jax.random.split(jax.random.key(seed), 3)
    return Networks(
        build_model(config, env, key=model_key, draws=draws),
        build_policy(config, env, key=policy_key, draws=draws),
        build_reward(config, env, key=jax.random.fold_in(model_key, 1)),
        build_critic(config, env, key=jax.random.fold_in(policy_key, 1)),
        build_termination(config, env, key=jax.random.fold_in(model_key, 2)),
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
    noise, disturbed = exploration_of(config), _disturbed(config, env, model)
    fitting, one_step = fitting_of(config), None
    if not model.learned:
        fitting = dataclasses.replace(fitting, env_steps_per_update=math.inf)
    elif not model.one_step:
        fitting, one_step = _taught(config, env, fitting, noise)
    windows = _windows(config, env, model)
    fitting = dataclasses.replace(fitting, windows=windows)
    improvement = _improvement(config, env, model, windows, disturbed=disturbed)
    return BPO(
        env=env,
        fitting=fitting,
        improvement=improvement,
        exploration=noise,
        reward_fitting=_reward_fitting(config, env, fitting),
        one_step_fitting=one_step,
        critic_fitting=_critic_fitting(config, env, windows, disturbed=disturbed),
        termination_fitting=_termination_fitting(config, env, fitting),
        scale_returns=config.improvement.scale_returns,
        standardise=config.world_model.standardise,
        warmup_episodes=config.warmup_episodes,
        fit_warmup=config.exploration.fit_warmup,
        iterations=config.iterations,
        evaluation_episodes=_evaluation_episodes(config, env),
        pricing=pricing_of(improvement),
    )


def exploration_of(config: Config) -> Exploration:
    """Set up how a run explores.

    Args:
        config: The run.

    Returns:
        Its random actions, and the noise on those of the policy.
    """
    if config.exploration.correlated:
        return CorrelatedNoise(config.in_force("exploration.amplitude"))
    return IndependentNoise()


def _improvement(
    config: Config,
    env: Environment,
    model: WorldModel,
    windows: Windows | None,
    *,
    disturbed: bool,
) -> PolicyImprovement:
    fields, rate = config.improvement, config.in_force("improvement.learning_rate")
    exact = not model.state_fed and fields.through_policy == 0
    route = Direct() if exact else Unrolled(fields.through_policy, fields.through_states)
    return PolicyImprovement(
        Optimiser(rate, fields.final_rate, fields.clip),
        config.improvement_batch,
        env,
        route,
        fields.first_noise,
        fields.entropy_weight,
        windows,
        disturbed=disturbed,
        env_steps_per_update=config.in_force("improvement.env_steps_per_update"),
    )


def _windows(config: Config, env: Environment, model: WorldModel) -> Windows | None:
    if config.imagination != "windows":
        if env.terminated is not None:
            raise ValueError(
                f"imagination is 'episodes', but an episode of {env.name} can terminate, and the "
                "next begins there: take imagination = windows"
            )
        return None
    if not knows_windows(model):
        raise ValueError(
            f"imagination is 'windows', but the model {config.model!r} knows whole episodes only: "
            "let its standardised and start take first=0, or take imagination = episodes"
        )
    return Windows(
        config.windows.length,
        config.windows.fresh,
        config.windows.recent,
        config.world_model.standardise,
    )


def _disturbed(config: Config, env: Environment, model: WorldModel) -> bool:
    wanted = config.improvement.disturbances
    if wanted == "auto":
        return model.learned and is_noisy(env)
    return wanted == "seen"


def _critic_fitting(
    config: Config, env: Environment, windows: Windows | None, *, disturbed: bool
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
        disturbed=disturbed,
        env_steps_per_update=config.in_force("improvement.env_steps_per_update"),
    )


def _evaluation_episodes(config: Config, env: Environment) -> int:
    if config.evaluation_episodes or isinstance(env, Simulator):
        return config.evaluation_episodes
    return 1 if is_deterministic(env) else _EVALUATION_EPISODES


def _reward_fitting(
    config: Config, env: Environment, fitting: ModelFitting
) -> RewardFitting | TransitionRewardFitting | None:
    if config.reward == "known":
        return None
    if fitting.windows is not None and isinstance(env, Simulator):
        return TransitionRewardFitting(
            _plain_optimiser(config),
            config.fitting_batch * fitting.windows.length,
            env_steps_per_update=fitting.env_steps_per_update,
        )
    return RewardFitting(
        _plain_optimiser(config),
        config.fitting_batch,
        env_steps_per_update=fitting.env_steps_per_update,
    )


def _plain_optimiser(config: Config) -> Optimiser:
    fields = config.fitting
    return Optimiser(fields.learning_rate, fields.final_rate, fields.clip, method=fields.optimiser)


def _termination_fitting(
    config: Config, env: Environment, fitting: ModelFitting
) -> TerminationFitting | None:
    if config.termination == "known":
        return None
    if env.terminated is None or fitting.windows is None:
        raise ValueError(
            f"termination is 'learned', but no episode of {env.name} terminates: leave it out"
        )
    return TerminationFitting(
        _plain_optimiser(config),
        config.fitting_batch,
        fitting.windows,
        env_steps_per_update=fitting.env_steps_per_update,
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
