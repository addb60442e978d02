"""Algorithm 1: episodes, model fitting, policy improvement."""

from beeline.training._optimiser import Optimiser
from beeline.training.algorithm import Algorithm
from beeline.training.bpo import BPO, BPOState
from beeline.training.dyna import Dyna
from beeline.training.episodes import Buffer, Episode, act, evaluate, mean_return, play
from beeline.training.exploration import CorrelatedNoise, Exploration, IndependentNoise
from beeline.training.fit import fit
from beeline.training.learner import Context, Learned, Learner, Slope
from beeline.training.model_fitting import ModelFitting
from beeline.training.one_step_fitting import OneStepFitting
from beeline.training.policy_improvement import PolicyImprovement
from beeline.training.record import Record
from beeline.training.reward_fitting import RewardFitting, TransitionRewardFitting

__all__ = [
    "BPO",
    "Algorithm",
    "BPOState",
    "Buffer",
    "Context",
    "CorrelatedNoise",
    "Dyna",
    "Episode",
    "Exploration",
    "IndependentNoise",
    "Learned",
    "Learner",
    "ModelFitting",
    "OneStepFitting",
    "Optimiser",
    "PolicyImprovement",
    "Record",
    "RewardFitting",
    "Slope",
    "TransitionRewardFitting",
    "act",
    "evaluate",
    "fit",
    "mean_return",
    "play",
]
