"""Floating-point operations, counted by hand: a multiply and an add are two.

Elementwise work (norms, activations, softmax) is left out, so the fraction of the machine's
matrix-product rate that a case reaches is a lower bound.
"""

import itertools

from beeline.config import Config

POLICY_OUTPUTS = 2


def forward(config: Config, state_dim: int, action_dim: int) -> float:
    """Count one evaluation of a whole sequence by the world model.

    Args:
        config: The run whose model is counted.
        state_dim: Number of state entries.
        action_dim: Number of action entries.

    Returns:
        Operations for one episode.
    """
    fields = config.world_model
    features = 1 + 2 * fields.frequencies
    if config.model == "markov":
        inputs = state_dim + action_dim + features
        return config.horizon * _mlp((inputs, *fields.hidden, state_dim))
    actions = action_dim * (1 + 2 * fields.harmonics)
    inputs = actions + features + (state_dim if config.model.endswith("-history") else 0)
    around = 2 * inputs * fields.width + _mlp((fields.width, *fields.hidden, state_dim))
    core = _CORES[config.model.split("-")[0]]
    return config.horizon * (around + core(fields.width, fields.layers, config.horizon))


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
        "reference-fit": 3 * model,
        "reference-gradient": 2 * model + 3 * acting,
    }
    return batch * each[operation]


def _mlp(sizes: tuple[int, ...]) -> float:
    return sum(2.0 * a * b for a, b in itertools.pairwise(sizes))


def _transformer(width: int, layers: int, length: int) -> float:
    products = 2 * width * (3 * width + width + 8 * width)
    attention = 2 * 2 * width * (length + 1) / 2
    return layers * (products + attention)


def _attention(width: int, layers: int, length: int) -> float:
    del layers
    return 2 * width * 3 * width + 2 * 2 * width * (length + 1) / 2


def _recurrent(gates: int):
    def tokens(width: int, layers: int, length: int) -> float:
        del length
        return layers * gates * 2 * 2 * width * width

    return tokens


_CORES = {
    "transformer": _transformer,
    "attention": _attention,
    "rnn": _recurrent(1),
    "gru": _recurrent(3),
    "lstm": _recurrent(4),
}
