"""Work on background threads, so that Ctrl-C is handled while it is done.

Python raises a keyboard interrupt on the main thread. There, JAX's tracing loses it in a callback
of the garbage collector, and a compilation holds it back until it is finished. The threads of
`concurrent.futures` would keep an interrupted process alive until they are done.
"""

import threading
from collections.abc import Callable
from typing import Generic, TypeVar

import jax
import jax.numpy as jnp

T = TypeVar("T")


def in_background(function: Callable[[], T]) -> Callable[[], T]:
    """Begin a computation on a thread of its own, in this thread's precision.

    Args:
        function: The computation.

    Returns:
        A function that waits for it, and returns or raises what it did.
    """
    task = _Task(function, jnp.result_type(float) == jnp.float64)
    threading.Thread(target=task.run, daemon=True).start()
    return task.result


class _Task(Generic[T]):
    def __init__(self, function: Callable[[], T], float64: bool) -> None:
        self._function = function
        self._float64 = float64
        self._done = threading.Event()
        self._value: list[T] = []
        self._error: BaseException | None = None

    def run(self) -> None:
        try:
            with jax.enable_x64(self._float64):
                self._value.append(self._function())
        except BaseException as error:
            self._error = error
        self._done.set()

    def result(self) -> T:
        self._done.wait()
        if self._error is not None:
            raise self._error
        return self._value[0]
