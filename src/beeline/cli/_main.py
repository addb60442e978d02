"""The command line: parses, calls `beeline.run`, prints.

JAX is imported only once a command needs it, so that lists and mistakes are answered at once.
"""

import contextlib
import dataclasses
import importlib.metadata
import io
import os
import platform
import re
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import tyro

from beeline import config as configuration
from beeline._choices import choose
from beeline.cli._commands import Diagnose, Evaluate, Export, Fit, List, Plan, Plot, Resume, Train
from beeline.cli._environments import (
    describe,
    environment,
    handed_over,
    split_constants,
    subject,
)
from beeline.cli._factories import drawn, names_of_models, own_functions, own_of
from beeline.cli._fit import fit
from beeline.cli._logged import data_of, directory_of, print_judgement
from beeline.cli._messages import say, warnings_in_one_line
from beeline.cli._mistakes import CommandError, mistakes
from beeline.cli._parser_boxes import one_line
from beeline.cli._planning import plan_in
from beeline.cli._returns import print_returns, print_simulator
from beeline.cli._runs import evaluate_in, export_in, plot_in
from beeline.cli._streams import BROKEN_PIPE, flush_streams, prepare_streams
from beeline.config import BASELINES, MODELS, PRESETS, Config
from beeline.envs import descriptions
from beeline.envs._registry import ENTRIES
from beeline.envs._simulator_error import SimulatorError

_DESCRIPTION = """Learn control policies by backpropagating through learned world models.

Begin with: beeline train cancer-treatment --horizon 20

beeline COMMAND --help tells the options of a command, beeline --version what is installed."""

_STRICTNESS = ("JAX_NUMPY_DTYPE_PROMOTION", "JAX_NUMPY_RANK_PROMOTION", "JAX_TRANSFER_GUARD")
"""What users set to find slips in programs of their own: this one is not written to it."""

_FLAG = re.compile(r"--horizon(=|$)")

_COMMANDS = ("train", "resume", "evaluate", "export", "plan", "plot", "diagnose", "fit", "list")
_FAILURE, _INTERRUPTED, _TERMINATED = 1, 130, 143


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: What follows the program's name; by default the process's own.

    Returns:
        The exit code: 0, 1 for a failure, 2 for a mistake in the command, 130 for Ctrl-C, 141 if
        nobody reads the output any more, 143 for SIGTERM.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given[:1] == ["--version"]:
        print(_versions())
        return 0
    try:
        others, constants = split_constants(given)
        return _do(_parse(others), others, constants)
    except CommandError as error:
        return _refuse(str(error), error.code)
    except KeyboardInterrupt as error:
        # An interrupted run says which signal it was; Python itself raises this for Ctrl-C only.
        number = getattr(error, "signal", signal.SIGINT)
        return _refuse(str(error) or "interrupted", 128 + number)
    except BrokenPipeError:
        return BROKEN_PIPE
    except OSError as error:
        return _refuse(str(error), _FAILURE)
    except MemoryError as error:
        return _refuse(f"out of memory: {error}".removesuffix(": "), _FAILURE)


def _do(command: Any, given: Sequence[str], constants: Mapping[str, str]) -> int:
    if isinstance(command, List):
        return _list(command)
    if isinstance(command, Train):
        return _train(command, constants, any(_FLAG.match(argument) for argument in given))
    do: dict[type, Callable[[Any, Mapping[str, str]], int]] = {
        Resume: _resume,
        Evaluate: evaluate_in,
        Export: export_in,
        Plan: plan_in,
        Plot: plot_in,
        Diagnose: _diagnose,
        Fit: lambda command, _: fit(command),
    }
    return do[type(command)](command, constants)


def _versions() -> str:
    packages = ("beeline", "jax", "jaxlib")
    named = [f"{name} {importlib.metadata.version(name)}" for name in packages]
    return ", ".join([*named, f"Python {platform.python_version()}"])


def script() -> None:
    """Run the process's command and end the process."""
    prepare_streams()
    for name in _STRICTNESS:
        os.environ.pop(name, None)
    try:
        code = main()
    except SystemExit:
        # The parser ends so once it has printed its help.
        code = 0
    code = flush_streams(code)
    if code in (_INTERRUPTED, _TERMINATED):
        # Everything is on disk, but an orderly end would wait for what the device is computing.
        os._exit(code)
    sys.exit(code)


def _parse(arguments: list[str]) -> Any:
    commands: Any = (
        Annotated[Train, tyro.conf.subcommand("train", default=_defaults(arguments))]
        | Annotated[Resume, tyro.conf.subcommand("resume")]
        | Annotated[Evaluate, tyro.conf.subcommand("evaluate")]
        | Annotated[Export, tyro.conf.subcommand("export")]
        | Annotated[Plan, tyro.conf.subcommand("plan")]
        | Annotated[Plot, tyro.conf.subcommand("plot")]
        | Annotated[Diagnose, tyro.conf.subcommand("diagnose")]
        | Annotated[Fit, tyro.conf.subcommand("fit")]
        | Annotated[List, tyro.conf.subcommand("list")]
    )
    if arguments and not arguments[0].startswith("-"):
        with mistakes():
            choose("command", arguments[0], dict.fromkeys(_COMMANDS))
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            return tyro.cli(commands, args=arguments, prog="beeline", description=_DESCRIPTION)
    except SystemExit as end:
        if end.code:
            raise CommandError(one_line(said.getvalue())) from None
        raise


