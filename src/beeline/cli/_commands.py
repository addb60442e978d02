"""The commands and their options, as the command line shows them."""

from dataclasses import dataclass
from pathlib import Path

import tyro

from beeline.config._config import Fields


@dataclass(frozen=True, kw_only=True)
class Columns:
    """Which columns of logged data to read."""

    states: str = ""
    """Columns of the state in logged data, with commas between; not for NPZ."""
    actions: str = ""
    """Columns of the action, likewise."""
    episode: str | None = None
    """Column that says which episode a row is of; all rows are one if not given."""
    step: str | None = None
    """Column of the step's number or time: gaps and unequal steps are refused by it."""
    reward_column: str | None = None
    """Column of the reward; no world model learns it."""
    terminated: str | None = None
    """Column that is 1 in the last row of an episode that ended there."""
    action_low: str | None = None
    """The lowest actions, with commas between; those of the data if not given."""
    action_high: str | None = None
    """The highest actions, likewise."""


@dataclass(frozen=True)
class Train(Fields, Columns):
    """Train policies through learned world models."""

    task: tyro.conf.Positional[str] = Fields.task
    """Name of the task (`beeline list` shows them), or module:Name of an environment. `--env.NAME
    VALUE` changes a constant of it, such as `--env.delta 0.3` (`beeline list --env TASK`)."""
    environment: tyro.conf.Suppress[str] = Fields.environment
    own_model: tyro.conf.Suppress[str] = Fields.own_model
    own_policy: tyro.conf.Suppress[str] = Fields.own_policy
    because: tyro.conf.Suppress[str] = Fields.because
    policy_factory: str | None = None
    """module:name of a function that draws a policy of one's own."""
    data: Path | None = None
    """File of logged data in the place of the warm-up: CSV or Parquet with a row for each step, or
    NPZ with arrays of agreed names; or minari:DATASET. --env-steps come after it."""
    offline: bool = False
    """Whether to learn from that data alone, whether or not there is a TASK to judge by."""
    caution: float = 1.0
    """Offline, how much reward is taken off where the data does not tell what happens."""
    out: Path | None = None
    """Directory of the run; runs/TASK-hHORIZON-MODEL-seedSEED if not given."""
    overwrite: bool = False
    """Whether to replace another run in that directory."""
    check: bool = True
    """Whether to refuse an environment of one's own that breaks the contract."""
    checkpoint_steps: int | None = None
    """Environment steps between checkpoints; time alone counts if not given."""
    checkpoint_minutes: float = 1.0
    """Minutes between checkpoints; more where they would take over 2% of the time."""


@dataclass(frozen=True)
class Resume:
    """Continue a run from its last checkpoint, or make one that has ended longer."""

    run: tyro.conf.Positional[Path]
    """Directory of the run."""
    env: str | None = None
    """module:Name of the environment, if the run was trained on one of one's own, and `--env.NAME
    VALUE` for each constant that it was trained with."""
    model: str | None = None
    """module:name of the function that draws its world model, if that is of one's own."""
    policy_factory: str | None = None
    """module:name of the function that draws its policy, if that is of one's own."""
    env_steps: int | None = None
    """Environment steps in all, more than the run has; the learning rates follow the new length."""
    checkpoint_steps: int | None = None
    """Environment steps between checkpoints; time alone counts if not given."""
    checkpoint_minutes: float = 1.0
    """Minutes between checkpoints; more where they would take over 2% of the time."""


@dataclass(frozen=True)
class Evaluate:
    """Measure the policies of a run."""

    run: tyro.conf.Positional[Path]
    """Directory of the run."""
    horizon: int | None = None
    """Steps in an episode, more or fewer than in training. A policy that sees the time has its
    clock stand still in the middle for as many steps as there are more."""
    env: str | None = None
    """module:Name of the environment, if the run was trained on one of one's own, and `--env.NAME
    VALUE` for each constant that it was trained with."""
    model: str | None = None
    """module:name of the function that draws its world model, if that is of one's own."""
    policy_factory: str | None = None
    """module:name of the function that draws its policy, if that is of one's own."""
    json: bool = False
    """Whether to print JSON."""


@dataclass(frozen=True)
class Export:
    """Write the policy of a run to one file that runs without Beeline."""

    run: tyro.conf.Positional[Path]
    """Directory of the run."""
    to: str
    """What to write: numpy (arrays, for NumPy alone), stablehlo (for JAX alone), onnx (for any ONNX
    runtime) or safetensors (all weights by name, to exchange)."""
    out: Path | None = None
    """The file; policy-seedSEED in the directory of the run if not given."""
    seed: int | None = None
    """Which of the run's policies, by its seed; the first if not given."""
    overwrite: bool = False
    """Whether to replace another file there."""
    env: str | None = None
    """module:Name of the environment, if the run was trained on one of one's own, and `--env.NAME
    VALUE` for each constant that it was trained with."""
    model: str | None = None
    """module:name of the function that draws its world model, if that is of one's own."""
    policy_factory: str | None = None
    """module:name of the function that draws its policy, if that is of one's own."""


