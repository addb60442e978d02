"""Policies: from state and time to an action."""

from beeline.policies._base import Policy
from beeline.policies.gaussian import SquashedGaussian
from beeline.policies.widened import Widened

__all__ = ["Policy", "SquashedGaussian", "Widened"]
