"""Long short-term memory.

(i, f, o, g) = W x + U h + b; c' = sigmoid(f) c + sigmoid(i) tanh(g); h' = sigmoid(o) tanh(c').

The four gates take one product. The forget gate starts open, with a bias of 1. The output is a
linear readout of h', and in a stack the input of a layer is the h' of the layer below.

References:
    Hochreiter and Schmidhuber 1997, "Long short-term memory".
    Gers, Schmidhuber and Cummins 2000, "Learning to forget", for the forget gate.
    Jozefowicz et al. 2015, "An empirical exploration of recurrent network architectures", for
    its bias.
    Paper, Appendix F.2.
"""

from typing import NamedTuple, final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray
from typing_extensions import override

from beeline.networks.layers import Linear
from beeline.sequence._recurrent import Cell, RecurrentCore


class LSTMMemory(NamedTuple):
    """What one layer remembers."""

    hidden: Float[Array, " hidden"]
    cell: Float[Array, " hidden"]


@final
class LSTMCell(Cell[LSTMMemory]):
    """One layer of gates i, f, o and g."""

    recurrent: Float[Array, "hidden gates"]
    inputs: Linear

    def __init__(self, inputs: int, hidden: int, *, key: PRNGKeyArray) -> None:
        """Draw the weights, with the forget gate open.

        Args:
            inputs: Size of an input.
            hidden: Size of the memory.
            key: Random key.
        """
        recurrent_key, input_key = jax.random.split(key)
        self.recurrent = jax.nn.initializers.orthogonal()(recurrent_key, (hidden, 4 * hidden))
        layer = Linear(inputs, 4 * hidden, key=input_key)
        opened = layer.bias.at[hidden : 2 * hidden].set(1.0)
        self.inputs = eqx.tree_at(lambda linear: linear.bias, layer, opened)

    @override
    def start(self) -> LSTMMemory:
        empty = jnp.zeros_like(self.recurrent[:, 0])
        return LSTMMemory(empty, empty)

    @override
    def project(self, x: Float[Array, "*time inputs"]) -> Float[Array, "*time gates"]:
        return self.inputs(x)

    @override
    def advance(
        self, memory: LSTMMemory, projected: Float[Array, " gates"]
    ) -> tuple[LSTMMemory, Float[Array, " hidden"]]:
        gates = projected + memory.hidden @ self.recurrent
        let_in, keep, let_out = jnp.split(jax.nn.sigmoid(gates[: 3 * memory.cell.size]), 3)
        cell = keep * memory.cell + let_in * jnp.tanh(gates[3 * memory.cell.size :])
        hidden = let_out * jnp.tanh(cell)
        return LSTMMemory(hidden, cell), hidden


@final
class LSTM(RecurrentCore):
    """Stack of LSTM layers with a linear readout."""

    cells: tuple[Cell, ...]
    readout: Float[Array, "hidden outputs"]
    width: int = eqx.field(static=True)

    def __init__(
        self, width: int = 72, hidden_sizes: tuple[int, ...] = (64, 64), *, key: PRNGKeyArray
    ) -> None:
        """Draw the weights.

        Args:
            width: Size of a token and of an output.
            hidden_sizes: Size of each layer's memory, from the tokens up.
            key: Random key.
        """
        *keys, readout_key = jax.random.split(key, len(hidden_sizes) + 1)
        sizes = (width, *hidden_sizes)
        self.cells = tuple(
            LSTMCell(inputs, hidden, key=k)
            for inputs, hidden, k in zip(sizes[:-1], sizes[1:], keys, strict=True)
        )
        self.readout = sizes[-1] ** -0.5 * jax.random.normal(readout_key, (sizes[-1], width))
        self.width = width
