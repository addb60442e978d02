"""Training from a configuration to a result, with everything stored on the way."""

import dataclasses
import signal
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from beeline._attempts import failure_of
from beeline.build import Draws, build, imagination_of
from beeline.compute.background import in_background
from beeline.compute.devices import use_devices, use_every_core
from beeline.compute.memory import keep_freed_memory
from beeline.config import Config
from beeline.config import preset as from_preset
from beeline.config._catalogue import entry_of
from beeline.config._fields import Count
from beeline.control.chance import has_best_plan
from beeline.envs import Environment
from beeline.models import WorldModel
from beeline.policies import Policy
from beeline.run import _own as own
from beeline.run._compiling import compile_cache, require_devices
from beeline.run._display import Display, display
from beeline.run._environment import (
    check_known,
    chosen,
    environment_of,
    identified,
    warn_of_unsaved,
)
from beeline.run._errors import (
    DivergedError,
    Interrupted,
    RunError,
    RunWarning,
    shell_word,
)
from beeline.run._provenance import provenance
from beeline.run._reference import Reference
from beeline.run._remedies import recover
from beeline.run._result import Run
from beeline.run._stop import stopping
from beeline.run._summary import summarise
from beeline.run.directory import layout as files
from beeline.run.directory.keeper import START, Cadence, Keeper, keeping, storing
from beeline.run.directory.lock import locked
from beeline.run.directory.records import row
from beeline.run.directory.restore import Restored, devices_then, restore
from beeline.training.algorithm import Algorithm, State, seeds_of


def train(
    task: Any = None,
    horizon: int | None = None,
    *,
    model: str | Callable[..., WorldModel] | None = None,
    policy: str | Callable[..., Policy] | None = None,
    preset: str | None = None,
    seed: int | None = None,
    seeds: int | None = None,
    env_steps: int | None = None,
    config: Config | None = None,
    out: str | Path | None = None,
    overwrite: bool = False,
    checkpoint_steps: int | None = None,
    checkpoint_minutes: float = 1.0,
    progress: bool | None = None,
    check: bool = True,
) -> Run:
    """Train policies through learned world models.

    What is left out comes from `config`, or else from the preset.

    Args:
        task: Name of the task, one of `beeline.envs.names()`; an environment, such as
            `beeline.envs.make` gives with other constants; `module:Name` of one, or of a class
            that makes one from a horizon; a simulator of Gymnasium's, or `gymnasium:NAME`.
        horizon: Steps in an episode, at least 2; those of the environment if one is given.
        model: Name of the world model; or a function of an environment and a key that draws one of
            one's own, or `module:name` of such a function.
        policy: A function that draws a policy of one's own, likewise.
        preset: Name of the preset to start from; not together with `config`.
        seed: Seed of the first run.
        seeds: How many runs to train side by side.
        env_steps: Environment steps in all, the warm-up included.
        config: A whole configuration to start from.
        out: Directory to keep the run in; nothing is written if left out.
        overwrite: Whether another run in that directory may be replaced.
        checkpoint_steps: Environment steps between checkpoints; left out, time alone counts.
        checkpoint_minutes: Minutes between checkpoints, or more: they never take over 2% of the
            time unless `checkpoint_steps` asks for them.
        progress: Whether to show a progress bar; by default if standard error is a terminal.
        check: Whether to refuse an environment of one's own that breaks the contract; see
            `beeline.envs.check`.

    Returns:
        The run: its policies and models, what every iteration measured, and a summary.

    Raises:
        TypeError: If both a preset and a configuration are given, a count is not an integer, or
            what is given as an environment, a model or a policy is none.
        ValueError: If a name is unknown, a value out of range, or an environment breaks the
            contract.
        RunError: If the directory holds another run, or files that are no run, or another
            process is writing to it, or a function draws something else than it should.
        StorageError: If the run cannot be written any more; what was saved is whole.
        DivergedError: If a number becomes infinite or NaN; the last good state is saved.
        Interrupted: On Ctrl-C or SIGTERM, after the iteration; the state is saved.
    """
    cadence = Cadence(checkpoint_steps, checkpoint_minutes)
    draws = own.draws_of(model, policy)
    fields = {
        "horizon": horizon,
        "seed": seed,
        "seeds": seeds,
        "env_steps": env_steps,
        **own.fields_of(model, draws),
    }
    env, named = chosen(task, horizon, config)
    fields |= named | ({} if seeds is None else {"seeds": seeds})
    given = {name: value for name, value in fields.items() if value is not None}
    if config is None:
        config = from_preset(preset or "default", **given)
    elif preset is not None:
        raise TypeError("give a preset or a configuration, not both")
    else:
        config = dataclasses.replace(config, **given)
    _check_packages(config)
    use_every_core(config.fitting_batch, config.improvement_batch)
    require_devices()
    if env is not None:
        config = identified(config, env, checked=check)
    config = own.identified(config, draws, env)
    try:
        config = imagination_of(config, env, draws)
    except ValueError as error:
        raise RunError(str(error)) from error
    if out is None:
        return _train(config, env, draws, None, cadence, progress)
    path = files.expand(out)
    files.claim(path, overwrite=overwrite)
    with locked(path):
        # Another process may have been there first.
        files.claim(path, overwrite=overwrite)
        return _train(config, env, draws, path, cadence, progress)


