"""Policies: from state and time to an action."""

from beeline.policies._base import Policy
from beeline.policies.gaussian import SquashedGaussian

__all__ = ["Policy", "SquashedGaussian"]
