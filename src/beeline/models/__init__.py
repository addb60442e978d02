"""World models: what the tokens are made of decides the gradient's route."""

from beeline.models._base import WorldModel, prediction_loss
from beeline.models.actions import ActionsModel
from beeline.models.markov import MarkovModel

__all__ = ["ActionsModel", "MarkovModel", "WorldModel", "prediction_loss"]
