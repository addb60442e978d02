"""Policy gradients: the route of the gradient is an object too."""

from beeline.gradients._base import (
    Imagined,
    Objective,
    PolicyGradient,
    RewardFunction,
    Termination,
    Value,
    alive,
    draw_noise,
    rewards_along,
    terminated_along,
)
from beeline.gradients._rollout import open_loop, rollout
from beeline.gradients.direct import Direct
from beeline.gradients.unrolled import Unrolled

__all__ = [
    "Direct",
    "Imagined",
    "Objective",
    "PolicyGradient",
    "RewardFunction",
    "Termination",
    "Unrolled",
    "Value",
    "alive",
    "draw_noise",
    "open_loop",
    "rewards_along",
    "rollout",
    "terminated_along",
]
