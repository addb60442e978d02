"""Every world model and baseline, an entry each: what is listed, checked and built follows from it.

An entry names what makes its model by where that is, and it is imported once it is called: a list
of models starts no JAX.
"""

import importlib
import importlib.util
import inspect
import operator
import re
from collections import ChainMap
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, final

from beeline._choices import choose

WORLD_MODEL = (
    "reward",
    "termination",
    "nonfinite",
    "world_model",
    "policy",
    "fitting",
    "improvement",
    "imagination",
    "windows",
    "exploration",
)
"""Fields, or whole groups, that world models have beside what all have."""


OWN_MODEL = (
    *(name for name in WORLD_MODEL if name != "world_model"),
    "world_model.standardise",
    "world_model.modes",
    "world_model.hidden",
    "world_model.frequencies",
)
"""Those of a model of the user's own: of its group, what the models beside it are made with."""


@final
@dataclass(frozen=True)
class Core:
    """A sequence core; each makes a world model of actions and one of histories."""

    what: str
    """What it is, to begin a sentence."""
    label: str
    """What it is called in figures."""
    factory: str
    """Where what draws it is, as `module:name`."""
    takes: tuple[str, ...]
    """What that is called with, beside a key: fields of the group `world_model`, or `horizon`."""
    source: str = ""
    """What to say of its model of actions."""


_TRUTH = "truth"
"""What diagnoses call the true dynamics."""

_NAME = re.compile(r"[A-Za-z0-9][\w.-]*")

CORES = {
    "transformer": Core(
        "Transformer",
        "transformer",
        "beeline.sequence.transformer:Transformer.for_horizon",
        ("width", "layers", "heads", "positions", "horizon"),
        " (the paper's method)",
    ),
    "ssm": Core(
        "Diagonal state-space model",
        "SSM",
        "beeline.sequence.ssm:SSM.for_horizon",
        ("width", "layers", "horizon"),
    ),
    "lstm": Core("LSTM", "LSTM", "beeline.sequence.lstm:LSTM", ("width", "recurrent")),
    "gru": Core("GRU", "GRU", "beeline.sequence.gru:GRU", ("width", "recurrent")),
    "rnn": Core(
        "Vanilla recurrent network",
        "RNN",
        "beeline.sequence.rnn:RNN",
        ("width", "recurrent"),
        " (Eq. 4)",
    ),
    "attention": Core(
        "One softmax self-attention layer",
        "self-attention",
        "beeline.sequence.self_attention:SelfAttention",
        ("width",),
        " (Eq. 5)",
    ),
}


@final
@dataclass(frozen=True)
class Entry:
    """A world model, or a baseline in the place of one."""

    description: str
    """One line for lists."""
    label: str
    """What it is called in figures."""
    factory: str = ""
    """Where what makes it from a configuration and an environment is, as `module:name`."""
    options: tuple[str, ...] = WORLD_MODEL
    """Fields of the configuration, or whole groups, that it has beside what all have."""
    packages: tuple[str, ...] = ()
    """What has to be installed beside the library's own dependencies."""
    extra: str = ""
    """The extra that installs them."""
    core: Core | None = None
    """What it draws its sequence core from, if it has one."""
    own: Callable[..., Any] | None = None
    """What draws it from an environment alone, if a user registered it."""

    def make(self, *arguments: Any, **options: Any) -> Any:
        """Make what it describes.

        Args:
            *arguments: What the factory takes.
            **options: The same, by name.

        Returns:
            A world model, newly drawn, or what trains a baseline.
        """
        return located(self.factory)(*arguments, **options)

    def missing_package(self) -> str | None:
        """Look for the packages that it needs.

        Returns:
            The first that is not installed, or None.
        """
        absent = (name for name in self.packages if importlib.util.find_spec(name) is None)
        return next(absent, None)


