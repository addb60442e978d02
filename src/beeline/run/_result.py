"""A run that was trained, in memory or read from its directory."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from beeline._module import ArraysInside
from beeline._untrusted import shorten
from beeline.baselines._base import Baseline, BaselineState
from beeline.build import build
from beeline.config import Config
from beeline.envs import Environment
from beeline.models import WorldModel
from beeline.policies import Policy
from beeline.run import _directory as files
from beeline.run._environment import environment_of
from beeline.run._errors import RunError
from beeline.run._programs import compile_cache, require_devices, seeds_of
from beeline.run._reference import Reference
from beeline.run._restore import restore
from beeline.training import BPO, BPOState, Episode


@final
@dataclass(frozen=True, eq=False)
class Run(ArraysInside):
    """What training gave.

    Runs are equal if all that they hold is, to the last bit. They and their parts can be pickled.
    """

    config: Config
    """What the run was."""
    algorithm: BPO | Baseline
    """Algorithm 1, or a baseline in its place, as it was set up."""
    state: BPOState | BaselineState
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
        if not isinstance(self.state, BPOState):
            raise RunError(f"a run of {self.config.model} has no world model")
        return tuple(_pick(self.state.model, i) for i in range(self.config.seeds))

    @property
    def policy(self) -> Policy:
        """The learned policy.

        Returns:
            That of the first seed.
        """
        return self.policies[0]

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
    """The deterministic policies of a run, each in one real episode."""

    states: Float[np.ndarray, "seed times state"]
    actions: Float[np.ndarray, "seed time action"]
    return_: Float[np.ndarray, " seed"]
    normalized_return: Float[np.ndarray, " seed"]
    reference: Reference


def load(path: str | Path, *, env: Environment | str | None = None) -> Run:
    """Read a run from its directory.

    Args:
        path: The directory.
        env: The environment, or `module:Name` of it, if it was trained on one of one's own. Nothing
            that the run's files name is ever imported.

    Returns:
        The run as of its last checkpoint.

    Raises:
        RunError: If there is no run, or its files are damaged or of another version.
    """
    folder = files.expand(path)
    config = files.read_config(folder)
    require_devices()
    algorithm = build(config, environment_of(config, env, folder))
    last = restore(folder, config, algorithm)
    if last is None:
        raise RunError(f"there is no checkpoint {folder / files.CHECKPOINT}")
    summary = files.read_summary(folder)
    if summary is not None and not last.rows:
        raise RunError(f"{folder / files.METRICS} is empty, but {files.SUMMARY} tells of an end")
    if summary is not None:
        _check_summary(folder / files.SUMMARY, summary, config, last.rows[-1])
    return Run(config, algorithm, last.state, last.rows, summary, folder)


def evaluate_run(run: Run | str | Path, *, env: Environment | str | None = None) -> Evaluation:
    """Live through one episode with the deterministic policy of each seed.

    Args:
        run: The run, or its directory.
        env: As for `load`.

    Returns:
        The episodes, their returns, and the optimum to compare them with.

    Raises:
        RunError: If the directory does not hold a run that can be read.
    """
    run = run if isinstance(run, Run) else load(run, env=env)
    env = run.env
    with compile_cache():
        reference = Reference.of(env, run.config.reference)
        # The task is deterministic unless it has process noise: then this is one draw of it.
        key = jax.random.key(0)
        arrays, static = eqx.partition(run.state.policy, eqx.is_array)
        algorithm = run.algorithm

        def evaluate(arrays: Any) -> Episode:
            policies = eqx.combine(arrays, static)
            return eqx.filter_vmap(lambda policy: algorithm.evaluate(policy, key=key))(policies)

        # What `filter_jit` is given beside arrays, such as this function, JAX would never let go.
        episodes = jax.jit(evaluate)(arrays)
    returns = np.asarray(episodes.return_)
    return Evaluation(
        states=np.asarray(episodes.states),
        actions=np.asarray(episodes.actions),
        return_=returns,
        normalized_return=reference.normalize(returns),
        reference=reference,
    )


def _check_summary(
    file: Path, summary: dict[str, Any], config: Config, last: dict[str, Any]
) -> None:
    known = {name: getattr(config, name) for name in ("task", "horizon", "model", "preset")}
    known |= {name: last[name] for name in ("env_steps", "return", "normalized_return")}
    known |= {"seeds": seeds_of(config), "iterations": last["iteration"]}
    for name, value in known.items():
        if name not in summary or summary[name] != value:
            raise RunError(f"{file}: {name} is {shorten(summary.get(name))}, not that of the run")
    for name in ("optimal_return", "random_return", "wall_seconds", "compile_seconds"):
        unknown = name == "optimal_return" and summary.get(name, 0) is None
        if type(summary.get(name)) not in (int, float) and not unknown:
            raise RunError(f"{file}: {name} is {shorten(summary.get(name))}, not a number")


def _is_numeric(leaf: Any) -> bool:
    return eqx.is_array(leaf) and not jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _pick(tree: Any, position: int) -> Any:
    return jax.tree.map(lambda x: x[position] if eqx.is_array(x) else x, tree)
