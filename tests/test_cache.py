"""Compiled programs that a killed process left torn: replaced, and nothing is said of them."""

import errno
import os
import pwd

import jax
import numpy as np
import pytest

from beeline.run._compiling import compile_cache
from beeline.storage.cache import cache_directory, can_keep, drop_torn_programs


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
    monkeypatch.setattr("beeline.run._compiling.drop_torn_programs", lambda folder: None)
    compiled_anew()
    (file,) = (cache_directory() / "xla").glob("jit__lambda-*-cache")
    file.write_bytes(b"x")
    with pytest.warns(UserWarning, match="Error reading persistent compilation cache"):
        compiled_anew()
    assert file.read_bytes() == b"x"


@pytest.fixture
def homeless(monkeypatch):
    """No variable says where to keep things, and the user has no entry in the passwd file."""
    for name in ("BEELINE_CACHE", "XDG_CACHE_HOME", "HOME"):
        monkeypatch.delenv(name, raising=False)

    def unknown(user):
        raise KeyError(user)

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    return monkeypatch


@pytest.mark.parametrize(
    ("surroundings", "folder"),
    [
        ({"HOME": "/h"}, "/h/.cache/beeline"),
        ({"HOME": "/h", "XDG_CACHE_HOME": "/x"}, "/x/beeline"),
        ({"HOME": "/h", "XDG_CACHE_HOME": ""}, "/h/.cache/beeline"),
        ({"HOME": "/h", "XDG_CACHE_HOME": "x"}, "/h/.cache/beeline"),
        ({"HOME": "/h", "XDG_CACHE_HOME": "~/x"}, "/h/x/beeline"),
        ({"HOME": "/h", "XDG_CACHE_HOME": "~nobody-at-all/x"}, "/h/.cache/beeline"),
        ({"XDG_CACHE_HOME": "/x"}, "/x/beeline"),
        ({"HOME": "/h", "BEELINE_CACHE": "~/b", "XDG_CACHE_HOME": "/x"}, "/h/b"),
        ({"BEELINE_CACHE": "/b"}, "/b"),
    ],
)
def test_the_folder_is_where_the_surroundings_say(homeless, surroundings, folder):
    for name, value in surroundings.items():
        homeless.setenv(name, value)
    assert str(cache_directory()) == folder


@pytest.mark.parametrize(
    "surroundings",
    [
        {},
        {"HOME": ""},
        {"HOME": "h"},
        {"XDG_CACHE_HOME": "x"},
        {"XDG_CACHE_HOME": "~/x"},
        {"BEELINE_CACHE": "~/b"},
        {"HOME": "/h", "BEELINE_CACHE": "~nobody-at-all/b"},
        {"BEELINE_CACHE": "FILE"},
        {"XDG_CACHE_HOME": "FILE"},
        {"HOME": "FILE"},
        {"HOME": "/proc"},
    ],
    ids=str,
)
def test_without_a_home_everything_goes_on_without_a_cache(homeless, surroundings, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    homeless.chdir(tmp_path)
    for name, value in surroundings.items():
        homeless.setenv(name, str(tmp_path / "file") if value == "FILE" else value)
    assert not can_keep(cache_directory())
    # A warning would be an error here.
    assert compiled_anew() == 0
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_disk_that_is_full_costs_the_cache_alone(tmp_path, monkeypatch):
    monkeypatch.setenv("BEELINE_CACHE", str(tmp_path))

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr("pathlib.Path.write_bytes", full)
        # A warning would be an error here.
        assert compiled_anew() > 0
    assert compiled_anew() > 0
    assert compiled_anew() == 0


def test_programs_are_looked_at_though_the_clock_went_back(tmp_path):
    torn = tmp_path / "torn-cache"
    torn.write_bytes(b"x")
    (tmp_path / ".checked").touch()
    os.utime(tmp_path / ".checked", (2**33, 2**33))
    drop_torn_programs(tmp_path)
    assert not torn.exists()


def test_what_cannot_be_read_is_left_alone(tmp_path):
    (tmp_path / "another-cache").write_bytes(b"(compressed in another way")
    drop_torn_programs(tmp_path)
    assert (tmp_path / "another-cache").exists()
    drop_torn_programs(tmp_path / "missing")
