"""What a training run is made of, with presets and checks."""

import math
import operator
from dataclasses import dataclass
from typing import Any, final

from beeline._choices import choose
from beeline.config._baselines import OnlineDecisionTransformer, SoftActorCritic
from beeline.config._fields import (
    Choice,
    ChoiceOrNumber,
    Count,
    Group,
    Text,
    field,
    flag,
    group,
    normalised,
)
from beeline.config._groups import Exploration, Fitting, Improvement, Model, Policy, Windows
from beeline.config._names import IMAGINATIONS, NONFINITE, REFERENCES, REWARDS, TERMINATIONS
from beeline.config._presets import PRESETS
from beeline.config._unused import REPLACED, check_model, check_replaced, check_unused
from beeline.envs._registered import check_task

_LARGEST_SEED = 2**32 - 1
"""Of 32 bits, as JAX and PyTorch take them."""

_LEAST_EPISODES, _LEAST_STEPS = 16, 1600
"""What an update is made of where nothing else is said: as many episodes as make both."""

_LEAST_WINDOW_STEPS = 1024
"""The same of windows."""


@dataclass(frozen=True)
class Fields:
    """The fields of a configuration, not checked yet; each is a flag of the command line too."""

    task: str = field("cancer-treatment", Text())
    """Name of the task, or of an environment of one's own."""
    environment: str = field("", Text(), since=3, before="")
    """What an environment of one's own is, as `beeline.envs` compares it; empty for a task."""
    horizon: int = field(100, Count(2))
    """Steps in an episode, at least 2; `invasive-plant` takes 10, `one-bounce` 3."""
    model: str = field("transformer-awm", Text())
    """Name of the world model (`beeline list` shows them), or module:name of what draws one."""
    own_model: str = field("", Text(), since=3, before="")
    """What a world model of one's own is, as it was traced; empty for one of the library's."""
    own_policy: str = field("", Text(), since=3, before="")
    """What a policy of one's own is, likewise."""
    reward: str = field("known", Choice(REWARDS))
    """The task's own reward function, or `learned`: a model of the rewards seen. For a
    simulator, and with logged data alone, module:function on the command line."""
    termination: str = field("known", Choice(TERMINATIONS), since=3, before="known")
    """What ends imagined episodes early: the task's own, or `learned`: a model of the ends seen."""
    preset: str = field("default", Choice(PRESETS))
    """Where the defaults of all other options come from."""
    seed: int = field(0, Count(0, _LARGEST_SEED))
    """Seed of the first run."""
    seeds: int = field(1, Count(1), size=1)
    """Runs side by side, with seeds that follow each other."""
    env_steps: int = field(10_000, Count(1))
    """Environment steps in all, the warm-up included."""
    reference: str = field("optimum", ChoiceOrNumber(REFERENCES), since=3, before="optimum")
    """What returns are compared with: the `optimum` where there is one, `none`, or a return."""
    evaluation_episodes: int = field(0, Count(0), since=3, before=0)
    """Episodes that a policy is measured in; 0 takes 1, 32 where chance has a part, and none of a
    simulator that is stepped on the host."""
    nonfinite: str = field("stop", Choice(NONFINITE), since=2, before="stop")
    """About a number that is not finite: `stop`, `skip` the update, or `restore` the weights."""
    imagination: str = field("auto", Choice(IMAGINATIONS), since=3, before="episodes")
    """What the policy is improved in: whole `episodes`, `windows` with a critic at their end, or
    `auto`: which of them, by what the warm-up shows."""
    because: str = field("", Text(), since=3, before="")
    """Why `auto` chose this imagination; empty where it was asked for."""
    world_model: Model = group(Model)
    policy: Policy = group(Policy)
    fitting: Fitting = group(Fitting)
    improvement: Improvement = group(Improvement)
    windows: Windows = group(Windows, since=3)
    exploration: Exploration = group(Exploration)
    sac: SoftActorCritic = group(SoftActorCritic, since=2)
    online_dt: OnlineDecisionTransformer = group(OnlineDecisionTransformer, since=2)


_OLDER = Fields(imagination="episodes")
"""What baselines of before there was a choice were recorded with."""


@final
@dataclass(frozen=True)
class Config(Fields):
    """One training run."""

    def __post_init__(self) -> None:
        """Refuse what cannot run, before anything is done.

        Raises:
            TypeError: If a value is of another type than its field.
            ValueError: If a value is out of range, naming the field, the value and the range.
        """
        for name, value in normalised(self).items():
            object.__setattr__(self, name, value)
        if not self.environment:
            check_task(self.task, self.horizon)
        check_model(self)
        whose = PRESETS[self.preset][1].get("model", self.model)
        if self.model != whose:
            raise ValueError(
                f"preset is {self.preset!r}, which is for the model {whose!r} alone, but model is "
                f"{self.model!a}: change one of them"
            )
        asked = self.windows.length != Windows().length
        windows = self.imagination == "windows" or (self.imagination == "auto" and asked)
        if windows and self.windows.length > self.horizon:
            raise ValueError(
                f"windows.length is {self.windows.length}, longer than an episode of "
                f"{self.horizon} steps: give at most that"
            )
        if self.seed + self.seeds - 1 > _LARGEST_SEED:
            raise ValueError(
                f"seed is {self.seed} and seeds {self.seeds}, but the last may be at most "
                f"{_LARGEST_SEED}: lower one of them"
            )
        # Runs of before a baseline was added have its default options, whatever their preset.
        defaults = Fields(**PRESETS[self.preset][1]), Fields()
        check_unused(self, *defaults, _OLDER)
        if self.imagination == "windows":
            check_replaced(self, *defaults)
        for name, value in vars(self).items():
            if isinstance(value, Group):
                value.check(flag(name))
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

    def in_force(self, path: str) -> Any:
        """Look up a field of whole episodes, or what windows have in its place.

        Args:
            path: The field, with its group before it.

        Returns:
            Its value; that of the other field where windows are imagined and there is one.
        """
        if self.imagination == "windows":
            path = REPLACED.get(path, path)
        return operator.attrgetter(path)(self)

    @property
    def _usual_batch(self) -> int:
        if self.imagination == "windows":
            return max(_LEAST_EPISODES, math.ceil(_LEAST_WINDOW_STEPS / self.sequence_length))
        return max(_LEAST_EPISODES, math.ceil(_LEAST_STEPS / self.horizon))

    @property
    def sequence_length(self) -> int:
        """Steps that are learned from in a row.

        Returns:
            Those of a whole episode, or of a window.
        """
        return self.windows.length if self.imagination == "windows" else self.horizon


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
