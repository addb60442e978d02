"""What a training run is made of: fields declared once, presets, and checks before any work."""

from beeline.config._baselines import OnlineDecisionTransformer, SoftActorCritic
from beeline.config._catalogue import BASELINES, MODELS, register_model
from beeline.config._config import Config, preset
from beeline.config._groups import Exploration, Fitting, Improvement, Model, Policy, Windows
from beeline.config._names import NONFINITE, OPTIMISERS, REFERENCES, REWARDS, SQUASHES
from beeline.config._presets import PRESETS

__all__ = [
    "BASELINES",
    "MODELS",
    "NONFINITE",
    "OPTIMISERS",
    "PRESETS",
    "REFERENCES",
    "REWARDS",
    "SQUASHES",
    "Config",
    "Exploration",
    "Fitting",
    "Improvement",
    "Model",
    "OnlineDecisionTransformer",
    "Policy",
    "SoftActorCritic",
    "Windows",
    "preset",
    "register_model",
]
