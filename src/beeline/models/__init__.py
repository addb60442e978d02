"""World models: what the tokens are made of decides the gradient's route."""

from beeline.models._base import WorldModel, knows_windows, prediction_loss, residuals
from beeline.models.actions import ActionsModel
from beeline.models.history import HistoryModel
from beeline.models.markov import MarkovModel
from beeline.models.reward import RewardModel
from beeline.models.simulator import DynamicsActionsModel, SimulatorModel
from beeline.models.termination import TerminationModel
from beeline.models.transition_reward import TransitionReward

__all__ = [
    "ActionsModel",
    "DynamicsActionsModel",
    "HistoryModel",
    "MarkovModel",
    "RewardModel",
    "SimulatorModel",
    "TerminationModel",
    "TransitionReward",
    "WorldModel",
    "knows_windows",
    "prediction_loss",
    "residuals",
]
