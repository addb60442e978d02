"""Training from a configuration to a result, with everything stored on the way."""

import dataclasses
import signal
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from beeline._attempts import failure_of
from beeline.build import Draws, build
from beeline.compute.background import in_background
from beeline.compute.devices import use_devices, use_every_core
from beeline.compute.memory import keep_freed_memory
from beeline.config import Config
from beeline.config import preset as from_preset
from beeline.config._catalogue import entry_of
from beeline.data import Episodes
from beeline.envs import Environment
from beeline.models import WorldModel
from beeline.policies import Policy
from beeline.run import _own as own
from beeline.run._before import (
    begins_again,
    check_learner,
    check_optimum,
    check_origin,
    check_packages,
    imagined,
    lengthened,
    warn_of_constraints,
)
from beeline.run._compiling import compile_cache, require_devices
from beeline.run._data import Logged, from_data, judged
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
    data: Episodes | None = None,
    offline: bool = False,
    reward: Callable[..., Any] | None = None,
    caution: float = 1.0,
) -> Run:
    """Train policies through learned world models.

    What is left out comes from `config`, or else from the preset.

    Args:
        task: Name of the task, one of `beeline.envs.names()`; an environment, such as
            `beeline.envs.make` gives with other constants; `module:Name` of one, or of a class
            that makes one from a horizon; a simulator of Gymnasium's, or `gymnasium:NAME`;
            an environment of gymnax, brax or MuJoCo Playground, or `gymnax:NAME`, `brax:NAME`,
            `playground:NAME`.
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
        data: Logged episodes in the place of the warm-up; `env_steps` come after them.
        offline: Whether to learn from the data alone. No environment takes a step then, but to
            evaluate the policy at the end; without `task` there is none, and names and bounds are
            those of the data.
        reward: Offline, the reward of a state, an action between its bounds and a step index, and
            of `next_state` if it takes that, in JAX; left out, that of the task, or a model of the
            rewards logged.
        caution: Offline, how much reward is taken off where the data does not tell what happens.

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
    config = _configured(config, preset, given, warm=data is None)
    check_packages(config)
    use_every_core(config.fitting_batch, config.improvement_batch)
    require_devices()
    path, logged = None if out is None else files.expand(out), None
    if data is not None:
        if path is not None:
            files.claim(path, overwrite=overwrite)
        more: dict[str, Any] = {"offline": offline, "reward": reward, "caution": caution}
        there = task is not None or not offline
        config, env, logged = from_data(config, env, data, task=there, horizon=horizon, **more)
    elif offline or reward is not None:
        raise TypeError("offline and reward are for data: give data as well")
    if env is not None:
        config = identified(config, env, checked=check)
    config = own.identified(config, draws, env)
    config = imagined(config, env, draws, None if logged is None else logged.rows)
    if path is None:
        run = _train(config, env, draws, None, cadence, progress, logged)
    else:
        files.claim(path, overwrite=overwrite)
        with locked(path):
            # Another process may have been there first.
            files.claim(path, overwrite=overwrite)
            run = _train(config, env, draws, path, cadence, progress, logged)
    return run if logged is None else judged(run, logged)


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
    check_packages(recorded)
    if env is None:
        check_known(recorded, folder)
    draws = own.handed_over(recorded, model, policy, folder)
    with locked(folder):
        config = lengthened(folder, files.read_config(folder), env_steps)
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


def _configured(
    config: Config | None, preset: str | None, given: dict[str, Any], *, warm: bool
) -> Config:
    if config is not None and preset is not None:
        raise TypeError("give a preset or a configuration, not both")
    if config is not None:
        return dataclasses.replace(config, **given)
    if warm:
        return from_preset(preset or "default", **given)
    # Data is the warm-up, however long that of the preset is.
    config = from_preset(preset or "default")
    given["exploration"] = dataclasses.replace(config.exploration, warmup_steps=0)
    return dataclasses.replace(config, **given)


def _train(
    config: Config,
    env: Environment | None,
    draws: Draws,
    path: Path | None,
    cadence: Cadence,
    progress: bool | None,
    logged: Logged | None = None,
    *,
    resumed: bool = False,
) -> Run:
    keep_freed_memory()
    try:
        algorithm = build(config, env, draws, None if logged is None else logged.rows)
    except ValueError as error:
        raise RunError(str(error)) from error
    check_optimum(config, algorithm)
    warn_of_constraints(config, algorithm.env)
    restored = _restored(config, algorithm, draws, path) if resumed else None
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
            check_origin(path, restored, origin)
        shown.phase("training")
        if path is not None:
            with storing(path):
                (files.reopen if resumed else files.begin)(path, config)
                if logged is not None:
                    logged.store(path)
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


def _restored(
    config: Config, algorithm: Algorithm, draws: Draws, path: Path | None
) -> Restored | None:
    warn_of_unsaved(algorithm.env)
    restored = None if path is None else restore(path, config, algorithm, draws)
    if restored is None:
        begins_again(path)
    else:
        check_learner(path, algorithm, restored)
    return restored


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
