"""Starting points of the search for an optimum."""

import numpy as np
from jaxtyping import Float

CONSTANTS = (0.0, -1.0, 1.0, -0.5, 0.5, -0.75, 0.75, -0.25, 0.25)
SWITCHES = (0.5, 0.25, 0.75)


def starting_actions(
    horizon: int, action_dim: int, starts: int, seed: int = 0
) -> Float[np.ndarray, "start time action"]:
    """Draw up action sequences that differ in kind.

    First come constants, then switches between the two extremes at some moment, and then, by
    turns, independent noise and a random level that switches to another at a random step.

    Args:
        horizon: The length of a sequence.
        action_dim: The size of an action.
        starts: How many sequences.
        seed: Of the random ones; the same seed gives the same sequences.

    Returns:
        The sequences, all entries in [-1, 1].
    """
    steps = np.arange(horizon)[:, None] * np.ones(action_dim)
    levels = [np.full_like(steps, level) for level in CONSTANTS]
    switches = [
        sign * np.where(steps < share * horizon, 1.0, -1.0)
        for share in SWITCHES
        for sign in (1.0, -1.0)
    ]
    sequences = (levels + switches)[:starts]
    random = np.random.default_rng(seed)
    while len(sequences) < starts:
        if len(sequences) % 2:
            sequences.append(random.uniform(-1.0, 1.0, steps.shape))
        else:
            before, after = random.uniform(-1.0, 1.0, (2, action_dim))
            switch = random.integers(1, horizon, action_dim)
            sequences.append(np.where(steps < switch, before, after))
    return np.stack(sequences)
