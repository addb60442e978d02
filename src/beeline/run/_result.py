"""A run that was trained, in memory or read from its directory."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from beeline._module import ArraysInside
from beeline.build import build
from beeline.config import REFERENCES, Config
from beeline.control.chance import has_best_plan
from beeline.envs import Environment
from beeline.models import WorldModel
from beeline.policies import Policy
from beeline.run import _own as own
from beeline.run._compiling import compile_cache, require_devices
from beeline.run._environment import environment_of
from beeline.run._errors import RunError
from beeline.run._longer import HeldClock, at_horizon
from beeline.run._reference import Reference
from beeline.run._summary import check_summary
from beeline.run.directory import layout as files
from beeline.run.directory.restore import restore
from beeline.training import Episode, evaluate
from beeline.training.algorithm import Algorithm, State, seeds_of


@final
@dataclass(frozen=True, eq=False)
class Run(ArraysInside):
    """What training gave.

    Runs are equal if all that they hold is, to the last bit. They and their parts can be pickled.
    """

    config: Config
    """What the run was."""
    algorithm: Algorithm
    """Algorithm 1, or a baseline in its place, as it was set up."""
    state: State
    """Everything it had learned and seen; every array has a leading axis of seeds."""
    records: list[dict[str, Any]]
    """What each iteration measured, as `metrics.jsonl` has it."""
    summary: dict[str, Any] | None
    """How it ended, as `summary.json` has it; None if it was cut short."""
    path: Path | None
    """Its directory, if it has one."""

    def __getstate__(self) -> dict[str, Any]:
        # As NumPy's, for where float64 is not enabled JAX reads arrays of its own as float32.
        arrays, rest = eqx.partition(self.state, _is_numeric)
        return vars(self) | {"state": (jax.tree.map(np.asarray, arrays), rest)}

    def __setstate__(self, entries: dict[str, Any]) -> None:
        arrays, rest = entries["state"]
        with jax.enable_x64(True):
            state = eqx.combine(jax.tree.map(jnp.asarray, arrays), rest)
        vars(self).update(entries | {"state": state})

    @property
    def env(self) -> Environment:
        """The task.

        Returns:
            The environment.
        """
        return self.algorithm.env

    @property
    def reference_kind(self) -> str:
        """Name what returns are compared with.

        Returns:
            `optimum` for that of the best plan, and else `reference`.
        """
        solved = self.config.reference == "optimum" and has_best_plan(self.env)
        return "optimum" if solved else "reference"

    @property
    def seeds(self) -> list[int]:
        """The seeds trained side by side.

        Returns:
            Their numbers, in the order of `policies` and `models`.
        """
        return seeds_of(self.config)

    @property
    def policies(self) -> tuple[Policy, ...]:
        """The learned policies.

        Returns:
            One for each seed.
        """
        return tuple(_pick(self.state.policy, i) for i in range(self.config.seeds))

    @property
    def models(self) -> tuple[WorldModel, ...]:
        """The learned world models.

        Returns:
            One for each seed.

        Raises:
            RunError: If the run is of a baseline, which has none.
        """
        if self.state.model is None:
            raise RunError(f"a run of {self.config.model} has no world model")
        return tuple(_pick(self.state.model, i) for i in range(self.config.seeds))

    @property
    def policy(self) -> Policy:
        """The learned policy.

        Returns:
            That of the first seed.
        """
        return self.policies[0]

    def export(
        self,
        out: str | Path | None = None,
        *,
        to: str = "numpy",
        seed: int | None = None,
        overwrite: bool = False,
    ) -> Path:
        """Write a learned policy to one file that runs without Beeline.

        Args:
            out: The file; `policy-seedSEED` in the run's directory if not given.
            to: `numpy`, `stablehlo` or `onnx`.
            seed: Which policy, of `seeds`; the first if not given.
            overwrite: Whether another file there may be replaced.

        Returns:
            The file.

        Raises:
            RunError: If the run has no such seed, or no directory and no file is given.
            ExportError: If there is no such format, the file cannot be written, or the policy
                cannot be exported to it.
        """
        from beeline.export import FORMATS, export_policy

        seed = self.seeds[0] if seed is None else seed
        if seed not in self.seeds:
            raise RunError(f"seed is {seed}: this run has {', '.join(map(str, self.seeds))}")
        if out is None and self.path is None:
            raise RunError("this run has no directory: name a file to export to")
        if out is None:
            suffix = FORMATS[to].suffix if to in FORMATS else ""
            out = (self.path or Path()) / f"policy-seed{seed}{suffix}"
        policy = self.policies[self.seeds.index(seed)]
        about = {"model": self.config.model, "seed": seed, "iterations": len(self.records)}
        return export_policy(
            policy, self.env, files.expand(out), to=to, overwrite=overwrite, about=about
        )

    @property
    def model(self) -> WorldModel:
        """The learned world model.

        Returns:
            That of the first seed.
        """
        return self.models[0]


@final
@dataclass(frozen=True, eq=False)
class Evaluation(ArraysInside):
    """The deterministic policies of a run in real episodes, one where nothing is left to chance."""

    states: Float[np.ndarray, "seed times state"]
    actions: Float[np.ndarray, "seed time action"]
    """Of the first episode of each, in [-1, 1] whatever the bounds of the environment:
    `env.physical_action` converts them."""
    return_: Float[np.ndarray, " seed"]
    """Mean over the episodes."""
    normalized_return: Float[np.ndarray, " seed"]
    returns: Float[np.ndarray, "seed episode"]
    """That of each episode."""
    reference: Reference

    @property
    def standard_error(self) -> Float[np.ndarray, " seed"] | None:
        """How sure the mean returns are.

        Returns:
            Their standard errors; None if there is one episode alone.
        """
        episodes = self.returns.shape[1]
        return self.returns.std(axis=1, ddof=1) / episodes**0.5 if episodes > 1 else None


def load(
    path: str | Path,
    *,
    env: Environment | str | None = None,
    model: str | Callable[..., WorldModel] | None = None,
    policy: str | Callable[..., Policy] | None = None,
) -> Run:
    """Read a run from its directory.

    Args:
        path: The directory.
        env: The environment, or `module:Name` of it, if it was trained on one of one's own that
            is not registered. The run's files name it, but never what to import.
        model: The function that draws its world model, or `module:name` of it, if it has one of
            one's own.
        policy: The function that draws its policy, likewise.

    Returns:
        The run as of its last checkpoint.

    Raises:
        RunError: If there is no run, or its files are damaged or of another version.
    """
    folder = files.expand(path)
    config = files.read_config(folder)
    draws = own.handed_over(config, model, policy, folder)
    require_devices()
    known = environment_of(config, env, folder)
    own.check_same(config, draws, known, folder)
    algorithm = build(config, known, draws)
    last = restore(folder, config, algorithm, draws)
    if last is None:
        raise RunError(f"there is no checkpoint {folder / files.CHECKPOINT}")
    summary = files.read_summary(folder)
    if summary is not None and not last.rows:
        raise RunError(f"{folder / files.METRICS} is empty, but {files.SUMMARY} tells of an end")
    if summary is not None:
        check_summary(folder / files.SUMMARY, summary, config, last.rows[-1])
    return Run(config, algorithm, last.state, last.rows, summary, folder)


def evaluate_run(
    run: Run | str | Path,
    horizon: int | None = None,
    *,
    env: Environment | str | None = None,
    model: str | Callable[..., WorldModel] | None = None,
    policy: str | Callable[..., Policy] | None = None,
) -> Evaluation:
    """Roll real episodes out with the deterministic policy of each seed.

    In episodes of more steps than it was trained for, a policy that sees no time simply goes on.
    The clock of one that does stands still in the middle for as many steps as there are more.

    Args:
        run: The run, or its directory.
        horizon: Steps in an episode; those that it was trained for if left out.
        env: As for `load`.
        model: As for `load`.
        policy: As for `load`.

    Returns:
        The episodes, their returns, and the optimum to compare them with.

    Raises:
        RunError: If the directory does not hold a run that can be read, or its environment or
            policy has no episodes of that many steps.
    """
    run = run if isinstance(run, Run) else load(run, env=env, model=model, policy=policy)
    count = run.algorithm.evaluation_episodes
    with compile_cache():
        task, kind, play_one = _episodes(run, horizon)
        reference = Reference.of(task, kind)
        key = jax.random.key(0)
        arrays, static = eqx.partition(run.state.policy, eqx.is_array)

        def play(policy: Policy) -> Episode:
            if count == 1:
                return jax.tree.map(lambda x: x[None], play_one(policy, key=key))
            keys = jax.random.split(key, count)
            return jax.vmap(lambda key: play_one(policy, key=key))(keys)

        # What `filter_jit` is given beside arrays, such as this function, JAX would never let go.
        evaluate = jax.jit(lambda arrays: eqx.filter_vmap(play)(eqx.combine(arrays, static)))
        episodes = evaluate(arrays)
    returns = np.asarray(episodes.return_)
    means = returns[:, 0] if count == 1 else returns.mean(axis=1)
    return Evaluation(
        states=np.asarray(episodes.states[:, 0]),
        actions=np.asarray(episodes.actions[:, 0]),
        return_=means,
        normalized_return=reference.normalize(means),
        returns=returns,
        reference=reference,
    )


def _episodes(run: Run, horizon: int | None) -> tuple[Environment, str, Callable[..., Episode]]:
    # Of which task, what they are compared with, and how they are rolled out.
    env, kind = run.env, run.config.reference
    if horizon is None or horizon == env.horizon:
        return env, kind, run.algorithm.evaluate
    if not isinstance(run.state.policy, Policy):
        raise RunError(
            f"horizon is {horizon}, but a policy of {run.config.model} looks back on episodes of "
            f"{env.horizon} steps alone: leave it out"
        )
    task = at_horizon(env, horizon)
    middle, more = env.horizon // 2, max(0, task.horizon - env.horizon)
    return (
        task,
        # A number counts for the horizon that it was given for.
        kind if kind in REFERENCES else "none",
        lambda policy, *, key: evaluate(task, HeldClock(policy, middle, more), key=key),
    )


def _is_numeric(leaf: Any) -> bool:
    return eqx.is_array(leaf) and not jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _pick(tree: Any, position: int) -> Any:
    return jax.tree.map(lambda x: x[position] if eqx.is_array(x) else x, tree)
