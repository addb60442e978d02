"""The gated recurrent unit.

(r, z, n)_x = W x + b and (r, z, n)_h = U h; r = sigmoid(r_x + r_h); z = sigmoid(z_x + z_h);
h' = z h + (1 - z) tanh(n_x + r (n_h + b_n)).

The reset gate acts after the product with U, so that the three gates take one product. The output
is a linear readout of h', and in a stack the input of a layer is the h' of the layer below.

References:
    Cho et al. 2014, "Learning phrase representations using RNN encoder-decoder".
"""

from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray
from typing_extensions import override

from beeline.networks.layers import Linear
from beeline.sequence._recurrent import Cell, RecurrentCore


@final
class GRUCell(Cell[Float[Array, " hidden"]]):
    """One layer of gates r, z and n."""

    recurrent: Float[Array, "hidden gates"]
    inputs: Linear
    candidate_bias: Float[Array, " hidden"]

    def __init__(self, inputs: int, hidden: int, *, key: PRNGKeyArray) -> None:
        """Draw the weights.

        Args:
            inputs: Size of an input.
            hidden: Size of the memory.
            key: Random key.
        """
        recurrent_key, input_key = jax.random.split(key)
        self.recurrent = jax.nn.initializers.orthogonal()(recurrent_key, (hidden, 3 * hidden))
        self.inputs = Linear(inputs, 3 * hidden, key=input_key)
        self.candidate_bias = jnp.zeros(hidden)

    @override
    def start(self) -> Float[Array, " hidden"]:
        return jnp.zeros_like(self.candidate_bias)

    @override
    def project(self, x: Float[Array, "*time inputs"]) -> Float[Array, "*time gates"]:
        return self.inputs(x)

    @override
    def advance(
        self, memory: Float[Array, " hidden"], projected: Float[Array, " gates"]
    ) -> tuple[Float[Array, " hidden"], Float[Array, " hidden"]]:
        gates = 2 * memory.size
        recurrent = memory @ self.recurrent
        reset, keep = jnp.split(jax.nn.sigmoid(projected[:gates] + recurrent[:gates]), 2)
        candidate = jnp.tanh(projected[gates:] + reset * (recurrent[gates:] + self.candidate_bias))
        memory = keep * memory + (1 - keep) * candidate
        return memory, memory


@final
class GRU(RecurrentCore):
    """Stack of GRU layers with a linear readout."""

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
            GRUCell(inputs, hidden, key=k)
            for inputs, hidden, k in zip(sizes[:-1], sizes[1:], keys, strict=True)
        )
        self.readout = sizes[-1] ** -0.5 * jax.random.normal(readout_key, (sizes[-1], width))
        self.width = width
