"""Presets: the default, the paper's own settings, and those of a baseline's authors."""

import math
from typing import Any

from beeline.config._baselines import OnlineDecisionTransformer, SoftActorCritic
from beeline.config._groups import Exploration, Fitting, Improvement, Model, Policy

# The paper's "replay ratios" of 2 and 16 are read as environment steps an update. Read as updates a
# step they would ask for 4 times as many updates of the model, and 256 times as many of the policy.
_PAPER: dict[str, Any] = {
    "env_steps": 200_000,
    "imagination": "episodes",
    "world_model": Model(
        positions=True, frequencies=0, harmonics=0, standardise=False, units="state"
    ),
    "policy": Policy(
        frequencies=0,
        squash="tanh",
        mean_bound=10.0,
        least_deviation=1e-3,
        greatest_deviation=7.0,
    ),
    "fitting": Fitting(
        optimiser="adam",
        learning_rate=1e-3,
        batch_size=64,
        imagined=0.0,
        weight_decay=0.0,
        env_steps_per_update=2.0,
        clip=math.inf,
        final_rate=1.0,
    ),
    "improvement": Improvement(
        learning_rate=1e-4,
        batch_size=16,
        first_noise=1.0,
        env_steps_per_update=16.0,
        clip=100.0,
        final_rate=1.0,
        entropy_weight=0.01,
        scale_returns=False,
    ),
    "exploration": Exploration(fit_warmup=False, correlated=False, amplitude=0.0),
    "sac": SoftActorCritic(normalise=False),
    "online_dt": OnlineDecisionTransformer(
        acting_context=5,
        width=512,
        layers=4,
        learning_rate=1e-4,
        rate_warmup=10_000,
        temperature_rate=1e-4,
        batch_size=256,
        env_steps_per_update=10 / 3,
    ),
}

_SAC_ZOO: dict[str, Any] = {
    "model": "sac",
    "exploration": Exploration(warmup_steps=0),
    "sac": SoftActorCritic(
        entropy_weight=1.0,
        tune_entropy=True,
        batch_size=256,
        discount=0.99,
        env_steps_per_update=1,
        env_steps_per_policy_update=1,
        normalise=False,
        random_steps=100,
        time_limit=True,
    ),
}
"""Defaults of Stable-Baselines3 2, and the learning rate that rl-baselines3-zoo has for Pendulum-v1
(its file hyperparams/sac.yml): 1e-3 for 3e-4."""


PRESETS: dict[str, tuple[str, dict[str, Any]]] = {
    "default": ("Few environment steps and little time.", {}),
    "paper": ("Table 1 and Appendix C of the paper, its replay ratios as steps an update.", _PAPER),
    "sac-zoo": ("Soft actor-critic as rl-baselines3-zoo has it for Pendulum-v1.", _SAC_ZOO),
}
