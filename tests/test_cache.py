"""Compiled programs that a killed process left torn: replaced, and nothing is said of them."""

import jax
import numpy as np
import pytest

from beeline._cache import cache_directory, drop_torn_programs
from beeline.run._programs import compile_cache


def compiled_anew():
    """Compile as a new process would, and count what is not found in the cache."""
    missed = []

    def heed(event, **_):
        missed.extend([event] * (event == "/jax/compilation_cache/cache_misses"))

    jax.monitoring.register_event_listener(heed)
    try:
        with compile_cache():
            # A new function each time, for which JAX has nothing in memory.
            jax.jit(lambda x: x * 3.75 + 1).lower(np.ones(3, np.float32)).compile()
    finally:
        jax.monitoring.unregister_event_listener(heed)
    return len(missed)


@pytest.mark.parametrize(
    "tear",
    [
        lambda content: b"",
        lambda content: content[: len(content) // 2],
        lambda content: content[:-1],
        lambda content: content[:-100] + bytes(100),
    ],
    ids=["empty", "half", "almost", "zeros"],
)
def test_a_torn_program_is_replaced(tmp_path, monkeypatch, tear):
    monkeypatch.setenv("BEELINE_CACHE", str(tmp_path))
    assert compiled_anew() == 1
    folder = cache_directory() / "xla"
    (file,) = folder.glob("jit__lambda-*-cache")
    content = file.read_bytes()
    assert compiled_anew() == 0
    file.write_bytes(tear(content))
    # A warning would be an error here.
    assert compiled_anew() == 1
    assert file.read_bytes()[:2] == content[:2]
    assert compiled_anew() == 0


def test_jax_alone_does_not_replace_it(tmp_path, monkeypatch):
    """If this fails, what is done about it can go."""
    monkeypatch.setenv("BEELINE_CACHE", str(tmp_path))
    monkeypatch.setattr("beeline.run._programs.drop_torn_programs", lambda folder: None)
    compiled_anew()
    (file,) = (cache_directory() / "xla").glob("jit__lambda-*-cache")
    file.write_bytes(b"x")
    with pytest.warns(UserWarning, match="Error reading persistent compilation cache"):
        compiled_anew()
    assert file.read_bytes() == b"x"


def test_what_cannot_be_read_is_left_alone(tmp_path):
    (tmp_path / "another-cache").write_bytes(b"(compressed in another way")
    drop_torn_programs(tmp_path)
    assert (tmp_path / "another-cache").exists()
    drop_torn_programs(tmp_path / "missing")
