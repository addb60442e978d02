"""Options of the baselines: groups of fields of `Config`."""

from dataclasses import dataclass

from typing_extensions import override

from beeline.config._fields import (
    FINITE,
    FINITE_POSITIVE,
    FROM_ZERO,
    LAYER,
    POSITIVE,
    SHARE,
    Count,
    Group,
    Sizes,
    Switch,
    field,
)
from beeline.config._groups import check_heads


@dataclass(frozen=True)
class SoftActorCritic(Group):
    """Soft actor-critic (paper, Appendix C.2 and Table 2)."""

    learning_rate: float = field(1e-3, FINITE_POSITIVE)
    """Adam's step size; the paper tries 0.001, 0.0001 and 0.00001."""
    entropy_weight: float = field(0.01, FROM_ZERO)
    """Weight of the entropy beside the reward; the paper tries 1, 0.01 and 0.001."""
    tune_entropy: bool = field(False, Switch(), since=3, before=False)
    """Whether that is tuned, until the entropy is minus the number of action entries."""
    hidden: tuple[int, ...] = field((256, 256), Sizes())
    """Hidden layers of the actor and of the critics."""
    batch_size: int = field(128, Count(1))
    """Transitions an update."""
    discount: float = field(0.995, SHARE)
    """Share of a value that is left a step earlier."""
    averaging: float = field(0.995, SHARE)
    """Share of the target critics that an update keeps."""
    buffer_size: int = field(1_000_000, Count(1))
    """Transitions kept."""
    env_steps_per_update: int = field(2, Count(1))
    """Environment steps between updates of the critics."""
    env_steps_per_policy_update: int = field(16, Count(1))
    """Environment steps between updates of the actor; a multiple of those of the critics."""
    normalise: bool = field(True, Switch())
    """Whether observations and rewards are normalised with statistics of all seen so far."""
    random_steps: int = field(0, Count(0), since=3, before=0)
    """Environment steps of random actions before the first update; 0 takes all of the warm-up."""
    time_limit: bool = field(False, Switch(), since=3, before=False)
    """Whether no part sees the time and critics look beyond an episode's end, as if it went on."""

    @override
    def check(self, flag: str) -> None:
        if self.env_steps_per_policy_update % self.env_steps_per_update:
            raise ValueError(
                f"{flag}.env-steps-per-policy-update is {self.env_steps_per_policy_update}, not a "
                f"multiple of {flag}.env-steps-per-update = {self.env_steps_per_update}: change "
                "one of them"
            )
        if self.tune_entropy and not self.entropy_weight:
            raise ValueError(
                f"{flag}.entropy-weight is 0, where tuning cannot begin: give a number above 0, or "
                f"--{flag}.no-tune-entropy"
            )


@dataclass(frozen=True)
class OnlineDecisionTransformer(Group):
    """Online decision transformer (paper, Appendix F.3)."""

    target: float = field(1.0, FINITE)
    """Normalised return that it asks for: 1 is the optimum's (expert), 2 overshoots."""
    context: int = field(20, Count(1))
    """Steps that it looks back when it learns."""
    acting_context: int = field(20, Count(1))
    """Steps that it looks back when it acts; no more than those, whatever is given."""
    width: int = field(64, Count(1), size=1)
    """Size of a token."""
    layers: int = field(2, Count(1), size=LAYER)
    """Blocks of the transformer."""
    heads: int = field(4, Count(1))
    """Attention heads a block; divides the width."""
    learning_rate: float = field(1e-3, FINITE_POSITIVE)
    """LAMB's step size."""
    rate_warmup: int = field(100, Count(0))
    """Updates over which the step size grows to its full size."""
    weight_decay: float = field(5e-4, FROM_ZERO)
    """Decoupled weight decay of the matrices."""
    clip: float = field(0.25, POSITIVE)
    """Largest gradient norm."""
    temperature: float = field(0.1, FINITE_POSITIVE)
    """First weight of the entropy."""
    temperature_rate: float = field(1e-3, FINITE_POSITIVE)
    """Adam's step size for its logarithm."""
    batch_size: int = field(64, Count(1))
    """Parts of episodes an update."""
    env_steps_per_update: float = field(5.0, POSITIVE)
    """Environment steps between updates."""
    capacity: int = field(1000, Count(1))
    """Episodes kept."""

    @override
    def check(self, flag: str) -> None:
        check_heads(flag, self.width, self.heads)
