"""A run that was trained, in memory or read from its directory."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, SupportsFloat, SupportsIndex, final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Float

from beeline._module import ArraysInside
from beeline.build import build
from beeline.config import Config
from beeline.control import Constraints, Plan, Search
from beeline.control.chance import has_best_plan
from beeline.envs import Environment
from beeline.models import WorldModel
from beeline.policies import Policy
from beeline.run import _own as own
from beeline.run._compiling import require_devices
from beeline.run._environment import environment_of
from beeline.run._errors import RunError
from beeline.run._summary import check_summary
from beeline.run.directory import layout as files
from beeline.run.directory.restore import restore
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
        """Write a learned policy to one file that runs without Beeline, or weights to exchange.

        Args:
            out: The file; `policy-seedSEED` in the run's directory if not given.
            to: `numpy`, `stablehlo`, `onnx`, or `safetensors` for the weights of everything that
                was learned.
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

        position = self.position_of(seed)
        seed = self.seeds[position]
        if out is None and self.path is None:
            raise RunError("this run has no directory: name a file to export to")
        if out is None:
            suffix = FORMATS[to].suffix if to in FORMATS else ""
            out = (self.path or Path()) / f"policy-seed{seed}{suffix}"
        policy = self.policies[position]
        about = {"model": self.config.model, "seed": seed, "iterations": len(self.records)}
        learners = getattr(self.state, "learners", {})
        beside = {
            name: _pick(one.weights, position) for name, one in learners.items() if name != "policy"
        }
        return export_policy(
            policy,
            self.env,
            files.expand(out),
            to=to,
            overwrite=overwrite,
            about=about,
            beside=beside,
        )

    def plan(
        self,
        state: Float[ArrayLike, " state"] | Sequence[SupportsFloat] | None = None,
        horizon: SupportsIndex | None = None,
        *,
        first: SupportsIndex = 0,
        seed: int | None = None,
        search: Search | None = None,
        starts: SupportsIndex = 8,
        constraints: Constraints | None = None,
    ) -> Plan:
        """Find the actions that earn most in the learned world model: see `beeline.control.plan`.

        A plan that ends before its episode does counts what the critic expects of its last state,
        if the run has a critic.

        Args:
            state: Where the plan begins, in physical units; a start of the task if not given.
            horizon: Steps of the plan; those that are left of the episode if not given.
            first: Index of the first step in its episode.
            seed: Whose model, of `seeds`; that of the first if not given.
            search: How to look; `beeline.control.LBFGS()` if not given.
            starts: How many sequences to begin from.
            constraints: What the plan has to keep, beside what the environment declares; about
                actions in physical units, if they say nothing else.

        Returns:
            The plan, and how far its start is from what the model was fitted on.

        Raises:
            RunError: If the run has no world model or no such seed, the state is none, or the plan
                goes on beyond the episodes that the model was fitted on.
        """
        from beeline.run._planning import plan_run

        return plan_run(
            self,
            state,
            horizon,
            first=first,
            seed=seed,
            search=search,
            starts=starts,
            constraints=constraints,
        )

    def position_of(self, seed: int | None) -> int:
        """Find a seed among those trained side by side.

        Args:
            seed: The seed; the first if None.

        Returns:
            Its position in `policies` and `models`.

        Raises:
            RunError: If the run has no such seed.
        """
        if seed is None:
            return 0
        if seed not in self.seeds:
            raise RunError(f"seed is {seed}: this run has {', '.join(map(str, self.seeds))}")
        return self.seeds.index(seed)

    @property
    def model(self) -> WorldModel:
        """The learned world model.

        Returns:
            That of the first seed.
        """
        return self.models[0]


def load(
    path: str | Path,
    *,
    env: Any = None,
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


def _is_numeric(leaf: Any) -> bool:
    return eqx.is_array(leaf) and not jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _pick(tree: Any, position: int) -> Any:
    return jax.tree.map(lambda x: x[position] if eqx.is_array(x) else x, tree)
