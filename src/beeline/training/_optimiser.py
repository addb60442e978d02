"""Adam with clipped gradients, decoupled weight decay and a cosine over the whole run."""

from typing import Any, NamedTuple, TypeVar, cast, final

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

Weights = TypeVar("Weights")


class Step(NamedTuple):
    """What an optimiser did to some weights."""

    weights: Any
    state: optax.OptState
    gradient_norm: Float[Array, ""]


@final
class Optimiser(eqx.Module):
    """Gradient descent whose rate follows the progress of the run, not a count of updates."""

    learning_rate: float = eqx.field(static=True)
    final_rate: float = eqx.field(static=True)
    clip: float = eqx.field(static=True)
    weight_decay: float = eqx.field(static=True, default=0.0)

    def init(self, weights: Any) -> optax.OptState:
        """Begin.

        Args:
            weights: A module; its inexact arrays are trained.

        Returns:
            The optimiser's state.
        """
        return self._transform().init(eqx.filter(weights, eqx.is_inexact_array))

    def step(
        self,
        weights: Weights,
        gradient: Weights,
        state: optax.OptState,
        progress: Float[Array, ""],
    ) -> Step:
        """Descend once.

        Args:
            weights: The module.
            gradient: Gradient of what is minimised, shaped as the module.
            state: The optimiser's state.
            progress: Share of the run that is done, 0 to 1.

        Returns:
            The module and the state after the step, and the norm of the gradient given.
        """
        trained = eqx.filter(weights, eqx.is_inexact_array)
        updates, state = self._transform().update(cast(optax.Updates, gradient), state, trained)
        cosine = 0.5 * (1 + jnp.cos(jnp.pi * progress))
        rate = self.learning_rate * (self.final_rate + (1 - self.final_rate) * cosine)
        updates = jax.tree.map(lambda u: -rate * u, updates)
        return Step(eqx.apply_updates(weights, updates), state, optax.tree.norm(gradient))

    def _transform(self) -> optax.GradientTransformation:
        def matrices(weights: Any) -> Any:
            return jax.tree.map(lambda w: w.ndim >= 2, weights)

        return optax.chain(
            optax.clip_by_global_norm(self.clip),
            optax.scale_by_adam(),
            optax.add_decayed_weights(self.weight_decay, matrices),
        )
