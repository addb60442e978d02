"""Policy gradients by sample: how large they are, and whether a model's agree with the truth's."""

from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from beeline.compute.microbatch import group_size
from beeline.gradients import Direct, Objective, PolicyGradient, Unrolled
from beeline.models import WorldModel
from beeline.policies import Policy


class Alignment(NamedTuple):
    """A model's policy gradient against the true simulator's, on the same noise."""

    cosine: Float[Array, ""]
    """Between the two gradients averaged over all samples: what a large batch would follow."""
    norm_ratio: Float[Array, ""]
    """Norm of the model's averaged gradient over the truth's."""
    sample_cosines: Float[Array, " sample"]
    """Between the two gradients of each single episode."""
    deviation: Float[Array, ""]
    """Jackknife standard error of `cosine` over the samples."""


def default_route(model: WorldModel) -> PolicyGradient:
    """Choose the cheapest route that gives the model's exact gradient under the stop-gradient.

    Args:
        model: The world model.

    Returns:
        `Direct` for a model of actions, else `Unrolled`.
    """
    return Unrolled() if model.state_fed else Direct()


@eqx.filter_jit
def policy_gradients(
    policy: Policy,
    model: WorldModel,
    objective: Objective,
    initial_states: Float[Array, "sample state"],
    noise: Float[Array, "sample time action"],
    *,
    route: PolicyGradient | None = None,
) -> Float[Array, "sample weight"]:
    """Compute the policy gradient of every single episode.

    Args:
        policy: The policy.
        model: The world model.
        objective: What to maximise.
        initial_states: Where the episodes start.
        noise: Standard normal draws for the policy; their time axis is the horizon.
        route: How to differentiate; `default_route` of the model if not given.

    Returns:
        One flat gradient per sample.

    References:
        Paper, Eqs. 1 to 3.
    """
    route = default_route(model) if route is None else route

    def single(episode: tuple[Array, Array]) -> Array:
        state, draws = episode
        _, slope = route(policy, model, objective, state[None], draws[None])
        leaves = jax.tree.leaves(eqx.filter(slope, eqx.is_inexact_array))
        return jnp.concatenate([leaf.ravel() for leaf in leaves])

    # In groups: an unrolled episode keeps a cache per step until it is differentiated.
    group = group_size(*noise.shape[:2])
    return jax.lax.map(single, (initial_states, noise), batch_size=group)


def policy_gradient_norms(
    policy: Policy,
    model: WorldModel,
    objective: Objective,
    initial_states: Float[Array, "sample state"],
    noise: Float[Array, "sample time action"],
    *,
    route: PolicyGradient | None = None,
) -> Float[Array, " sample"]:
    """Norm of the policy gradient of every single episode.

    Args:
        policy: The policy.
        model: The world model.
        objective: What to maximise.
        initial_states: Where the episodes start.
        noise: Standard normal draws for the policy; their time axis is the horizon.
        route: How to differentiate; `default_route` of the model if not given.

    Returns:
        One norm per sample.

    References:
        Paper, Theorems 1 and 2 bound it.
    """
    gradients = policy_gradients(policy, model, objective, initial_states, noise, route=route)
    return _norms(gradients)


def align(
    gradients: Float[Array, "sample weight"], truth: Float[Array, "sample weight"]
) -> Alignment:
    """Compare gradients that were computed on the same samples.

    Common random numbers leave only the models to differ: pass both models the same policy,
    initial states and noise.

    Args:
        gradients: A model's, from `policy_gradients`.
        truth: The simulator's.

    Returns:
        Cosines and the ratio of norms.

    Raises:
        ValueError: If there are fewer than two samples, which leave no spread to report.
    """
    samples = gradients.shape[0]
    if samples < 2:
        raise ValueError(f"{samples} sample was given: give two or more, for their spread")
    mean, true_mean = gradients.mean(axis=0), truth.mean(axis=0)
    # Means of all samples but one, for the jackknife.
    others = (samples * mean - gradients) / (samples - 1)
    true_others = (samples * true_mean - truth) / (samples - 1)
    left_out = cosine(others, true_others)
    spread = jnp.sqrt((samples - 1) * jnp.var(left_out))
    return Alignment(
        cosine(mean, true_mean),
        _norms(mean) / _norms(true_mean),
        cosine(gradients, truth),
        spread,
    )


def cosine(
    a: Float[Array, "*batch weight"], b: Float[Array, "*batch weight"]
) -> Float[Array, "*batch"]:
    """Cosine of the angle between vectors, without overflow in the squares.

    Args:
        a: Some vectors.
        b: Others.

    Returns:
        Their cosines; NaN where a vector is zero or not finite, for it has no direction.
    """
    return jnp.sum(_directions(a) * _directions(b), axis=-1)


def _norms(vectors: Float[Array, "*batch weight"]) -> Float[Array, "*batch"]:
    # Divided by the largest entry, so that no square overflows or underflows.
    largest = jnp.max(jnp.abs(vectors), axis=-1)
    scale = jnp.where(largest > 0, largest, 1)
    return scale * jnp.linalg.norm(vectors / scale[..., None], axis=-1)


def _directions(vectors: Float[Array, "*batch weight"]) -> Float[Array, "*batch weight"]:
    scaled = vectors / jnp.max(jnp.abs(vectors), axis=-1, keepdims=True)
    return scaled / jnp.linalg.norm(scaled, axis=-1, keepdims=True)
