"""What a training run is: plain data, checked where it enters, saved with the run.

Nothing here imports JAX, so that the command line answers quickly.
"""

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

from beeline._baseline_options import OnlineDecisionTransformer, SoftActorCritic
from beeline._choices import choose
from beeline._fields import (
    FINITE_POSITIVE,
    FROM_ZERO,
    POSITIVE,
    SHARE,
    Choice,
    ChoiceOrNumber,
    Count,
    Sizes,
    Switch,
    Text,
    field,
    group,
    normalised,
)
from beeline._unused_options import check_unused
from beeline.envs import names as task_names
from beeline.envs._registry import check_least_horizon

MODELS = {
    "transformer-awm": "Transformer over the initial state and the actions (the paper's method).",
    "ssm-awm": "Diagonal state-space model over the initial state and the actions.",
    "lstm-awm": "LSTM over the initial state and the actions.",
    "gru-awm": "GRU over the initial state and the actions.",
    "rnn-awm": "Vanilla recurrent network over the initial state and the actions (Eq. 4).",
    "attention-awm": "One softmax self-attention layer over them, nothing added (Eq. 5).",
    "transformer-history": "Transformer over states and actions, its predictions fed back.",
    "lstm-history": "LSTM over states and actions, its predictions fed back.",
    "ssm-history": "State-space model over states and actions, its predictions fed back.",
    "markov": "One-step network on state and action, unrolled.",
    "simulator": "The true dynamics, differentiated through; nothing is learned of them.",
}

BASELINES = {
    "sac": "Soft actor-critic by Stable-Baselines3, without a world model.",
    "online-dt": "Online decision transformer: asks for a return, imitates what it has seen.",
}


REWARDS = {
    "known": "The task's own reward function, differentiable (the paper).",
    "learned": "A model of the rewards seen, fitted with the world model.",
}


REFERENCES = {
    "optimum": "The best open-loop plan, where nothing is left to chance.",
    "none": "Nothing: returns are told as they are.",
}


SQUASHES = {
    "clip": "clip(x): reaches the edges of the box, and leaves a wrong one at full pace.",
    "tanh": "tanh(x): comes ever nearer to the edges, and its slope to zero (the paper).",
}


OPTIMISERS = {
    "muon": "Muon for matrices, all directions at the same pace; Nesterov's Adam for the rest.",
    "adam": "Adam (the paper).",
}


NONFINITE = {
    "stop": "End the run at the first number that is not finite, and name it.",
    "skip": "Leave out the update or the episode it came up in, count it, and go on.",
    "restore": "Go on from the weights of before the iteration, at half the learning rates.",
}

_LARGEST_SEED = 2**32 - 1
"""Of 32 bits, as JAX and PyTorch take them."""

_LEAST_EPISODES, _LEAST_STEPS = 16, 1600
"""What an update is made of where nothing else is said: as many episodes as make both."""


@dataclass(frozen=True)
class Model:
    """The world model."""

    width: int = field(72, Count(1))
    """Size of a token (paper, Appendix C)."""
    layers: int = field(2, Count(1))
    """Blocks of the sequence core."""
    heads: int = field(3, Count(1))
    """Attention heads a block; divides the width."""
    recurrent: tuple[int, ...] = field((64, 64), Sizes())
    """Memories of an RNN, a GRU or an LSTM, a layer each."""
    hidden: tuple[int, ...] = field((64, 64), Sizes())
    """Hidden layers of the decoder, or of the Markov network."""
    positions: bool = field(False, Switch())
    """Whether a transformer adds a learned table of positions, as GPT-2 does."""
    frequencies: int = field(4, Count(0))
    """Sine and cosine pairs of time, beside time itself, given to every token."""
    harmonics: int = field(2, Count(0))
    """Sine and cosine pairs of each action entry in the tokens of a sequence model."""
    standardise: bool = field(True, Switch())
    """Whether states are compressed and standardised with statistics of the warm-up."""


@dataclass(frozen=True)
class Policy:
    """The policy."""

    hidden: tuple[int, ...] = field((64, 64), Sizes())
    """Hidden layers."""
    frequencies: int = field(4, Count(0))
    """Sine and cosine pairs of time among its inputs."""
    squash: str = field("clip", Choice(SQUASHES), since=2, before="tanh")
    """How actions come into their box: `clip`, or `tanh`."""
    mean_bound: float = field(5.0, FINITE_POSITIVE)
    """Largest mean before squashing."""
    least_deviation: float = field(0.05, FINITE_POSITIVE)
    """Least standard deviation before squashing."""
    greatest_deviation: float = field(0.3, FINITE_POSITIVE)
    """Greatest standard deviation before squashing."""


