"""Groups of fields of `Config`: the world model, the policy, and how they learn."""

from dataclasses import dataclass

from typing_extensions import override

from beeline.config._fields import (
    DISCOUNT,
    FINITE_POSITIVE,
    FROM_ZERO,
    LAYER,
    POSITIVE,
    SHARE,
    Choice,
    ChoiceOrCount,
    Count,
    Group,
    Sizes,
    Switch,
    field,
)
from beeline.config._names import (
    ACTIVATIONS,
    CLOCKS,
    DISTURBANCES,
    MODES,
    OPTIMISERS,
    SQUASHES,
    UNITS,
)


def check_heads(flag: str, width: int, heads: int) -> None:
    """Refuse a number of attention heads that does not divide the size of a token.

    Args:
        flag: What the group that has both is called.
        width: Size of a token.
        heads: Attention heads.

    Raises:
        ValueError: If it does not.
    """
    if width % heads:
        raise ValueError(
            f"{flag}.width is {width}, not a multiple of {flag}.heads = {heads}: change one of them"
        )


@dataclass(frozen=True)
class Model(Group):
    """The world model."""

    width: int = field(72, Count(1), size=1)
    """Size of a token (paper, Appendix C)."""
    layers: int = field(2, Count(1), size=LAYER)
    """Blocks of the sequence core."""
    heads: int = field(3, Count(1))
    """Attention heads a block; divides the width."""
    recurrent: tuple[int, ...] = field((64, 64), Sizes())
    """Memories of an RNN, a GRU or an LSTM, a layer each."""
    hidden: tuple[int, ...] = field((64, 64), Sizes())
    """Hidden layers of the decoder, or of the Markov network."""
    positions: bool = field(False, Switch())
    """Whether a transformer adds a learned table of positions, as GPT-2 does."""
    frequencies: int = field(4, Count(0), size=1)
    """Sine and cosine pairs of time, beside time itself, given to every token."""
    harmonics: int = field(2, Count(0), size=1)
    """Sine and cosine pairs of each action entry in the tokens of a sequence model."""
    standardise: bool = field(True, Switch())
    """Whether states are compressed and standardised with statistics of the warm-up."""
    modes: str = field("auto", ChoiceOrCount(MODES), since=3, before="all")
    """Principal components of the state that networks see: a number, `all` entries as they are, or
    `auto`: 32 of a state of more than 64 entries."""
    units: str = field("change", Choice(UNITS), since=3, before="state")
    """What the Markov model predicts changes in: the spread of the `state` or of the `change`."""

    @override
    def check(self, flag: str) -> None:
        check_heads(flag, self.width, self.heads)


@dataclass(frozen=True)
class Policy(Group):
    """The policy."""

    hidden: tuple[int, ...] = field((64, 64), Sizes())
    """Hidden layers."""
    frequencies: int = field(4, Count(0), size=1)
    """Sine and cosine pairs of time among its inputs."""
    squash: str = field("clip", Choice(SQUASHES), since=2, before="tanh")
    """How actions come into their box: `clip`, or `tanh`."""
    mean_bound: float = field(5.0, FINITE_POSITIVE)
    """Largest mean before squashing."""
    least_deviation: float = field(0.05, FINITE_POSITIVE)
    """Least standard deviation before squashing."""
    greatest_deviation: float = field(0.3, FINITE_POSITIVE)
    """Greatest standard deviation before squashing."""

    @override
    def check(self, flag: str) -> None:
        if self.least_deviation > self.greatest_deviation:
            raise ValueError(
                f"{flag}.least-deviation is {self.least_deviation}, above "
                f"{flag}.greatest-deviation = {self.greatest_deviation}: swap them"
            )


@dataclass(frozen=True)
class Fitting(Group):
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
class Improvement(Group):
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
    disturbances: str = field("auto", Choice(DISTURBANCES), since=3, before="none")
    """What is added to imagined states: `none`, or noise as it was `seen`; `auto`: where chance
    has a part."""
    entropy_weight: float = field(0.003, FROM_ZERO)
    """Weight of the mean entropy beside the scaled return."""
    scale_returns: bool = field(True, Switch())
    """Whether returns are divided by their standard deviation over the warm-up."""
    through_policy: float = field(0.0, SHARE)
    """Share of the gradient through the policy's input; 0 is the paper's stop-gradient."""
    through_states: float = field(1.0, SHARE)
    """Share of the gradient through predicted states that are fed back."""


@dataclass(frozen=True)
class Windows(Group):
    """Windows of experience, and the critic at their end; with `imagination` of windows only."""

    length: int = field(16, Count(1), since=3, before=16)
    """Steps in a window."""
    fresh: float = field(0.125, SHARE, since=3, before=0.125)
    """Share of the imagined windows that start where episodes do; the rest in states seen."""
    recent: float = field(0.5, SHARE, since=3, before=0.5)
    """Share of the other windows that are of the newest quarter of the episodes."""
    discount: float = field(0.99, DISCOUNT, since=3, before=0.99)
    """Factor on the worth of a reward for each step that it comes later."""
    clock: str = field("none", Choice(CLOCKS), since=3, before="none")
    """What sees the time: `none`, or `episode` where the best action depends on it."""
    trace: float = field(0.95, SHARE, since=3, before=0.95)
    """How far the critic's targets trust imagined rewards before they trust the critic itself."""
    env_steps_per_update: float = field(2.0, POSITIVE, since=3, before=10.0)
    """Environment steps between updates of the model, of the critic and of the policy."""
    policy_rate: float = field(3e-3, FINITE_POSITIVE, since=3, before=1e-3)
    """Adam's step size of the policy at the start."""
    amplitude: float = field(0.4, FROM_ZERO, since=3, before=1.2)
    """Largest amplitude of the noise added to the policy's actions; 0 adds none."""
    critic_rate: float = field(1e-3, FINITE_POSITIVE, since=3, before=1e-3)
    """Adam's step size of the critic at the start."""
    target_rate: float = field(0.02, SHARE, since=3, before=0.02)
    """Share of the critic that the slow copy which it learns from takes on in an update."""
    hidden: tuple[int, ...] = field((64, 64), Sizes(), since=3, before=(64, 64))
    """Hidden layers of the critic."""
    activation: str = field("smooth", Choice(ACTIVATIONS), since=3, before="relu")
    """Between the layers of models and of the critic: `smooth` functions, or `relu`."""

    @override
    def check(self, flag: str) -> None:
        if self.discount == 1 and self.clock == "none":
            raise ValueError(
                f"{flag}.discount is 1, but nothing sees the time, so that no value would be "
                f"finite: give a discount below 1, or {flag}.clock = episode where the task ends "
                "at the horizon"
            )


@dataclass(frozen=True)
class Exploration(Group):
    """What is done to see more than the policy's own path."""

    warmup_steps: int = field(1500, Count(0))
    """Environment steps with random actions before any update."""
    fit_warmup: bool = field(True, Switch())
    """Whether the warm-up's share of updates is caught up on when it ends."""
    correlated: bool = field(True, Switch())
    """Whether random actions and noise are correlated over time."""
    amplitude: float = field(1.2, FROM_ZERO)
    """Largest amplitude of the noise added to the policy's actions; 0 adds none."""