def resume(
    path: str | Path,
    *,
    env: Any = None,
    model: str | Callable[..., WorldModel] | None = None,
    policy: str | Callable[..., Policy] | None = None,
    env_steps: int | None = None,
    checkpoint_steps: int | None = None,
    checkpoint_minutes: float = 1.0,
    progress: bool | None = None,
) -> Run:
    """Continue a run from its last checkpoint, as if nothing had happened.

    On the same machine and versions, it ends with the same bits as without the interruption.

    Args:
        path: Directory of the run.
        env: The environment, or `module:Name` of it, if it was trained on one of one's own that
            is not registered.
        model: The function that draws its world model, or `module:name` of it, if it has one of
            one's own.
        policy: The function that draws its policy, likewise.
        env_steps: Environment steps in all, to make the run longer. The learning rates follow
            their cosine over the new length from here on, as if it had been planned: at once
            they rise to where a run of that length would be.
        checkpoint_steps: As for `train`.
        checkpoint_minutes: As for `train`.
        progress: Whether to show a progress bar; by default if standard error is a terminal.

    Returns:
        The run, with the records of its whole length.

    Raises:
        RunError: If there is no run, or it has ended and is not made longer, or is asked to be
            shorter, or its files are damaged, or another process is writing to it.
        StorageError: If the run cannot be written any more; what was saved is whole.
        DivergedError: If a number becomes infinite or NaN; the last good state is saved.
        Interrupted: On Ctrl-C or SIGTERM, after the iteration; the state is saved.
    """
    cadence = Cadence(checkpoint_steps, checkpoint_minutes)
    folder = files.expand(path)
    recorded = files.read_config(folder)
    _check_packages(recorded)
    if env is None:
        check_known(recorded, folder)
    draws = own.handed_over(recorded, model, policy, folder)
    with locked(folder):
        config = _lengthened(folder, files.read_config(folder), env_steps)
        devices = devices_then(folder)
        if devices is None:
            use_every_core(config.fitting_batch, config.improvement_batch)
        else:
            # Sums over shares of a batch have the same bits only if there are as many shares.
            use_devices(devices)
        require_devices()
        known = environment_of(config, env, folder)
        own.check_same(config, draws, known, folder)
        return _train(config, known, draws, folder, cadence, progress, resumed=True)


def _check_packages(config: Config) -> None:
    entry = entry_of(config)
    missing = entry.missing_package()
    if missing is not None:
        raise RunError(
            f"the model {config.model!r} needs {missing}, which is not installed: "
            f"pip install 'beeline[{entry.extra}]'"
        )


def _lengthened(folder: Path, config: Config, env_steps: int | None) -> Config:
    longer = config
    if env_steps is not None:
        try:
            steps = Count(1)("env-steps", env_steps)
        except (TypeError, ValueError) as error:
            raise RunError(str(error)) from None
        if steps < config.env_steps:
            raise RunError(
                f"env-steps is {steps}, but {folder} is a run of {config.env_steps}: give more"
            )
        longer = dataclasses.replace(config, env_steps=steps)
    if files.read_summary(folder) is not None and longer.iterations == config.iterations:
        raise RunError(
            f"{folder} has ended after {config.env_steps} environment steps: make it longer with "
            f"--env-steps, at least {config.env_steps + config.horizon}"
        )
    return longer


