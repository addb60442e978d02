"""What tests of several floors share."""

from collections.abc import Iterator

import jax
import pytest


@pytest.fixture
def float64() -> Iterator[None]:
    """Compute in double precision for one test."""
    with jax.enable_x64(True):
        yield


@pytest.fixture
def mathematics(float64: None) -> Iterator[None]:
    """Compute in double precision, and spend little time on compiling.

    For tests of what is computed; those of single precision see the optimised code.
    """
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)
