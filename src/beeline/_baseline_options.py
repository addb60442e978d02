"""Options of the baselines: groups of fields of `Config`."""

from dataclasses import dataclass


@dataclass(frozen=True)
class SoftActorCritic:
    """Soft actor-critic (paper, Appendix C.2 and Table 2)."""

    learning_rate: float = 1e-3
    """Adam's step size; the paper tries 0.001, 0.0001 and 0.00001."""
    entropy_weight: float = 0.01
    """Weight of the entropy beside the reward; the paper tries 1, 0.01 and 0.001."""
    hidden: tuple[int, ...] = (256, 256)
    """Hidden layers of the actor and of the critics."""
    batch_size: int = 128
    """Transitions an update."""
    discount: float = 0.995
    """Share of a value that is left a step earlier."""
    averaging: float = 0.995
    """Share of the target critics that an update keeps."""
    buffer_size: int = 1_000_000
    """Transitions kept."""
    env_steps_per_update: int = 2
    """Environment steps between updates of the critics."""
    env_steps_per_policy_update: int = 16
    """Environment steps between updates of the actor; a multiple of those of the critics."""
    normalise: bool = True
    """Whether observations and rewards are normalised with statistics of all seen so far."""


@dataclass(frozen=True)
class OnlineDecisionTransformer:
    """Online decision transformer (paper, Appendix F.3)."""

    target: float = 1.0
    """Normalised return that it asks for: 1 is the optimum's (expert), 2 overshoots."""
    context: int = 20
    """Steps that it looks back when it learns."""
    acting_context: int = 20
    """Steps that it looks back when it acts; no more than those, whatever is given."""
    width: int = 64
    """Size of a token."""
    layers: int = 2
    """Blocks of the transformer."""
    heads: int = 4
    """Attention heads a block; divides the width."""
    learning_rate: float = 1e-3
    """LAMB's step size."""
    rate_warmup: int = 100
    """Updates over which the step size grows to its full size."""
    weight_decay: float = 5e-4
    """Decoupled weight decay of the matrices."""
    clip: float = 0.25
    """Largest gradient norm."""
    temperature: float = 0.1
    """First weight of the entropy."""
    temperature_rate: float = 1e-3
    """Adam's step size for its logarithm."""
    batch_size: int = 64
    """Parts of episodes an update."""
    env_steps_per_update: float = 5.0
    """Environment steps between updates."""
    capacity: int = 1000
    """Episodes kept."""
