"""Policy gradients: the route of the gradient is an object too."""

from beeline.gradients._base import (
    Imagined,
    Objective,
    PolicyGradient,
    RewardFunction,
    draw_noise,
    rewards_along,
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
    "Unrolled",
    "draw_noise",
    "open_loop",
    "rewards_along",
    "rollout",
]