MODELS = {
    **{
        f"{name}-awm": Entry(
            f"{core.what} over the initial state and the actions{core.source}.",
            f"{core.label} AWM",
            "beeline.build:actions_model",
            core=core,
        )
        for name, core in CORES.items()
    },
    **{
        f"{name}-history": Entry(
            f"{core.what} over states and actions, its predictions fed back.",
            f"{core.label} history model",
            "beeline.build:history_model",
            core=core,
        )
        for name, core in CORES.items()
    },
    "markov": Entry(
        "One-step network on state and action, unrolled.",
        "Markov model",
        "beeline.build:markov_model",
    ),
    "simulator": Entry(
        "The true dynamics, differentiated through; nothing is learned of them.",
        "true dynamics",
        "beeline.build:simulator_model",
    ),
}

BASELINES = {
    "sac": Entry(
        "Soft actor-critic by Stable-Baselines3, without a world model.",
        "SAC",
        "beeline.sac:SAC",
        options=("sac", "exploration.warmup_steps"),
        packages=("gymnasium", "stable_baselines3", "torch"),
        extra="baselines",
    ),
    "online-dt": Entry(
        "Online decision transformer: asks for a return, imitates what it has seen.",
        "online decision transformer",
        "beeline.online_dt:OnlineDT",
        options=("online_dt", "exploration.warmup_steps", "exploration.correlated"),
    ),
}

CATALOGUE = ChainMap(MODELS, BASELINES)
"""All of them by name."""


def entry_of(config: Any) -> Entry:
    """Look up what a run trains.

    Args:
        config: The run.

    Returns:
        The entry of its model or baseline, or one for a model of the user's own.
    """
    if config.own_model:
        return Entry("Of one's own.", config.model, options=OWN_MODEL)
    return choose("model", config.model, CATALOGUE)


def is_of_library(model: str) -> bool:
    """Say whether a name stands for something of the library's own.

    Args:
        model: Any name.

    Returns:
        Whether it does.
    """
    return model == _TRUTH or (model in CATALOGUE and CATALOGUE[model].own is None)


def register_model(name: str, draw: Callable[..., Any], *, description: str = "") -> None:
    """Make a name for a world model of one's own, for as long as the process lasts.

    Configurations, `beeline.train`, `load` and `resume` know it from then on. What is registered
    again replaces itself, so that a cell of a notebook can run twice.

    Args:
        name: The name, of letters, digits, ".", "_" and "-".
        draw: A function of an environment and `key=` that draws a `beeline.models.WorldModel`.
        description: One line for lists of models; left out, the first line of the docstring.

    Raises:
        TypeError: If that is no function.
        ValueError: If the name cannot be one, or is taken.
    """
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"{name!r} cannot name a model: give letters, digits, '.', '_' and '-', such as 'mine'"
        )
    if not callable(draw):
        raise TypeError(
            f"{draw!r} draws no model: give a function draw(env, key) that draws one, for each "
            "seed has its own"
        )
    if is_of_library(name):
        raise ValueError(f"{name!r} is a model of the library: register yours under another name")
    before = CATALOGUE[name].own if name in CATALOGUE else draw
    if _place(before) != _place(draw):
        raise ValueError(
            f"{name!r} is the name of {_place(before)} already: register {_place(draw)} under "
            "another name"
        )
    text = description or (inspect.getdoc(draw) or "Of one's own.").partition("\n")[0]
    MODELS[name] = Entry(text, name, options=OWN_MODEL, own=draw)


def _place(draw: Any) -> str:
    kind = draw if hasattr(draw, "__qualname__") else type(draw)
    return f"{kind.__module__}:{kind.__qualname__}"


def located(path: str) -> Any:
    """Import what is named by where it is; only this file's own entries are.

    Args:
        path: `module:name`, the name with dots where it lies in a class.

    Returns:
        What is there.
    """
    module, _, name = path.partition(":")
    return operator.attrgetter(name)(importlib.import_module(module))
