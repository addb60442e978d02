"""From a configuration to the objects that it describes."""

from beeline.build._algorithm import build, build_bpo
from beeline.build._imagination import imagination_of
from beeline.build._networks import (
    NO_DRAWS,
    Draws,
    actions_model,
    build_critic,
    build_model,
    build_policy,
    build_reward,
    build_termination,
    history_model,
    markov_model,
    simulator_model,
)

__all__ = [
    "NO_DRAWS",
    "Draws",
    "actions_model",
    "build",
    "build_bpo",
    "build_critic",
    "build_model",
    "build_policy",
    "build_reward",
    "build_termination",
    "history_model",
    "imagination_of",
    "markov_model",
    "simulator_model",
]
