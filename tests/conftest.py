"""What tests of several floors share."""

import dataclasses
import gc
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import pytest

import beeline
from beeline.config import Config, Exploration, Fitting, Improvement, Model, Policy, Windows
from beeline.run import Run
from beeline.training import side_by_side
from beeline.training.side_by_side import Programs, SideBySide, compile_programs

# As many processes test side by side as there are cores: each computes on one.
os.environ.setdefault("JAX_NUM_CPU_DEVICES", "1")
jax.config.update("jax_num_cpu_devices", 1)
# SciPy's linear algebra would start a thread a core too, which take the time of the tests there to
# wait for problems that are this small. It reads this when it is loaded, which is not done yet.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

# Tests compile much and compute little, so that code is better made soon than made to be fast,
# and in the same way in the processes that they start, which are to compute the same bits.
jax.config.update("jax_disable_most_optimizations", True)
os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] = "1"
# Nor is a program split among threads, which compiles its parts sooner and costs more in all.
COMPILER = "--xla_cpu_use_fusion_emitters=false --xla_cpu_parallel_codegen_split_count=1"
os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {COMPILER}"

# Tracing makes many objects that live long: going through them over and over took a seventh of
# the time. Tests of what is kept in memory collect by themselves.
gc.set_threshold(20_000, 20, 20)


def pytest_collection_finish() -> None:
    """Leave what was imported out of every later collection."""
    gc.collect()
    gc.freeze()


@pytest.fixture
def float64() -> Iterator[None]:
    """Compute in double precision for one test."""
    with jax.enable_x64(True):
        yield


@pytest.fixture
def optimised() -> Iterator[None]:
    """Optimise what is compiled in one test, as users do: where rounding is at stake."""
    jax.config.update("jax_disable_most_optimizations", False)
    yield
    jax.config.update("jax_disable_most_optimizations", True)


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep the user's cache out of the tests, and share one among them and their processes."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BEELINE_CACHE", str(folder / "cache"))
        yield


@pytest.fixture(scope="session")
def tiny() -> Config:
    """A run that compiles soon, takes less than a second, and still learns."""
    return Config(
        task="cancer-treatment",
        horizon=10,
        model="markov",
        env_steps=500,
        imagination="episodes",
        world_model=Model(width=16, layers=1, heads=2, hidden=(32,), frequencies=2),
        policy=Policy(hidden=(32,), frequencies=2),
        fitting=Fitting(batch_size=8, env_steps_per_update=1.0),
        improvement=Improvement(batch_size=8, env_steps_per_update=1.0, learning_rate=3e-3),
        exploration=Exploration(warmup_steps=100, amplitude=0.6),
    )


@pytest.fixture(scope="session")
def tiny_windows(tiny: Config) -> Config:
    """The same of windows."""
    return dataclasses.replace(
        tiny,
        imagination="windows",
        env_steps=200,
        fitting=Fitting(batch_size=8),
        improvement=Improvement(batch_size=8),
        exploration=Exploration(warmup_steps=100),
        windows=Windows(length=4, hidden=(8,), clock="episode", env_steps_per_update=1.0),
    )


@pytest.fixture(scope="session")
def programs() -> dict[Config, Programs]:
    """What `trained` was compiled to, by its configuration."""
    return {}


@pytest.fixture(scope="session")
def trained(
    tiny: Config,
    programs: dict[Config, Programs],
    own_cache: None,
    tmp_path_factory: pytest.TempPathFactory,
) -> Run:
    """The run of `tiny`, with its directory; tests must leave it as it is."""

    def keep(algorithm: SideBySide, *rest: Any) -> Programs:
        programs[algorithm.config] = compile_programs(algorithm, *rest)
        return programs[algorithm.config]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(side_by_side, "compile_programs", keep)
        return beeline.train(config=tiny, out=tmp_path_factory.mktemp("runs") / "trained")


@pytest.fixture
def warm(trained: Run, programs: dict[Config, Programs], monkeypatch: pytest.MonkeyPatch) -> None:
    """Train `tiny` with the programs of `trained`, where a test is not about compiling them."""

    def find(algorithm: SideBySide, *rest: Any) -> Programs:
        if algorithm.config not in programs:
            return compile_programs(algorithm, *rest)
        return programs[algorithm.config]

    monkeypatch.setattr(side_by_side, "compile_programs", find)


@pytest.fixture(scope="session")
def pair(tiny: Config, own_cache: None) -> Run:
    """The run of `tiny` with two seeds side by side."""
    return beeline.train(config=tiny, seeds=2)


@pytest.fixture
def copied(trained: Run, tmp_path: Path) -> Path:
    """A copy of the directory of `trained`, to do anything with."""
    assert trained.path is not None
    return Path(shutil.copytree(trained.path, tmp_path / "copied"))
