"""An environment of gymnax, brax or MuJoCo Playground, made one that can be learned from."""

import importlib
import importlib.util
import re
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from beeline.envs._checks import check_horizon
from beeline.envs._from_gymnasium import check_actions, simulator
from beeline.envs._functional import flat, functional
from beeline.envs._functional_vector import FunctionalVector, Programs
from beeline.envs._simulator import Simulator
from beeline.envs._simulator_names import SUITES
from beeline.envs._simulators import Simulators, Spaces

_BRAX_LIMIT = 1000
"""Steps that `brax.envs.create` gives an episode."""


def from_jax(
    given: Any,
    horizon: int | None = None,
    *,
    params: Any = None,
    reward: Callable[..., Any] | str | None = None,
    termination: Callable[..., Any] | str | None = None,
    action_low: Any = None,
    action_high: Any = None,
    timeout: float = 600.0,
    failures: int = 3,
    **options: Any,
) -> Simulator:
    """Learn from an environment of the functional interfaces that suites in JAX have.

    That of gymnax is `reset(key, params)`, `step_env(key, state, action, params)` and
    `default_params`; that of brax and MuJoCo Playground `reset(key)` and `step(state, action)`,
    which give a state with `obs`, `reward`, `done` and `info`, and `observation_size` and
    `action_size`. A reset and a step of all seeds at once are compiled, and learned from as those
    of a simulator on the host are: what is behind an observation is not looked at.

    Args:
        given: `gymnax:NAME`, `brax:NAME` or `playground:NAME`, or an environment.
        horizon: Steps in an episode at most; left out, as many as the environment allows.
        params: Parameters of an environment of gymnax; left out, its own.
        reward: The reward as `from_gymnasium` takes it; learned if left out.
        termination: The termination, likewise.
        action_low: The lowest actions; left out, what gymnax says, or -1.
        action_high: The highest actions; left out, what gymnax says, or 1.
        timeout: Seconds that a reset or a step may take, the first of which is compiled.
        failures: How often in a row it may go wrong.
        options: For a name: parameters of gymnax, what `brax.envs.get_environment` takes, or what
            differs from a configuration of MuJoCo Playground.

    Returns:
        The environment.

    Raises:
        TypeError: If something else is given.
        ValueError: If there is no such environment, or it cannot be learned from.
    """
    if importlib.util.find_spec("gymnasium") is None:
        raise ValueError("gymnasium is not installed: pip install 'beeline[gymnasium]'")
    limit, name = None, type(given).__name__
    if isinstance(given, str):
        if params is not None:
            raise TypeError("params are for an environment that is made already: leave them out")
        name = given
        given, params, limit = _made(given, options)
    elif options:
        raise TypeError(f"the environment is made already: leave out {', '.join(options)}")
    env = functional(given, params, action_low, action_high)
    steps = horizon if horizon is not None else env.limit or limit
    if steps is None:
        raise ValueError(f"{name} has no limit of steps in an episode: give a horizon")
    check_actions(name, env.action)
    programs = Programs(env)
    host = Simulators(
        name,
        _spaces(name, env.reset, env.action),
        lambda count: FunctionalVector(programs, count),
        constants=f"{env.constants} {sorted(options.items())!r}",
        timeout=float(timeout),
        patience=int(failures),
    )
    return simulator(host, check_horizon(steps), reward, termination)


def _made(name: str, options: dict[str, Any]) -> tuple[Any, Any, int | None]:
    # The environment, its parameters, and its steps in an episode, as far as they are known.
    suite, _, task = name.partition(":")
    if suite not in SUITES:
        raise ValueError(
            f"{name!r} names no environment: give {', '.join(f'{one}:NAME' for one in SUITES)}"
        )
    if importlib.util.find_spec(SUITES[suite]) is None:
        raise ValueError(f"{SUITES[suite]} is not installed: pip install {suite}")
    try:
        if suite == "gymnax":
            env, params = importlib.import_module("gymnax").make(task)
            return env, params.replace(**options), None
        if suite == "brax":
            env = importlib.import_module("brax.envs").get_environment(task, **options)
            return env, None, _BRAX_LIMIT
        registry = importlib.import_module("mujoco_playground").registry
        limit = registry.get_default_config(task).episode_length
        env = registry.load(task, config_overrides=options or None)
        return env, None, options.get("episode_length", limit)
    except Exception as error:
        raise ValueError(f"{suite} makes no {task!r}: {_line(error)}") from error


def _spaces(name: str, reset: Callable[[Any], tuple[Any, Any]], action: Any) -> Spaces:
    from gymnasium.spaces import Box

    try:
        seen = jax.eval_shape(lambda key: flat(reset(key)[0]), jax.random.PRNGKey(0))
    except Exception as error:
        raise ValueError(f"{name} cannot be learned from: {_line(error)}") from error
    if not seen.size:
        raise ValueError(f"{name} gives observations without entries: choose another")
    edge = np.full(seen.shape, np.inf, np.float32)
    return Spaces(Box(-edge, edge, dtype=np.float32), action, -edge, edge)


def _line(error: Exception) -> str:
    said = re.sub(r"\s+", " ", str(error)).strip()[:300]
    return said or type(error).__name__
