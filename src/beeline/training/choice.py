"""Whole episodes or windows: what the random actions of a warm-up say for which.

Whole episodes give credit over the longest time, from the one start that they have. Windows are
better where starts vary, for a model has to answer for all of them; where chance moves the state,
for a plan is then not enough; and where gradients grow over an episode until every update is
clipped.

That growth is measured without a world model, and without compiling anything. A small model of one
step is fitted to the episodes in closed form: ridge regression on random features, tanh of
random projections of state and action. The products of its Jacobians along the episodes are what
the gradient of a later state by an earlier one is.

References:
    Rahimi and Recht 2007, "Random features for large-scale kernel machines".
"""

from typing import NamedTuple, final

import numpy as np
from jaxtyping import Float

_VARIED = 0.02
"""Spread of starts, as a share of that of all states, from which on they are said to vary."""
_STEEP = 100.0
"""Growth of a gradient over an episode that whole episodes bear."""
_LEAST_STEPS = 200
"""Of random actions, to tell how gradients grow."""

_FEATURES = 200
_PROJECTION, _SHIFT = 1.5, 1.5
"""Spread of a projection, and the range of what is added to it."""
_RIDGE = 1e-6
"""For each row of the data."""
_EPISODES = 8
"""Along how many the products are taken."""
_LARGEST = 1e12
"""Beyond this, a product is not followed any further."""


@final
class Evidence(NamedTuple):
    """What was measured before anything is trained."""

    variety: float
    """Spread of the starts as a share of that of all states, the largest of the state's entries."""
    noisy: bool
    """Whether the same actions lead elsewhere by chance."""
    steps: int
    """Steps of random actions that there were."""
    growth: float | None
    """The largest that the gradient of a later state by the first one becomes in an episode; None
    where something else decides."""

    @property
    def for_windows(self) -> bool:
        """Whether windows are the better choice.

        Returns:
            Whether starts vary, chance moves the state, or gradients grow.
        """
        return self.variety > _VARIED or self.noisy or self._grows

    def __str__(self) -> str:
        """Say what decided, in words.

        Returns:
            One line without its end.
        """
        if self.variety > _VARIED:
            return f"episodes start in many states ({self.variety:.2g} of the spread of all)"
        if self.noisy:
            return "the same actions lead elsewhere by chance"
        if self.growth is None:
            return (
                f"there is one start, and {self.steps} steps of random actions are too few to tell "
                f"how gradients grow: {_LEAST_STEPS} would be enough"
            )
        does = "grow" if self._grows else "do not grow"
        return f"there is one start, and gradients {does} over an episode ({self.growth:.2g} times)"

    @property
    def _grows(self) -> bool:
        return self.growth is not None and self.growth > _STEEP


def weigh(
    values: Float[np.ndarray, "episode times state"],
    actions: Float[np.ndarray, "episode time action"],
    *,
    noisy: bool,
) -> Evidence:
    """Measure what decides between whole episodes and windows.

    Args:
        values: Standardised states of a warm-up, one more than there are actions.
        actions: The actions, at random.
        noisy: Whether the same actions lead elsewhere by chance.

    Returns:
        The evidence.
    """
    variety, steps = float(values[:, 0].std(axis=0).max()), actions[..., 0].size
    if variety > _VARIED or noisy or steps < _LEAST_STEPS:
        # Growth takes minutes where a state has a thousand entries.
        return Evidence(variety, noisy, steps, None)
    return Evidence(variety, noisy, steps, float(one_step_growth(values, actions).max()))


def one_step_growth(
    values: Float[np.ndarray, "episode times state"],
    actions: Float[np.ndarray, "episode time action"],
) -> Float[np.ndarray, " time"]:
    """Measure the growth of gradients along episodes.

    Args:
        values: Standardised states, one more than there are actions.
        actions: The actions.

    Returns:
        The spectral norm of the derivative of the state after 1, 2, ... steps by the first state,
        the median of the episodes; 1e12 at most.
    """
    before, changes = values[:, :-1], np.diff(values, axis=1)
    unit = np.maximum(changes.std(axis=(0, 1)), 1e-9)
    inputs = np.concatenate([before, actions], axis=-1)
    size = values.shape[-1]
    rows = inputs.reshape(-1, inputs.shape[-1])
    draws = np.random.default_rng(0)
    projection = draws.normal(size=(rows.shape[1], _FEATURES)) * _PROJECTION / len(rows[0]) ** 0.5
    shift = draws.uniform(-_SHIFT, _SHIFT, _FEATURES)
    features = np.concatenate(
        [np.ones((len(rows), 1)), rows, np.tanh(rows @ projection + shift)], 1
    )
    square = features.T @ features + _RIDGE * len(rows) * np.eye(features.shape[1])
    weights = np.linalg.solve(square, features.T @ (changes.reshape(-1, size) / unit))
    linear, bent = weights[1 : 1 + size], weights[1 + rows.shape[1] :]
    norms = []
    for episode in inputs[:_EPISODES]:
        slopes = 1 - np.tanh(episode @ projection + shift) ** 2
        product, found = np.eye(size), np.full(len(episode), _LARGEST)
        for t, slope in enumerate(slopes):
            step = linear + (projection[:size] * slope) @ bent
            product = product + product @ (step * unit)
            found[t] = np.linalg.norm(product, 2)
            if not found[t] < _LARGEST:
                found[t:] = _LARGEST
                break
        norms.append(found)
    return np.median(norms, axis=0)
