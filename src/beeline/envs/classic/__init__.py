"""Classic problems of control.

Their step has a fixed length, so that the horizon says how long an episode is. Episodes start or
move by chance, but for the linear ones without noise.
"""

from beeline.envs.classic.cart_pole import CartPole, PoleOnCart
from beeline.envs.classic.cart_pole_balance import CartPoleBalance
from beeline.envs.classic.linear import DoubleIntegrator, LinearMotion, UnstablePole
from beeline.envs.classic.pendulum import Pendulum
from beeline.envs.classic.reaction_diffusion import ReactionDiffusion

__all__ = [
    "CartPole",
    "CartPoleBalance",
    "DoubleIntegrator",
    "LinearMotion",
    "Pendulum",
    "PoleOnCart",
    "ReactionDiffusion",
    "UnstablePole",
]
