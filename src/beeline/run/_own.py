"""A world model and a policy of the user's own, drawn by functions that have to be handed over.

A run's files tell what they were, never where to import them from.
"""

import dataclasses
import functools
import inspect
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from beeline.build import Draws
from beeline.config import MODELS, Config
from beeline.envs import Environment, make
from beeline.envs._given import UNTRACED, given_factory
from beeline.models._contract import check_model
from beeline.policies._contract import check_policy
from beeline.run._errors import RunError

_KINDS = {"model": "a world model", "policy": "a policy"}
_FLAGS = {"model": "--model", "policy": "--policy-factory"}
_LONGEST_NAME = 60


def draws_of(model: Any, policy: Any) -> Draws:
    """Find what draws a world model and a policy of the user's own.

    Args:
        model: A function of an environment and a key, `module:name` of one, the name of a model, or
            None.
        policy: Likewise; there are no names of policies.

    Returns:
        The functions, None for what is the library's.

    Raises:
        TypeError: If something else was given.
        ValueError: If there is no such module or name.
    """
    by_name = isinstance(model, str) and ":" not in model
    return Draws(None if by_name else _given("model", model), _given("policy", policy))


def fields_of(model: Any, draws: Draws) -> dict[str, Any]:
    """Name what the user draws in a configuration, before anything is computed.

    Args:
        model: What was given as the model.
        draws: What `draws_of` found.

    Returns:
        Fields of the configuration; what these are is for `identified` to say.
    """
    fields: dict[str, Any] = {}
    if draws.model is not None:
        fields = {"model": name_of(draws.model), "own_model": UNTRACED}
    elif model is not None:
        fields = {"model": model, "own_model": ""}
    return fields if draws.policy is None else fields | {"own_policy": UNTRACED}


def identified(config: Config, draws: Draws, env: Environment | None) -> Config:
    """Say in a configuration what the user draws, once JAX may trace it.

    Args:
        config: The run, with the fields of `fields_of`.
        draws: What the user draws.
        env: The environment; None for a task of the library's own.

    Returns:
        The configuration.

    Raises:
        RunError: If something else is drawn than a world model or a policy for this environment,
            or something that the configuration names was not handed over.
    """
    draws = _with_registered(config, draws)
    for kind, told in (("model", config.own_model), ("policy", config.own_policy)):
        if told and getattr(draws, kind) is None:
            raise RunError(f"the configuration is of {_missing(kind, config, told)}")
    return dataclasses.replace(config, **_identities(config, draws, env))


def handed_over(config: Config, model: Any, policy: Any, source: Path) -> Draws:
    """Find what draws the models and policies of a run that is read from its directory.

    Args:
        config: The run.
        model: What was handed over as for `draws_of`, or None.
        policy: Likewise.
        source: The run's directory, for errors.

    Returns:
        The functions, None for what is the library's.

    Raises:
        RunError: If one has to be handed over and was not, or the run has none of its own.
    """
    try:
        draws = _with_registered(config, draws_of(model, policy))
    except (TypeError, ValueError) as error:
        raise RunError(str(error)) from error
    for kind, told, given in (
        ("model", config.own_model, model),
        ("policy", config.own_policy, policy),
    ):
        draw = getattr(draws, kind)
        if told and draw is None:
            raise RunError(f"{source} is of {_missing(kind, config, told)}")
        if not told and given is not None:
            raise RunError(f"{source} has {_KINDS[kind]} of the library: leave {kind} out")
        if told and name_of(draw) != _parts(told).get("name"):
            raise RunError(
                f"{source} has {_KINDS[kind]} drawn by {_parts(told).get('name')!a}, not by "
                f"{name_of(draw)!a}"
            )
    return draws


