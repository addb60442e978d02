"""What tests of several floors share."""

from collections.abc import Iterator

import jax
import pytest


@pytest.fixture
def float64() -> Iterator[None]:
    """Compute in double precision for one test."""
    with jax.enable_x64(True):
        yield
