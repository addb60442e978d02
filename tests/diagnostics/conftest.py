"""What the tests of diagnostics share."""

from collections.abc import Iterator

import jax
import pytest


@pytest.fixture(autouse=True)
def quick_compiling() -> Iterator[None]:
    """Spend little time on compiling: much is compiled here, and little is computed."""
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)
