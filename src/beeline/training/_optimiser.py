"""Adam or Muon with clipped gradients, decoupled weight decay and a cosine over the whole run.

Muon turns the averaged gradient of each matrix into the nearest orthogonal one, so that all of
its directions are learned at the same pace, not the steepest first. What is not a matrix descends
beside it by Adam with Nesterov's momentum, as in optax.

References:
    Jordan et al. 2024, "Muon: An optimizer for hidden layers in neural networks"; by optax.
    Dozat 2016, "Incorporating Nesterov momentum into Adam".
"""

from typing import Any, NamedTuple, TypeVar, final

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float, Int

from beeline._module import Module
from beeline.networks.fixed import without_fixed

Weights = TypeVar("Weights")

_LARGEST_STEP = 1e15
"""Above every useful limit, and small enough that Adam's squares are finite in float32."""

_ADAM_SHARE = 0.3
"""Step size of Nesterov's Adam, for what is not a matrix, as a share of Muon's."""


class Descent(NamedTuple):
    """How one step of gradient descent went."""

    gradient_norm: Float[Array, ""]
    """Before clipping; NaN if an entry of the gradient is not finite."""
    clipped: Bool[Array, ""]
    taken: Bool[Array, ""]
    """Whether what is minimised and its gradient were finite; if not, nothing was changed."""
    bad_entry: Int[Array, ""]
    """The first entry of the gradient that is not finite, its arrays laid end to end; or -1."""


class Step(NamedTuple):
    """What an optimiser did to some weights."""

    weights: Any
    state: optax.OptState
    descent: Descent


@final
class Optimiser(Module):
    """Gradient descent whose rate follows the progress of the run, not a count of updates."""

    learning_rate: float = eqx.field(static=True)
    final_rate: float = eqx.field(static=True)
    clip: float = eqx.field(static=True)
    weight_decay: float = eqx.field(static=True, default=0.0)
    method: str = eqx.field(static=True, default="adam")
    """`adam`, or `muon` for matrices and Nesterov's Adam for the rest."""

    def init(self, weights: Any) -> optax.OptState:
        """Begin.

        Args:
            weights: A module; its inexact arrays are trained.

        Returns:
            The optimiser's state.
        """
        return self._transform(1.0).init(_trained(weights))

    def step(
        self,
        weights: Weights,
        gradient: Weights,
        state: optax.OptState,
        progress: Float[Array, ""],
        *,
        value: Float[ArrayLike, ""] = 0.0,
        rate: Float[ArrayLike, ""] = 1.0,
    ) -> Step:
        """Descend once, unless there is something that is not finite.

        Args:
            weights: The module.
            gradient: Gradient of what is minimised, shaped as the module.
            state: The optimiser's state.
            progress: Share of the run that is done, 0 to 1.
            value: What is minimised, at these weights.
            rate: Factor on the learning rate.

        Returns:
            The module and the state after the step, and how it went.
        """
        trained, gradient = _trained(weights), without_fixed(gradient)
        shrink, shorten, descent = _measure(gradient, min(self.clip, _LARGEST_STEP))
        taken = jnp.isfinite(value) & descent.taken
        shrunk = jax.tree.map(lambda g: g * shrink, gradient)
        updates, after = self._transform(shorten).update(shrunk, state, trained)
        cosine = 0.5 * (1 + jnp.cos(jnp.pi * progress))
        rate = (
            jnp.asarray(rate)
            * self.learning_rate
            * (self.final_rate + (1 - self.final_rate) * cosine)
        )
        updates = jax.tree.map(lambda u: jnp.where(taken, -rate * u, 0), updates)
        after = jax.tree.map(lambda new, old: jnp.where(taken, new, old), after, state)
        return Step(eqx.apply_updates(weights, updates), after, descent._replace(taken=taken))

    def _transform(self, scale: Any) -> optax.GradientTransformation:
        def matrices(weights: Any) -> Any:
            return jax.tree.map(lambda w: w.ndim >= 2, weights)

        if self.method == "muon":
            muon = optax.contrib.muon(
                -1.0, adam_learning_rate=-_ADAM_SHARE, weight_decay=self.weight_decay
            )
            return optax.chain(optax.scale(scale), muon)
        return optax.chain(
            optax.scale(scale),
            optax.scale_by_adam(),
            optax.add_decayed_weights(self.weight_decay, matrices),
        )


def _trained(weights: Any) -> Any:
    return eqx.filter(without_fixed(weights), eqx.is_inexact_array)


def _measure(gradient: Any, limit: float) -> tuple[Array, Array, Descent]:
    # The two factors that clip a gradient of any size, and what there is to say of it.
    flat = jnp.concatenate([leaf.ravel() for leaf in jax.tree.leaves(gradient)])
    length, shrink, bad_entry = _norm(flat)
    taken = bad_entry < 0
    norm = jnp.minimum(length / shrink, jnp.finfo(flat.dtype).max)
    clipped = norm >= limit
    factors = jnp.where(clipped, jnp.stack([shrink, limit / length]), 1.0)
    return *factors, Descent(jnp.where(taken, norm, jnp.nan), clipped, taken, bad_entry)


def _norm(flat: Array) -> tuple[Array, Array, Array]:
    # The norm as length / shrink, and the index of the first entry that is not finite or -1.
    norm, one = jnp.linalg.norm(flat), jnp.ones((), flat.dtype)

    def quickly() -> tuple[Array, Array, Array]:
        return norm, one, jnp.full((), -1)

    def carefully() -> tuple[Array, Array, Array]:
        # Squares overflow long before their root does. Powers of two change no digit.
        shrink, bad = 2.0**-100 * one, ~jnp.isfinite(flat)
        first = jnp.where(bad.any(), jnp.argmax(bad), -1)
        return jnp.linalg.norm(flat * shrink), shrink, first

    return jax.lax.cond(jnp.isfinite(norm), quickly, carefully)
