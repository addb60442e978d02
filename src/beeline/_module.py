"""What Beeline adds to Equinox's modules, so that they go wherever a function of arrays can."""

import copyreg
import itertools
import sys
from typing import Any

import equinox as eqx
import jax
import numpy as np
from jax.core import Tracer

_NUMBERS = itertools.count()
_PROTOCOL = 4


class Module(eqx.Module):
    """An `equinox.Module` whose methods `jax.jit` takes as they are, whatever arrays it holds.

    JAX keeps what it compiles by the hash of the function, and a bound method hashes the module
    that it is bound to. Equinox hashes every entry, and an array has no hash. Modules that are
    equal have the same structure and shapes, so these are enough.
    """

    def __hash__(self) -> int:
        leaves, structure = jax.tree.flatten(self)
        if any(isinstance(leaf, Tracer) for leaf in leaves):
            # Whether it is equal to another is not known while it is traced: let nobody ask.
            return next(_NUMBERS)
        return hash((structure, *(np.shape(leaf) for leaf in leaves)))


class ArraysInside:
    """A dataclass without an `__eq__` of its own is equal to another if all that they hold is.

    The one that dataclasses have asks whether an array is true.
    """

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and bool(eqx.tree_equal(vars(self), vars(other)))


def _by_name(function: Any) -> Any:
    # Pickle would look for the plain function inside under a name that means the whole.
    module = sys.modules.get(function.__module__)
    if getattr(module, function.__qualname__, None) is function:
        return function.__qualname__
    return object.__reduce_ex__(function, _PROTOCOL)


# Activations are of these kinds, and part of what modules are.
for _kind in (jax.custom_jvp, jax.custom_vjp, type(jax.jit(_by_name))):
    copyreg.dispatch_table[_kind] = _by_name
