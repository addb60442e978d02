"""The few layers that sequence cores, world models and policies share.

Each takes any number of leading axes and multiplies from the right, so that a batch of
sequences is one large matrix product without a transpose.
"""

from collections.abc import Callable, Sequence
from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from beeline._module import Module

Activation = Callable[[Array], Array]
"""An elementwise function between layers."""


@final
class Linear(Module):
    """`x @ weight + bias`."""

    weight: Float[Array, "inputs outputs"]
    bias: Float[Array, " outputs"]

    def __init__(
        self, inputs: int, outputs: int, *, scale: float | None = None, key: PRNGKeyArray
    ) -> None:
        """Draw Gaussian weights, with zero bias.

        Args:
            inputs: Size of the last axis taken.
            outputs: Size of the last axis returned.
            scale: Standard deviation of the weights; `inputs ** -0.5` keeps the variance.
            key: Random key.
        """
        deviation = inputs**-0.5 if scale is None else scale
        self.weight = deviation * jax.random.normal(key, (inputs, outputs))
        self.bias = jnp.zeros(outputs)

    def __call__(self, x: Float[Array, "*batch inputs"]) -> Float[Array, "*batch outputs"]:
        """Apply the layer to the last axis.

        Args:
            x: Inputs.

        Returns:
            Outputs.
        """
        return x @ self.weight + self.bias


@final
class LayerNorm(Module):
    """Zero mean and unit variance over the last axis, then a learned affine map."""

    weight: Float[Array, " hidden"]
    bias: Float[Array, " hidden"]

    def __init__(self, width: int) -> None:
        """Start as the plain normalisation.

        Args:
            width: Size of the last axis.
        """
        self.weight = jnp.ones(width)
        self.bias = jnp.zeros(width)

    def __call__(self, x: Float[Array, "*batch hidden"]) -> Float[Array, "*batch hidden"]:
        """Normalise the last axis.

        Args:
            x: Inputs.

        Returns:
            Outputs of the same shape.
        """
        centred = x - jnp.mean(x, axis=-1, keepdims=True)
        variance = jnp.mean(centred**2, axis=-1, keepdims=True)
        return centred * jax.lax.rsqrt(variance + 1e-5) * self.weight + self.bias


@final
class MLP(Module):
    """Linear layers with an activation between them, none after the last."""

    layers: tuple[Linear, ...]
    activation: Activation = eqx.field(static=True)

    def __init__(
        self,
        sizes: Sequence[int],
        activation: Activation = jax.nn.relu,
        *,
        last_scale: float | None = None,
        key: PRNGKeyArray,
    ) -> None:
        """Draw the layers.

        Args:
            sizes: Widths from input to output, at least two.
            activation: Elementwise function between layers.
            last_scale: Standard deviation of the last layer's weights; small starts near zero.
            key: Random key.
        """
        keys = jax.random.split(key, len(sizes) - 1)
        last = len(sizes) - 2
        self.layers = tuple(
            Linear(a, b, scale=last_scale if i == last else None, key=k)
            for i, (a, b, k) in enumerate(zip(sizes[:-1], sizes[1:], keys, strict=True))
        )
        self.activation = activation

    def __call__(self, x: Float[Array, "*batch inputs"]) -> Float[Array, "*batch outputs"]:
        """Apply the network to the last axis.

        Args:
            x: Inputs.

        Returns:
            Outputs.
        """
        for layer in self.layers[:-1]:
            x = self.activation(layer(x))
        return self.layers[-1](x)
