"""Floating-point operations, counted by hand: a multiply and an add are two.

Elementwise work (norms, activations, softmax) is left out, so the fraction of the machine's
matrix-product rate that a case reaches is a lower bound.
"""

import itertools
import math

from beeline.config import Config

POLICY_OUTPUTS = 2


def forward(config: Config, state_dim: int, action_dim: int) -> float:
    """Count one evaluation of a whole sequence by the world model.

    Args:
        config: The run whose model is counted.
        state_dim: Number of state entries.
        action_dim: Number of action entries.

    Returns:
        Operations for one episode; NaN where nobody has counted those of its core.
    """
    fields = config.world_model
    features = 1 + 2 * fields.frequencies
    if config.model == "markov":
        inputs = state_dim + action_dim + features
        return config.horizon * _mlp((inputs, *fields.hidden, state_dim))
    if config.model == "simulator":
        return 0.0
    actions = action_dim * (1 + 2 * fields.harmonics)
    inputs = actions + features + (state_dim if config.model.endswith("-history") else 0)
    around = 2 * inputs * fields.width + _mlp((fields.width, *fields.hidden, state_dim))
    name = config.model.split("-")[0]
    if name not in COUNTED:
        return math.nan
    if name in _GATES:
        core = _recurrent(_GATES[name], fields.width, fields.recurrent)
    else:
        core = _CORES[name](fields.width, fields.layers, config.horizon)
    return config.horizon * (around + core)


def policy(config: Config, state_dim: int, action_dim: int) -> float:
    """Count the policy's choices over one episode.

    Args:
        config: The run whose policy is counted.
        state_dim: Number of state entries.
        action_dim: Number of action entries.

    Returns:
        Operations for one episode.
    """
    inputs = state_dim + 1 + 2 * config.policy.frequencies
    return config.horizon * _mlp((inputs, *config.policy.hidden, POLICY_OUTPUTS * action_dim))


def count(config: Config, state_dim: int, action_dim: int, operation: str, batch: int) -> float:
    """Count one call of a benchmarked operation.

    A backward pass to the inputs doubles a forward pass, one to the weights as well triples it.
    Of sweeps one is counted, and of an iteration the updates.

    Args:
        config: The run.
        state_dim: Number of state entries.
        action_dim: Number of action entries.
        operation: Name of the operation, as `cases.OPERATIONS` has it.
        batch: Episodes a call.

    Returns:
        Operations for the whole batch.
    """
    model = forward(config, state_dim, action_dim)
    acting = policy(config, state_dim, action_dim)
    each = {
        "fit": 3 * model,
        "rollout": model + acting,
        "direct": (model + acting) + 2 * model + 3 * acting,
        "unrolled": 2 * model + 3 * acting,
        "sweeps": model + acting,
        "iteration": _iteration(config, model, acting) / batch,
        "reference-fit": 3 * model,
        "reference-gradient": 2 * model + 3 * acting,
    }
    return batch * each[operation]


def _iteration(config: Config, model: float, acting: float) -> float:
    fits = config.horizon / config.fitting.env_steps_per_update
    improvements = config.horizon / config.improvement.env_steps_per_update
    direct = config.model.endswith("-awm")
    improve = (3 if direct else 2) * model + (4 if direct else 3) * acting
    return (
        fits * config.fitting_batch * 3 * model + improvements * config.improvement_batch * improve
    )


def _mlp(sizes: tuple[int, ...]) -> float:
    return sum(2.0 * a * b for a, b in itertools.pairwise(sizes))


def _transformer(width: int, layers: int, length: int) -> float:
    products = 2 * width * (3 * width + width + 8 * width)
    attention = 2 * 2 * width * (length + 1) / 2
    return layers * (products + attention)


def _attention(width: int, layers: int, length: int) -> float:
    del layers
    return 2 * width * 3 * width + 2 * 2 * width * (length + 1) / 2


def _ssm(width: int, layers: int, length: int) -> float:
    del length
    modes = 64
    drive_and_read = 2 * 2 * width * 2 * modes
    mix = 2 * width * 2 * width
    recurrence = 8 * modes
    return layers * (drive_and_read + mix + recurrence)


def _recurrent(gates: int, width: int, memories: tuple[int, ...]) -> float:
    inputs = (width, *memories)
    layers = sum(gates * 2.0 * (a + b) * b for a, b in zip(inputs, memories, strict=False))
    return layers + 2 * memories[-1] * width


_GATES = {"rnn": 1, "gru": 3, "lstm": 4}
_CORES = {"transformer": _transformer, "attention": _attention, "ssm": _ssm}
COUNTED = {*_GATES, *_CORES}
"""Sequence cores whose operations are counted."""
