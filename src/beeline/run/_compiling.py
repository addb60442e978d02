"""The cache that keeps compiled programs between processes, and the device that they are for."""

import contextlib
import os
import warnings
from collections.abc import Iterator

import jax
from jax.experimental.compilation_cache.compilation_cache import reset_cache

from beeline.compute.devices import use_single_precision
from beeline.run._errors import RunError
from beeline.storage.cache import cache_directory, can_keep, drop_torn_programs


@contextlib.contextmanager
def compile_cache() -> Iterator[None]:
    """Keep compiled programs on disk, unless the user already chose where to.

    Yields:
        Nothing; JAX's settings are put back afterwards.
    """
    folder = cache_directory() / "xla"
    settings = {
        "jax_compilation_cache_dir": os.fspath(folder),
        "jax_persistent_cache_min_compile_time_secs": 0.0,
        "jax_persistent_cache_min_entry_size_bytes": -1,
    }
    before = {name: getattr(jax.config, name) for name in settings}
    if before["jax_compilation_cache_dir"] is not None or not can_keep(folder):
        yield
        return
    drop_torn_programs(folder)
    # JAX opens its cache once, and would go on with whichever it opened first.
    reset_cache()
    for name, value in settings.items():
        jax.config.update(name, value)
    try:
        with warnings.catch_warnings():
            # A disk that is full costs time only.
            warnings.filterwarnings("ignore", "Error writing persistent compilation cache")
            yield
    finally:
        for name, value in before.items():
            jax.config.update(name, value)
        reset_cache()


def require_devices() -> None:
    """Make sure that JAX computes somewhere, in single precision, before a file is made or blamed.

    Raises:
        RunError: If it does not, naming the variable.
    """
    try:
        jax.devices()
    except (AssertionError, RuntimeError) as error:
        asked = jax.config.values["jax_platforms"] or ""
        why = str(error) or "there is no such device, or JAX was installed without support for it"
        raise RunError(
            f"JAX cannot compute with JAX_PLATFORMS={asked} ({why}): "
            "unset the variable, or set it to cpu"
        ) from error
    use_single_precision()
