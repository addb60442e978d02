"""What commands do with a run that is there: evaluate, export and plot."""

import json
from collections.abc import Mapping

from beeline._choices import choose
from beeline.cli._commands import Evaluate, Export, Plot
from beeline.cli._environments import handed_over
from beeline.cli._factories import own_of
from beeline.cli._messages import warnings_in_one_line
from beeline.cli._mistakes import CommandError, mistakes
from beeline.cli._returns import print_returns
from beeline.envs._simulator_error import SimulatorError
from beeline.export._formats import FORMATS, ExportError

_FAILURE = 1


def evaluate_in(command: Evaluate, constants: Mapping[str, str]) -> int:
    """Roll out real episodes of a run.

    Args:
        command: Which run, and how.
        constants: Those of its environment.

    Returns:
        The exit code.

    Raises:
        CommandError: If that cannot be done.
    """
    import numpy as np

    from beeline import run
    from beeline.run.directory.records import known, plain

    env = handed_over(command.run, command.env, constants)
    try:
        with warnings_in_one_line():
            loaded = run.load(command.run, env=env, **own_of(command))
            measured = run.evaluate_run(loaded, command.horizon)
    except run.RunError as error:
        raise CommandError(str(error)) from None
    except SimulatorError as error:
        raise CommandError(str(error), _FAILURE) from None
    result = {
        "seeds": loaded.seeds,
        "return": plain(measured.return_),
        "normalized_return": plain(measured.normalized_return),
        "optimal_return": measured.reference.best_return,
        "random_return": known(measured.reference.random_return),
    }
    if measured.steps is not None:
        result["simulator_steps"] = measured.steps
    error = measured.standard_error
    if error is not None:
        result["episodes"] = measured.returns.shape[1]
        result["standard_error"] = plain(error)
        result["worst"] = plain(measured.returns.min(axis=1))
    if measured.violations is not None:
        result["violations"] = {kind: plain(x) for kind, x in measured.violations.items()}
        result["violation"] = plain(np.max(list(measured.violations.values()), axis=0))
    if measured.violated_steps is not None:
        result["violated_steps"] = plain(measured.violated_steps)
    if command.json:
        print(json.dumps(result))
    else:
        print_returns(result, loaded.reference_kind)
    return 0


def export_in(command: Export, constants: Mapping[str, str]) -> int:
    """Write a policy to a file.

    Args:
        command: Which run, and how.
        constants: Those of its environment.

    Returns:
        The exit code.

    Raises:
        CommandError: If that cannot be done.
    """
    with mistakes():
        choose("format", command.to, FORMATS)
    from beeline import run

    env = handed_over(command.run, command.env, constants)
    try:
        with warnings_in_one_line():
            loaded = run.load(command.run, env=env, **own_of(command))
        file = loaded.export(
            command.out, to=command.to, seed=command.seed, overwrite=command.overwrite
        )
    except (run.RunError, ExportError) as error:
        raise CommandError(str(error)) from None
    print(file)
    return 0


def plot_in(command: Plot, constants: Mapping[str, str]) -> int:
    """Draw a run, or curves of several.

    Args:
        command: Which run, and how.
        constants: Those of its environment.

    Returns:
        The exit code.

    Raises:
        CommandError: If that cannot be done.
    """
    from beeline import run

    if not command.runs:
        raise CommandError("name at least one run directory to plot")
    try:
        with warnings_in_one_line():
            if len(command.runs) == 1:
                env = handed_over(command.runs[0], command.env, constants)
                drawn = run.draw_run(run.load(command.runs[0], env=env, **own_of(command)))
            else:
                run.draw_curves(command.runs, command.out)
                drawn = (command.out,)
    except run.RunError as error:
        raise CommandError(str(error)) from None
    except CommandError:
        raise
    except Exception as error:
        raise CommandError(f"cannot draw: {error}", _FAILURE) from error
    for file in drawn:
        print(file)
    return 0
