"""World models and policies of the user's own, named on the command line as `module:name`."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from beeline._choices import choose
from beeline.cli._commands import Diagnose, Evaluate, Export, Plan, Plot, Resume, Train
from beeline.config import MODELS, register_model
from beeline.envs._gymnasium_names import PREFIX
from beeline.envs._simulator_names import PREFIXES


def drawn(command: Train) -> tuple[dict[str, Any], dict[str, Any]]:
    """Find the functions that a run draws its model and policy with.

    Args:
        command: What to train.

    Returns:
        What to hand to `beeline.train`, and what its configuration says of it; nothing, where the
        library draws both.

    Raises:
        TypeError: If something else than a function is named.
        ValueError: If there is no such module or name.
    """
    if ":" not in command.model and command.policy_factory is None:
        return {}, {}
    # Importing it imports JAX.
    from beeline.run._own import draws_of, fields_of

    draws = draws_of(command.model, command.policy_factory)
    return draws._asdict(), fields_of(command.model, draws)


def own_functions(command: Train, constants: Mapping[str, str]) -> tuple[Train, Mapping[str, str]]:
    """Take a reward and a termination that are given as `module:name` for a simulator.

    Args:
        command: What to train.
        constants: Those of its environment.

    Returns:
        The command, which knows both then, and the constants with the functions among them.

    Raises:
        ValueError: If the task is no simulator.
    """
    given = {name: getattr(command, name) for name in ("reward", "termination")}
    own = {name: path for name, path in given.items() if ":" in path}
    if own and not command.task.startswith(PREFIXES):
        name, path = next(iter(own.items()))
        raise ValueError(
            f"{name} is {path!r}, but {command.task} has its own: a function is for a simulator, "
            f"such as {PREFIX}Pendulum-v1"
        )
    return dataclasses.replace(command, **dict.fromkeys(own, "known")), {**constants, **own}


def own_of(command: Resume | Evaluate | Export | Plan | Plot | Diagnose) -> dict[str, Any]:
    """Say what a command hands over of a run's model and policy.

    Args:
        command: The command.

    Returns:
        What `beeline.load` takes.
    """
    return {"model": command.model, "policy": command.policy_factory}


def names_of_models(models: Sequence[str]) -> list[str]:
    """Take names of models, and make some for those that are given as `module:name`.

    Args:
        models: What was given.

    Returns:
        The names.

    Raises:
        TypeError: If something else than a function is named.
        ValueError: If there is no such model, module or name.
    """
    names = []
    for model in models:
        if ":" in model:
            from beeline.run._own import draws_of, name_of

            draw: Any = draws_of(model, None).model
            register_model(name_of(draw), draw)
            model = name_of(draw)
        choose("model", model, MODELS)
        names.append(model)
    return names