def _defaults(arguments: list[str]) -> Train:
    # The preset has to be known before the options that change its fields can be parsed.
    name = "default"
    for position, argument in enumerate(arguments):
        if argument == "--preset" and position + 1 < len(arguments):
            name = arguments[position + 1]
        elif argument.startswith("--preset="):
            name = argument.partition("=")[2]
    with mistakes():
        defaults = Train(**_shared_fields(configuration.preset(name)))
    # With data, there may be no task at all.
    with_data = any(argument.partition("=")[0] == "--data" for argument in arguments)
    return dataclasses.replace(defaults, task="") if with_data else defaults


def _config(command: Train) -> Config:
    with mistakes():
        return Config(**_shared_fields(command))


def _shared_fields(source: Config | Train) -> dict[str, Any]:
    return {field.name: getattr(source, field.name) for field in dataclasses.fields(Config)}


def _train(command: Train, constants: Mapping[str, str], with_horizon: bool) -> int:
    task, name = None, command.task
    if name and ":" not in name:
        with mistakes():
            choose("task", name, descriptions())
    command, data = data_of(command)
    with mistakes():
        command, constants = own_functions(command, constants)
    if not name:
        command = dataclasses.replace(command, task=Train.task)
    elif constants or name not in ENTRIES:
        env = environment(name, command.horizon if with_horizon else None, constants)
        # A registered name is what the run is called; with other constants, or as module:Name, it
        # has the environment's own.
        task = env if constants or ":" in name else name
        command = dataclasses.replace(command, task=Train.task, horizon=env.horizon)
        name = env.name if task is env else name
    elif data:
        task = name
    with mistakes():
        own, fields = drawn(command)
    config = _config(dataclasses.replace(command, **fields))
    from beeline import run

    return _finish(
        lambda: run.train(
            task=task,
            horizon=config.horizon if name or with_horizon else None,
            config=config,
            **own,
            **data,
            check=command.check,
            out=command.out or directory_of(command, name, config),
            overwrite=command.overwrite,
            checkpoint_steps=command.checkpoint_steps,
            checkpoint_minutes=command.checkpoint_minutes,
        )
    )


def _resume(command: Resume, constants: Mapping[str, str]) -> int:
    from beeline import run

    env = handed_over(command.run, command.env, constants)
    return _finish(
        lambda: run.resume(
            command.run,
            env=env,
            **own_of(command),
            env_steps=command.env_steps,
            checkpoint_steps=command.checkpoint_steps,
            checkpoint_minutes=command.checkpoint_minutes,
        )
    )


def _finish(training: Callable[[], Any]) -> int:
    from beeline import run

    try:
        with warnings_in_one_line():
            trained = training()
    except run.RunError as error:
        raise CommandError(str(error)) from None
    except (run.DivergedError, SimulatorError) as error:
        raise CommandError(str(error), _FAILURE) from None
    summary = trained.summary or {}
    print(f"run       {trained.path}")
    for name in ("learning_curve.png", "trajectories.png"):
        if (trained.path / name).exists():
            print(f"figure    {trained.path}/{name}")
    if "offline" in summary:
        print_judgement(summary)
        return 0
    if trained.config.because:
        print(f"imagined  {trained.config.imagination}, for {trained.config.because}")
    print(
        f"training  {summary['env_steps']} environment steps in {summary['wall_seconds']:.1f} s, "
        f"after {summary['compile_seconds']:.1f} s of compiling"
    )
    if "simulator_steps" in summary:
        print_simulator(summary)
    print(
        f"saving    a checkpoint of {summary['checkpoint_bytes'] / 1e6:.2f} MB; "
        f"saves: {summary['saves']}, {summary['save_seconds']:.2f} s in all"
    )
    if trained.algorithm.evaluation_episodes:
        print_returns(summary, trained.reference_kind)
    else:
        print(f"measured  not on the way: beeline evaluate {trained.path} does it now")
    return 0


def _diagnose(command: Diagnose, constants: Mapping[str, str]) -> int:
    from beeline.run.directory.layout import expand

    given = command.task_or_run
    with mistakes():
        of_run = given not in descriptions() and expand(given).is_dir()
        if not of_run and ":" not in given:
            choose("task or run", given, descriptions())
        models = names_of_models(command.models)
        if not of_run and any(own_of(command).values()):
            raise ValueError(
                "--model and --policy-factory are for a run: name models of a task, or "
                "module:name of functions that draw them, with --models"
            )
    from beeline import diagnose, run
    from beeline.run._compiling import require_devices

    try:
        require_devices()
        with warnings_in_one_line():
            env = handed_over(Path(given), command.env, constants) if of_run else None
            report = diagnose(
                run.load(given, env=env, **own_of(command))
                if of_run
                else subject(given, constants),
                models,
                command.horizons,
                expand(command.out),
                transitions=command.transitions,
                fit_steps=command.fit_steps,
                samples=command.samples,
                points=command.points,
                preset_name=command.preset,
                seed=command.seed,
                say=lambda line: print(line, file=sys.stderr, flush=True),
            )
    except ValueError as error:
        raise CommandError(str(error)) from None
    for name in ("growth-laws", "alignment", "landscapes"):
        if name in report.tables:
            print(f"{report.tables[name].text()}\n")
    for file in report.files:
        print(file)
    return 0


def _list(command: List) -> int:
    tables: dict[str, Mapping[str, str]] = {
        "tasks": descriptions(),
        "models": {name: entry.description for name, entry in MODELS.items()},
        "baselines": {name: entry.description for name, entry in BASELINES.items()},
        "presets": {name: text for name, (text, _) in PRESETS.items()},
    }
    if command.env is not None:
        tables = {f"constants of {command.env}": describe(command.env)}
    for title, entries in tables.items():
        print(title)
        for name, text in entries.items():
            print(f"  {name:<18} {text}")
    return 0


def _refuse(message: str, code: int) -> int:
    say(message)
    return code