@dataclass(frozen=True)
class Fitting:
    """Fitting the world model to the episodes seen."""

    optimiser: str = field("muon", Choice(OPTIMISERS), since=2, before="adam")
    """How weights descend: by `muon`, or `adam`."""
    learning_rate: float = field(1e-2, FINITE_POSITIVE)
    """Step size at the start."""
    final_rate: float = field(0.1, SHARE)
    """Share of the step size left at the end of the run, on a cosine."""
    batch_size: int = field(0, Count(0))
    """Whole episodes an update; 0 takes 16, or more where these are less than 1,600 steps."""
    imagined: float = field(0.5, SHARE, since=2, before=0.0)
    """Share of them that a one-step model imagines, for all models but the one-step ones."""
    env_steps_per_update: float = field(10.0, POSITIVE)
    """Environment steps between updates."""
    clip: float = field(1.0, POSITIVE)
    """Largest gradient norm."""
    weight_decay: float = field(0.1, FROM_ZERO)
    """Decoupled weight decay of the matrices."""


@dataclass(frozen=True)
class Improvement:
    """Improving the policy in the model."""

    learning_rate: float = field(1e-3, FINITE_POSITIVE)
    """Adam's step size at the start."""
    final_rate: float = field(0.1, SHARE)
    """Share of the step size left at the end of the run, on a cosine."""
    batch_size: int = field(0, Count(0))
    """Imagined episodes an update; 0 takes 16, or more where these are less than 1,600 steps."""
    env_steps_per_update: float = field(10.0, POSITIVE)
    """Environment steps between updates."""
    clip: float = field(1.0, POSITIVE)
    """Largest gradient norm."""
    first_noise: float = field(4.0, FINITE_POSITIVE, since=2, before=1.0)
    """How many times the policy's own noise imagined episodes begin with; 1 at the run's end."""
    entropy_weight: float = field(0.003, FROM_ZERO)
    """Weight of the mean entropy beside the scaled return."""
    scale_returns: bool = field(True, Switch())
    """Whether returns are divided by their standard deviation over the warm-up."""
    through_policy: float = field(0.0, SHARE)
    """Share of the gradient through the policy's input; 0 is the paper's stop-gradient."""
    through_states: float = field(1.0, SHARE)
    """Share of the gradient through predicted states that are fed back."""


@dataclass(frozen=True)
class Exploration:
    """What is done to see more than the policy's own path."""

    warmup_steps: int = field(1500, Count(0))
    """Environment steps with random actions before any update."""
    fit_warmup: bool = field(True, Switch())
    """Whether the warm-up's share of updates is caught up on when it ends."""
    correlated: bool = field(True, Switch())
    """Whether random actions and noise are correlated over time."""
    amplitude: float = field(1.2, FROM_ZERO)
    """Largest amplitude of the noise added to the policy's actions; 0 adds none."""


_PAPER: dict[str, Any] = {
    "env_steps": 200_000,
    "world_model": Model(positions=True, frequencies=0, harmonics=0, standardise=False),
    "policy": Policy(
        frequencies=0,
        squash="tanh",
        mean_bound=10.0,
        least_deviation=1e-3,
        greatest_deviation=7.0,
    ),
    "fitting": Fitting(
        optimiser="adam",
        learning_rate=1e-3,
        batch_size=64,
        imagined=0.0,
        weight_decay=0.0,
        env_steps_per_update=2.0,
        clip=math.inf,
        final_rate=1.0,
    ),
    "improvement": Improvement(
        learning_rate=1e-4,
        batch_size=16,
        first_noise=1.0,
        env_steps_per_update=16.0,
        clip=100.0,
        final_rate=1.0,
        entropy_weight=0.01,
        scale_returns=False,
    ),
    "exploration": Exploration(fit_warmup=False, correlated=False, amplitude=0.0),
    "sac": SoftActorCritic(normalise=False),
    "online_dt": OnlineDecisionTransformer(
        acting_context=5,
        width=512,
        layers=4,
        learning_rate=1e-4,
        rate_warmup=10_000,
        temperature_rate=1e-4,
        batch_size=256,
        env_steps_per_update=10 / 3,
    ),
}


PRESETS: dict[str, tuple[str, dict[str, Any]]] = {
    "default": ("Few environment steps and little time.", {}),
    "paper": ("Table 1 and Appendix C of the paper, to the letter.", _PAPER),
}


