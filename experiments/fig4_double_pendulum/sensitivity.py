"""How the last state depends on the first action, and which law that follows."""

from collections.abc import Mapping
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from beeline.diagnostics import fit_growth, open_loop
from beeline.models import WorldModel

_LEAST_HORIZONS = 4
"""Points that a law needs."""
_EVERY = 5
"""Steps between the states of one episode that a law is fitted to."""


@eqx.filter_jit
def norms_along(
    model: WorldModel,
    state: Float[Array, " state"],
    actions: Float[Array, "sample time action"],
) -> Float[Array, "sample time"]:
    """Differentiate every state of an episode by the first action.

    Args:
        model: The world model.
        state: The initial state.
        actions: Sequences of actions.

    Returns:
        The norm of the derivative of the state after each action.
    """

    def norms(sequence: Array) -> Array:
        first = jnp.zeros_like(sequence).at[0].set(1.0)
        _, slopes = jax.jvp(lambda a: open_loop(model, state, a), (sequence,), (first,))
        return jnp.linalg.norm(slopes, axis=-1)

    return jax.lax.map(norms, actions, batch_size=25)


def norm_rows(
    norms: Float[np.ndarray, "sample time"], horizon: int, name: str, seed: int
) -> list[dict[str, Any]]:
    """Put the norms of the rewarded state in rows.

    Args:
        norms: From `norms_along`, over the actions that the rewarded state depends on.
        horizon: Steps in the episode.
        name: The model's name.
        seed: The repetition.

    Returns:
        A row a sample.
    """
    return [
        {"horizon": horizon, "model": name, "seed": seed, "sample": i, "norm": float(norm)}
        for i, norm in enumerate(norms[:, -1])
    ]


def growth_rows(
    norms: list[dict[str, Any]], paths: Mapping[str, np.ndarray]
) -> list[dict[str, Any]]:
    """Fit the laws of growth, to the mean norm as in the paper and to the geometric mean.

    Args:
        norms: Rows of `norm_rows`.
        paths: Norms along the longest episodes, by model.

    Returns:
        A row a model and kind of mean, over models fitted at every horizon, and over the states of
        one episode; of each only if it has the points that a law needs.
    """
    rows = []
    for name in dict.fromkeys(row["model"] for row in norms):
        mine = [row for row in norms if row["model"] == name]
        samples = {
            horizon: np.array([row["norm"] for row in mine if row["horizon"] == horizon])
            for horizon in dict.fromkeys(row["horizon"] for row in mine)
        }
        length = paths[name].shape[1]
        states = {t: paths[name][:, t - 2] for t in range(_EVERY, length + 2, _EVERY)}
        for over, values in (("one model a horizon", samples), ("within one episode", states)):
            rows += _laws(name, over, values)
    return rows


def _laws(name: str, over: str, samples: Mapping[int, np.ndarray]) -> list[dict[str, Any]]:
    rows = []
    kinds = {"mean": {h: v.mean(keepdims=True) for h, v in samples.items()}, "typical": samples}
    for kind, values in kinds.items():
        usable = [v for v in values.values() if np.any(np.isfinite(v) & (v > 0))]
        if len(usable) < _LEAST_HORIZONS:
            continue
        fit = fit_growth(values)
        rows.append(
            {
                "model": name,
                "over": over,
                "of": kind,
                "law": fit.law,
                "aic_margin": fit.margin,
                "rate_per_step": fit.exponential.slope,
                "rate_low": fit.exponential.low,
                "rate_high": fit.exponential.high,
                "degree": fit.polynomial.slope,
                "degree_low": fit.polynomial.low,
                "degree_high": fit.polynomial.high,
                "first_norm": float(np.mean(samples[min(samples)])),
                "last_norm": float(np.mean(samples[max(samples)])),
            }
        )
    return rows


def path_growth_rows(paths: Mapping[str, np.ndarray]) -> list[dict[str, Any]]:
    """Put the mean and the geometric mean of the norms along the longest episodes in rows.

    Args:
        paths: Norms by model.

    Returns:
        A row a model and step index.
    """
    return [
        {
            "model": name,
            "step": t + 1,
            "mean_norm": float(values.mean()),
            "geometric_mean_norm": float(np.exp(np.log(np.maximum(values, 1e-30)).mean())),
        }
        for name, norms in paths.items()
        for t, values in enumerate(norms.T)
    ]
