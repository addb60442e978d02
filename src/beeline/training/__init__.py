"""Algorithm 1: episodes, model fitting, policy improvement."""

from beeline.training._optimiser import Optimiser
from beeline.training.bpo import BPO, BPOState
from beeline.training.dyna import Dyna
from beeline.training.episodes import Buffer, Episode, act, evaluate, mean_return, play
from beeline.training.exploration import CorrelatedNoise, Exploration, IndependentNoise
from beeline.training.model_fitting import ModelFitting
from beeline.training.policy_improvement import PolicyImprovement
from beeline.training.record import Record
from beeline.training.reward_fitting import RewardFitting

__all__ = [
    "BPO",
    "BPOState",
    "Buffer",
    "CorrelatedNoise",
    "Dyna",
    "Episode",
    "Exploration",
    "IndependentNoise",
    "ModelFitting",
    "Optimiser",
    "PolicyImprovement",
    "Record",
    "RewardFitting",
    "act",
    "evaluate",
    "mean_return",
    "play",
]