def check_same(config: Config, draws: Draws, env: Environment | None, source: Path) -> None:
    """Refuse functions that draw something else than what a run was trained with.

    Args:
        config: The run.
        draws: What was handed over.
        env: The environment; None for a task of the library's own.
        source: The run's directory, for errors.

    Raises:
        RunError: If they do. Under another version of JAX or another precision, which trace the
            same differently, only shapes tell: those are for the checkpoint to compare.
    """
    for field, traced in _identities(config, draws, env).items():
        then, now = _parts(getattr(config, field)), _parts(traced)
        comparable = all(then.get(name) == now[name] for name in ("jax", "precision"))
        if comparable and then.get("equations") != now["equations"]:
            raise RunError(
                f"{source} was trained with another {now['name']!r} than the one handed over: what "
                "it draws computes something else, or has other sizes"
            )


def name_of(draw: Callable[..., Any]) -> str:
    """Name a function for lists, figures and files.

    Args:
        draw: The function.

    Returns:
        Its own name, without characters that a path should not have.
    """
    while isinstance(draw, functools.partial):
        draw = draw.func
    name = getattr(draw, "__name__", type(draw).__name__)
    return re.sub(r"[^\w.-]+", "-", name).strip("-")[:_LONGEST_NAME]


def _given(kind: str, given: Any) -> Callable[..., Any] | None:
    draw = _imported(kind, given) if isinstance(given, str) else given
    if draw is not None and not callable(draw):
        named = f"{given!r}, " if isinstance(given, str) else ""
        raise TypeError(
            f"{kind} is {named}of type {type(draw).__name__}: give a function draw(env, key) that "
            f"draws {_KINDS[kind]}, or module:name of one, for each seed draws its own"
        )
    return draw


def _imported(kind: str, path: str) -> Any:
    module_name, _, name = path.partition(":")
    if not module_name or not name:
        raise ValueError(
            f"{kind} is {path!r}: give module:name of a function that draws {_KINDS[kind]}, such "
            "as my_models:draw"
        )
    return given_factory(path)


def _with_registered(config: Config, draws: Draws) -> Draws:
    entry = MODELS.get(config.model)
    if draws.model is None and entry is not None:
        return draws._replace(model=entry.own)
    return draws


def _identities(config: Config, draws: Draws, env: Environment | None) -> dict[str, str]:
    if draws == Draws():
        return {}
    env = make(config.task, horizon=config.horizon) if env is None else env
    told = {}
    if draws.model is not None:
        told["own_model"] = _identity(draws.model, env, lambda drawn: check_model(drawn, env))
    if draws.policy is not None:
        sizes = env.state_dim, env.action_dim
        told["own_policy"] = _identity(draws.policy, env, lambda drawn: check_policy(drawn, *sizes))
    return told


def _identity(draw: Callable[..., Any], env: Environment, check: Callable[[Any], str]) -> str:
    name, key = name_of(draw), jax.random.key(0)
    try:
        inspect.signature(draw).bind(env, key=key)
    except (TypeError, ValueError) as error:
        raise RunError(
            f"{name} cannot be called as {name}(env, key=key) ({error}): give a function of an "
            "environment and a key alone, such as functools.partial makes of one that takes more"
        ) from error
    try:
        drawn = eqx.filter_eval_shape(lambda key: draw(env, key=key), key)
    except Exception as error:
        why = str(error).partition("\n")[0]
        raise RunError(f"{name} fails on {env.name} ({type(error).__name__}: {why})") from error
    try:
        fingerprint = check(drawn)
    except (TypeError, ValueError) as error:
        raise RunError(f"{name} draws {error}") from error
    parts = {
        "name": name,
        "equations": fingerprint,
        "jax": jax.__version__,
        "precision": jnp.zeros(()).dtype,
    }
    return " ".join(f"{key}={value}" for key, value in parts.items())


def _parts(told: str) -> dict[str, str]:
    parts = (part.partition("=") for part in told.split())
    return {name: value for name, _, value in parts}


def _missing(kind: str, config: Config, told: str) -> str:
    name = _parts(told).get("name", config.model if kind == "model" else "")
    drawn = f", drawn by {name!a}" if name else ""
    return (
        f"{_KINDS[kind]} of its own{drawn}: hand that function over with {kind}=, or on the "
        f"command line with {_FLAGS[kind]} module:name"
    )