@dataclass(frozen=True)
class Config:
    """One training run."""

    task: str = field("cancer-treatment", Text())
    """Name of the task, or of an environment of one's own."""
    environment: str = field("", Text(), since=3, before="")
    """What an environment of one's own is, as `beeline.envs` compares it; empty for a task."""
    horizon: int = field(100, Count(2))
    """Steps in an episode, at least 2; `invasive-plant` takes 10, `one-bounce` 3."""
    model: str = field("transformer-awm", Choice(MODELS | BASELINES))
    """Name of the world model."""
    reward: str = field("known", Choice(REWARDS))
    """Whether the policy sees the task's reward function or a model of the rewards seen."""
    preset: str = field("default", Choice(PRESETS))
    """Name of the preset that the other fields started from."""
    seed: int = field(0, Count(0, _LARGEST_SEED))
    """Seed of the first run."""
    seeds: int = field(1, Count(1))
    """Runs side by side, with seeds that follow each other."""
    env_steps: int = field(10_000, Count(1))
    """Environment steps in all, the warm-up included."""
    reference: str = field("optimum", ChoiceOrNumber(REFERENCES), since=3, before="optimum")
    """What returns are compared with: the `optimum` where there is one, `none`, or a return."""
    evaluation_episodes: int = field(0, Count(0), since=3, before=0)
    """Episodes that a policy is measured in; 0 takes 1, or 32 where chance has a part."""
    nonfinite: str = field("stop", Choice(NONFINITE), since=2, before="stop")
    """What to do about a number that is not finite: `stop`, `skip` or `restore`."""
    world_model: Model = group(Model)
    """The world model."""
    policy: Policy = group(Policy)
    """The policy."""
    fitting: Fitting = group(Fitting)
    """Fitting the world model."""
    improvement: Improvement = group(Improvement)
    """Improving the policy."""
    exploration: Exploration = group(Exploration)
    """Exploring."""
    sac: SoftActorCritic = group(SoftActorCritic, since=2)
    """Soft actor-critic."""
    online_dt: OnlineDecisionTransformer = group(OnlineDecisionTransformer, since=2)
    """Online decision transformer."""

    def __post_init__(self) -> None:
        """Refuse what cannot run, before anything is done.

        Raises:
            TypeError: If a value is of another type than its field.
            ValueError: If a value is out of range, naming the field, the value and the range.
        """
        for name, value in normalised(self).items():
            object.__setattr__(self, name, value)
        if not self.environment:
            choose("task", self.task, dict.fromkeys(task_names()))
            check_least_horizon(self.task, self.horizon)
        if self.seed + self.seeds - 1 > _LARGEST_SEED:
            raise ValueError(
                f"seed is {self.seed} and seeds {self.seeds}, but the last may be at most "
                f"{_LARGEST_SEED}: lower one of them"
            )
        # Runs of before a baseline was added have its default options, whatever their preset.
        check_unused(self, _usual(self.preset), _usual("default"))
        for name in ("world_model", "online_dt"):
            sizes, flag = getattr(self, name), name.replace("_", "-")
            if sizes.width % sizes.heads:
                raise ValueError(
                    f"{flag}.width is {sizes.width}, not a multiple of {flag}.heads = "
                    f"{sizes.heads}: change one of them"
                )
        if self.sac.env_steps_per_policy_update % self.sac.env_steps_per_update:
            raise ValueError(
                f"sac.env-steps-per-policy-update is {self.sac.env_steps_per_policy_update}, not a "
                f"multiple of sac.env-steps-per-update = {self.sac.env_steps_per_update}: change "
                "one of them"
            )
        if self.policy.least_deviation > self.policy.greatest_deviation:
            raise ValueError(
                f"policy.least-deviation is {self.policy.least_deviation}, above "
                f"policy.greatest-deviation = {self.policy.greatest_deviation}: swap them"
            )
        if self.env_steps < self.warmup_episodes * self.horizon + self.horizon:
            raise ValueError(
                f"env-steps is {self.env_steps}, but the warm-up takes "
                f"{self.warmup_episodes * self.horizon} and one episode {self.horizon} more: "
                "raise env-steps or lower exploration.warmup-steps"
            )

    @property
    def warmup_episodes(self) -> int:
        """Whole episodes of random actions, at least two so that states can be standardised.

        Returns:
            Their number.
        """
        return max(2, math.ceil(self.exploration.warmup_steps / self.horizon))

    @property
    def iterations(self) -> int:
        """Iterations of Algorithm 1 within `env_steps`, one episode each.

        Returns:
            Their number.
        """
        return self.env_steps // self.horizon - self.warmup_episodes

    @property
    def fitting_batch(self) -> int:
        """Whole episodes in an update of the world model.

        Returns:
            Their number.
        """
        return self.fitting.batch_size or self._usual_batch

    @property
    def improvement_batch(self) -> int:
        """Imagined episodes in an update of the policy.

        Returns:
            Their number.
        """
        return self.improvement.batch_size or self._usual_batch

    @property
    def _usual_batch(self) -> int:
        return max(_LEAST_EPISODES, math.ceil(_LEAST_STEPS / self.horizon))


def preset(name: str, **fields: Any) -> Config:
    """Start from a preset and change some fields.

    Args:
        name: Name of the preset.
        fields: Fields of `Config` to replace.

    Returns:
        The configuration.

    Raises:
        ValueError: If the name is unknown or a field out of range.
        TypeError: If a field is unknown or of the wrong type.
    """
    return Config(**{**choose("preset", name, PRESETS)[1], "preset": name, **fields})


def _usual(name: str) -> dict[str, Any]:
    plain = {
        field.name: field.default
        if field.default_factory is dataclasses.MISSING
        else field.default_factory()
        for field in dataclasses.fields(Config)
    }
    return plain | PRESETS[name][1]
