"""The vanilla recurrent network.

x_{t+1} = σ(W_x x_t) + W_a a_t + b, and the output is W_o x_{t+1}. In a stack, the input a_t of a
layer is the x_{t+1} of the layer below. The memory starts at x = 0.

References:
    Paper, Eq. 4, Corollary 2.1 and Appendix C (two hidden layers of 64).
"""

from collections.abc import Callable
from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray
from typing_extensions import override

from beeline.networks.layers import Linear
from beeline.sequence._recurrent import Cell, RecurrentCore


@final
class RNNCell(Cell[Float[Array, " hidden"]]):
    """x' = σ(W_x x) + W_a a + b."""

    recurrent: Float[Array, "hidden hidden"]
    inputs: Linear
    activation: Callable[[Array], Array] = eqx.field(static=True)

    def __init__(
        self,
        inputs: int,
        hidden: int,
        activation: Callable[[Array], Array],
        *,
        key: PRNGKeyArray,
    ) -> None:
        """Draw the weights, W_x orthogonal.

        Args:
            inputs: Size of an input.
            hidden: Size of the memory.
            activation: σ, elementwise.
            key: Random key.
        """
        recurrent_key, input_key = jax.random.split(key)
        self.recurrent = jax.nn.initializers.orthogonal()(recurrent_key, (hidden, hidden))
        self.inputs = Linear(inputs, hidden, key=input_key)
        self.activation = activation

    @override
    def start(self) -> Float[Array, " hidden"]:
        return jnp.zeros_like(self.inputs.bias)

    @override
    def project(self, x: Float[Array, "*time inputs"]) -> Float[Array, "*time hidden"]:
        return self.inputs(x)

    @override
    def advance(
        self, memory: Float[Array, " hidden"], projected: Float[Array, " hidden"]
    ) -> tuple[Float[Array, " hidden"], Float[Array, " hidden"]]:
        memory = self.activation(memory @ self.recurrent) + projected
        return memory, memory


@final
class RNN(RecurrentCore):
    """Stack of vanilla recurrent layers with a linear readout."""

    cells: tuple[Cell, ...]
    readout: Float[Array, "hidden outputs"]
    width: int = eqx.field(static=True)

    def __init__(
        self,
        width: int = 72,
        hidden_sizes: tuple[int, ...] = (64, 64),
        activation: Callable[[Array], Array] = jnp.tanh,
        *,
        key: PRNGKeyArray,
    ) -> None:
        """Draw the weights.

        Args:
            width: Size of a token and of an output.
            hidden_sizes: Size of each layer's memory, from the tokens up.
            activation: σ, elementwise.
            key: Random key.
        """
        *keys, readout_key = jax.random.split(key, len(hidden_sizes) + 1)
        sizes = (width, *hidden_sizes)
        self.cells = tuple(
            RNNCell(inputs, hidden, activation, key=k)
            for inputs, hidden, k in zip(sizes[:-1], sizes[1:], keys, strict=True)
        )
        self.readout = sizes[-1] ** -0.5 * jax.random.normal(readout_key, (sizes[-1], width))
        self.width = width
