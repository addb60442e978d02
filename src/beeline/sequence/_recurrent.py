"""What the recurrent networks share: a stack of cells, layer above layer, and a linear readout.

In the parallel form each layer first does all of its work that does not wait for its memory, one
product over the whole sequence, and only then scans along time.
"""

import abc
from typing import Any, Generic, TypeVar

import equinox as eqx
import jax
from jaxtyping import Array, Float
from typing_extensions import override

from beeline._module import Module
from beeline.sequence._base import SequenceCore

Memory = TypeVar("Memory")


class Cell(Module, Generic[Memory]):
    """One layer of a recurrent network."""

    @abc.abstractmethod
    def start(self) -> Memory:
        """Begin a sequence.

        Returns:
            The memory that has seen no token.
        """

    @abc.abstractmethod
    def project(self, x: Float[Array, "*time inputs"]) -> Float[Array, "*time gates"]:
        """Do the work that does not wait for the memory.

        Args:
            x: Inputs of the layer.

        Returns:
            What `advance` takes, one row per input.
        """

    @abc.abstractmethod
    def advance(
        self, memory: Memory, projected: Float[Array, " gates"]
    ) -> tuple[Memory, Float[Array, " hidden"]]:
        """Take one step.

        Args:
            memory: What the steps before left.
            projected: The projected input.

        Returns:
            The memory after it, and the output of the layer.
        """


class RecurrentCore(SequenceCore[tuple[Any, ...]]):
    """A stack of cells and a linear readout; its cache is one memory per cell."""

    cells: eqx.AbstractVar[tuple[Cell, ...]]
    readout: eqx.AbstractVar[Float[Array, "hidden outputs"]]

    @override
    def parallel(self, tokens: Float[Array, "time hidden"]) -> Float[Array, "time hidden"]:
        x = tokens
        for cell in self.cells:

            def advance(memory: Any, projected: Array, cell: Cell = cell) -> tuple[Any, Array]:
                return cell.advance(memory, projected)

            _, x = jax.lax.scan(advance, cell.start(), cell.project(x))
        return x @ self.readout

    @override
    def start(self, length: int) -> tuple[Any, ...]:
        del length
        return tuple(cell.start() for cell in self.cells)

    @override
    def step(
        self, cache: tuple[Any, ...], token: Float[Array, " hidden"]
    ) -> tuple[tuple[Any, ...], Float[Array, " hidden"]]:
        x, memories = token, []
        for cell, memory in zip(self.cells, cache, strict=True):
            memory, x = cell.advance(memory, cell.project(x))
            memories.append(memory)
        return tuple(memories), x @ self.readout
