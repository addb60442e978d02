"""What there is to examine: models fitted to random episodes of an environment, or a run's."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, Protocol, runtime_checkable

import equinox as eqx
import jax
from jaxtyping import PRNGKeyArray

from beeline._choices import choose
from beeline.build import build_bpo, build_model, build_policy
from beeline.config import MODELS, Config, preset
from beeline.diagnostics.diagnosis import TRUTH, Subject
from beeline.envs import Environment
from beeline.envs._given import fields_of
from beeline.envs._simulator import Simulator
from beeline.models import SimulatorModel, WorldModel
from beeline.policies import Policy
from beeline.training import BPO, fit

SIMULATOR = "simulator"
"""The name of the true dynamics among the models of a configuration."""


@runtime_checkable
class Trained(Protocol):
    """What is read of a trained run; `beeline.load` gives one."""

    @property
    def config(self) -> Config:
        """What the run was.

        Returns:
            Its configuration.
        """
        ...

    @property
    def env(self) -> Environment:
        """The task.

        Returns:
            The environment.
        """
        ...

    @property
    def model(self) -> WorldModel:
        """The learned world model.

        Returns:
            That of the first seed.
        """
        ...

    @property
    def policy(self) -> Policy:
        """The learned policy.

        Returns:
            That of the first seed.
        """
        ...


def of_environment(
    env: Environment,
    models: Sequence[str],
    *,
    transitions: int,
    fit_steps: int,
    preset_name: str,
    key: PRNGKeyArray,
    say: Callable[[str], Any],
) -> Subject:
    """Draw models of an environment and fit them to episodes of random actions.

    Args:
        env: The environment.
        models: Names of the models.
        transitions: Environment steps to fit to.
        fit_steps: Updates of each model.
        preset_name: Preset that models and fitting are configured by.
        key: Random key; all models see the same episodes.
        say: Told what is being done.

    Returns:
        The fitted models beside the true dynamics, and an untrained policy.
    """
    _check_ends(env)
    data_key, policy_key, *keys = jax.random.split(key, 2 + len(models))
    fitted: dict[str, WorldModel] = {TRUTH: SimulatorModel(env)}
    config = _config(env, "markov", transitions, preset_name)
    policy = build_policy(config, env, key=policy_key)
    for name, model_key in zip(models, keys, strict=True):
        say(f"H = {env.horizon}: fitting {name}")
        config = _config(env, name, transitions, preset_name)
        drawn_key, fit_key = jax.random.split(model_key)
        algorithm = build_bpo(config, env)
        model = build_model(config, env, key=drawn_key)
        fitted[name], policy = _fit(algorithm, model, policy, fit_steps, data_key, key=fit_key)
    return Subject(env, fitted, policy)


def of_run(run: Trained, models: Sequence[str], horizons: Sequence[int]) -> dict[int, Subject]:
    """Take the first seed's model and policy of a run.

    Args:
        run: The run.
        models: Its model's name, or nothing.
        horizons: Steps in an episode, at most the run's own.

    Returns:
        What to examine, by horizon.

    Raises:
        ValueError: If the run has no such model, or was of shorter episodes.
    """
    own = run.config.model
    for name in models:
        if name not in (own, SIMULATOR):
            raise ValueError(f"the run has a {own} model, not {name}: leave --models out")
    check_horizons(horizons, run.config.horizon, "run")
    _check_ends(run.env)
    subject = Subject(run.env, {TRUTH: SimulatorModel(run.env), own: run.model}, run.policy)
    return dict.fromkeys(horizons, subject)


def check_horizons(horizons: Sequence[int], longest: int, whose: str) -> None:
    """Refuse horizons beyond that of episodes that cannot be longer.

    Args:
        horizons: The horizons.
        longest: The longest.
        whose: What has it, for the error.

    Raises:
        ValueError: If one is longer.
    """
    for horizon in horizons:
        if horizon > longest:
            raise ValueError(
                f"horizon {horizon} is beyond the {whose}'s own {longest}: give shorter ones"
            )


def check_names(models: Sequence[str]) -> None:
    """Refuse names of models that there are none of.

    Args:
        models: The names.
    """
    for name in models:
        choose("model", name, MODELS)


def _check_ends(env: Environment) -> None:
    if isinstance(env, Simulator):
        raise ValueError(
            f"{env.name} is a simulator that is stepped on the host, but what is examined are "
            "gradients through the true dynamics beside a model's: give an environment in JAX"
        )
    if env.terminated is not None:
        raise ValueError(
            f"{env.name} can terminate, but what is examined are whole episodes: give an "
            "environment without terminated"
        )


def _config(env: Environment, model: str, transitions: int, preset_name: str) -> Config:
    chosen = preset(preset_name)
    exploration = dataclasses.replace(chosen.exploration, warmup_steps=transitions)
    room = max(2, -(-transitions // env.horizon)) * env.horizon + env.horizon
    named = fields_of(env)
    return preset(preset_name, model=model, env_steps=room, exploration=exploration, **named)


def _fit(
    algorithm: BPO,
    model: WorldModel,
    policy: Policy,
    updates: int,
    data_key: PRNGKeyArray,
    *,
    key: PRNGKeyArray,
) -> tuple[WorldModel, Policy]:
    state = eqx.filter_jit(algorithm.init)(model, policy, key=data_key)
    # The buffer has room for more than the warm-up.
    states, actions = (
        entry[: algorithm.warmup_episodes] for entry in (state.buffer.states, state.buffer.actions)
    )
    fitting = dataclasses.replace(algorithm.fitting, dyna=None)
    fitted = fit(state.model, states, actions, fitting, updates=updates, standardise=False, key=key)
    return fitted, state.policy