def _train(
    config: Config,
    env: Environment | None,
    draws: Draws,
    path: Path | None,
    cadence: Cadence,
    progress: bool | None,
    *,
    resumed: bool = False,
) -> Run:
    keep_freed_memory()
    try:
        algorithm = build(config, env, draws)
    except ValueError as error:
        # Such as what the environment does and the model cannot take.
        raise RunError(str(error)) from error
    _check_optimum(config, algorithm)
    restored = restore(path, config, algorithm, draws) if resumed and path is not None else None
    if resumed:
        warn_of_unsaved(algorithm.env)
    if resumed and restored is None:
        warnings.warn(f"{path} has no checkpoint yet: it begins again", RunWarning, stacklevel=3)
    if restored is not None:
        _check_learner(path, algorithm, restored)
    with compile_cache(), display(algorithm, config.env_steps, shown=progress) as shown:
        shown.phase("compiling")
        beside = entry_of(config).packages
        prepared = in_background(
            lambda: (Reference.of(algorithm.env, config.reference), provenance(beside))
        )
        state = None if restored is None else restored.state
        began = time.perf_counter()
        in_background(lambda: algorithm.prepare(seeds_of(config), state))()
        compile_seconds = time.perf_counter() - began
        shown.phase("solving for the optimum")
        reference, origin = prepared()
        if restored is not None:
            _check_origin(path, restored, origin)
        shown.phase("training")
        if path is not None:
            with storing(path):
                (files.reopen if resumed else files.begin)(path, config)
        with keeping(path, config, cadence, origin) as keeper:
            rows = [] if restored is None else restored.rows
            keeper.begin_at(START if restored is None else restored.position)
            state = _iterate(algorithm, state, reference, rows, keeper, shown)
            summary = summarise(
                config,
                rows,
                reference,
                compile_seconds,
                keeper,
                origin,
                evaluation_episodes=algorithm.evaluation_episodes,
            )
        run = Run(config, algorithm, state, rows, summary, path)
        if path is not None:
            shown.phase("drawing")
            _end(run, path, summary)
    return run


def _end(run: Run, path: Path, summary: dict[str, Any]) -> None:
    undrawn = failure_of(lambda: _draw(run, path))
    with storing(path):
        # Last of all: a run with a summary has ended.
        files.write_json(path / files.SUMMARY, summary)
    if undrawn is not None:
        warnings.warn(
            f"{path} is trained, but its figures are not drawn ({undrawn}): once that is "
            f"mended, beeline plot {shell_word(path)} draws them",
            RunWarning,
            stacklevel=4,
        )


def _draw(run: Run, path: Path) -> None:
    for name in (files.LEARNING_CURVE, files.TRAJECTORIES):
        # If drawing fails, no figure is better than one of before the run was made longer.
        (path / name).unlink(missing_ok=True)
    # Imported this late because it takes longer than everything before training.
    from beeline.run._figures import draw_run

    draw_run(run)


def _check_optimum(config: Config, algorithm: Algorithm) -> None:
    if algorithm.asks_for_optimum and not has_best_plan(algorithm.env):
        raise RunError(
            f"the model {config.model!r} asks for a share of the best return, and {config.task!r} "
            "has none, for it starts or moves by chance, can terminate or does not end: choose "
            "another model"
        )


def _check_learner(path: Path | None, algorithm: Algorithm, restored: Restored) -> None:
    if not algorithm.can_go_on(restored.state):
        raise RunError(
            f"{path} was saved with its policy alone, by an older version of beeline: evaluate it, "
            "or train it again with --overwrite"
        )


def _check_origin(path: Path | None, restored: Restored, now: dict[str, Any]) -> None:
    for field in ("versions", "devices", "precision"):
        if field in restored.about and restored.about[field] != now[field]:
            warnings.warn(
                f"{path} was trained with other {field} than there are now: "
                "it goes on, but not with the same bits",
                RunWarning,
                stacklevel=4,
            )


def _iterate(
    algorithm: Algorithm,
    restored: State | None,
    reference: Reference,
    rows: list[dict[str, Any]],
    keeper: Keeper,
    shown: Display,
) -> State:
    config = algorithm.config
    before = rows[-1]["wall_seconds"] if rows else 0.0
    began = time.perf_counter()
    # Together in one object, for an interrupt may come between any two assignments.
    good = algorithm.warm_up() if restored is None else restored, keeper.position
    fault = None if rows else algorithm.fault_of_warmup(good[0])
    if fault is not None:
        raise DivergedError(fault.quantity, config.seed + fault.position, 0, advice=fault.advice)
    with stopping() as stop:
        try:
            stop.heed()
            for index in range(len(rows), config.iterations):
                after, record, found = algorithm.iterate(good[0], index)
                faults = algorithm.faults(record, found, after)
                after = recover(
                    config, good[0], after, faults, iteration=index + 1, path=keeper.path
                )
                rows.append(
                    {
                        "iteration": index + 1,
                        "env_steps": (config.warmup_episodes + index + 1) * config.horizon,
                        "wall_seconds": round(before + time.perf_counter() - began, 3),
                        **row(record, reference),
                    }
                )
                good = after, keeper.append(rows[-1])
                if keeper.due():
                    keeper.save(*good)
                shown.iteration(rows[-1])
                stop.heed()
        except KeyboardInterrupt:
            asked = stop.signal or signal.SIGINT
            done = good[1].iterations
            raise Interrupted(done, config.iterations, keeper.path, asked) from None
        finally:
            # Also after a failure: it is what the last good iteration left.
            keeper.save(*good)
    return good[0]
