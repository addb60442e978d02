"""Soft actor-critic by Stable-Baselines3, in the place of Algorithm 1."""

from beeline.sac._sac import SAC

__all__ = ["SAC"]