@dataclass(frozen=True)
class Plan:
    """Find the actions that earn most in the world model of a run, print and draw them."""

    run: tyro.conf.Positional[Path]
    """Directory of the run."""
    state: str | None = None
    """Where the plan begins, as numbers with commas between, such as 0.1,0.2 (if the first is
    negative, with =: --state=-0.1,0.2); a start of the task if not given."""
    horizon: int | None = None
    """Steps of the plan; those that are left of the episode if not given."""
    first: int = 0
    """Index of the first step in its episode."""
    method: str = "lbfgs"
    """How to look: lbfgs or adam (along gradients), cem or mppi (by trying plans)."""
    starts: int = 8
    """How many sequences of actions to begin from."""
    seed: int | None = None
    """Which of the run's models, by its seed; the first if not given."""
    constraints: str | None = None
    """module:name of a beeline.control.Constraints that the plan has to keep, about actions in
    physical units."""
    out: Path | None = None
    """Folder for plan.csv, plan.json and plan.png; that of the run if not given."""
    json: bool = False
    """Whether to print JSON."""
    env: str | None = None
    """module:Name of the environment, if the run was trained on one of one's own, and `--env.NAME
    VALUE` for each constant that it was trained with."""
    model: str | None = None
    """module:name of the function that draws its world model, if that is of one's own."""
    policy_factory: str | None = None
    """module:name of the function that draws its policy, if that is of one's own."""


@dataclass(frozen=True)
class Plot:
    """Draw the figures of a run again, or the learning curves of several together."""

    runs: tyro.conf.Positional[tuple[Path, ...]]
    """Directories of the runs."""
    env: str | None = None
    """module:Name of the environment, if the run was trained on one of one's own, and `--env.NAME
    VALUE` for each constant that it was trained with."""
    model: str | None = None
    """module:name of the function that draws its world model, if that is of one's own."""
    policy_factory: str | None = None
    """module:name of the function that draws its policy, if that is of one's own."""
    out: Path = Path("learning_curves.png")
    """Where to put the figure of several runs."""


@dataclass(frozen=True)
class Diagnose:
    """Measure the gradients that world models give, beside the true dynamics."""

    task_or_run: tyro.conf.Positional[str]
    """Name of a task, module:Name of an environment, or directory of a run."""
    env: str | None = None
    """module:Name of the environment, if the run was trained on one of one's own, and `--env.NAME
    VALUE` for each constant that it was trained with."""
    model: str | None = None
    """module:name of the function that draws its world model, if that is of one's own."""
    policy_factory: str | None = None
    """module:name of the function that draws its policy, if that is of one's own."""
    models: tuple[str, ...] = ()
    """Names of models, or module:name of functions that draw them, for a task; a run has its own.
    """
    horizons: tuple[int, ...] = (5, 10, 20, 40)
    """Steps in an episode; a growth law needs four different numbers."""
    out: Path = Path("diagnosis")
    """Directory for the tables and figures."""
    transitions: int = 20_000
    """Environment steps of random actions to fit a task's models to."""
    fit_steps: int = 1000
    """Updates of each of a task's models; 0 leaves them untrained."""
    samples: int = 50
    """Random action sequences and noise draws at each horizon."""
    points: int = 201
    """Points of each return landscape."""
    preset: str = "default"
    """Preset of a task's models and of their fitting."""
    seed: int = 0
    """Seed of everything random."""


@dataclass(frozen=True)
class Fit(Columns):
    """Fit a world model to logged data, and say how far ahead it can be believed."""

    data: tyro.conf.Positional[Path]
    """CSV or Parquet file with a row for each step, or NPZ file with arrays of agreed names; or
    minari:DATASET."""
    model: str = "gru-awm"
    """Name of the world model (`beeline list` shows them)."""
    window: int | None = None
    """Steps in a window that is learned from; 50 if not given, or fewer for short episodes."""
    ahead: int | None = None
    """Steps ahead to measure errors; those of a window if not given."""
    held_out: float = 0.2
    """Share of the episodes to hold out, or of a single record's steps, which are its last."""
    believe: float = 0.5
    """Largest error of a forecast that is believed, in standard deviations of the state."""
    updates: int = 2000
    """Updates of the model."""
    seed: int = 0
    """Seed of everything random."""
    out: Path | None = None
    """Directory for the model; fits/DATA-MODEL-seedSEED if not given."""
    overwrite: bool = False
    """Whether to replace another model in that directory."""


@dataclass(frozen=True)
class List:
    """List the tasks, models and presets."""

    env: str | None = None
    """Name of a task or module:Name of an environment, to list its constants instead."""
