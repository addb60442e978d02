"""The two compiled programs of a run, and the cache that keeps them between processes."""

import contextlib
import gc
import os
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental.compilation_cache.compilation_cache import reset_cache
from jaxtyping import Array, UInt32

from beeline.build import build_model, build_policy, build_reward
from beeline.compute import devices as _devices
from beeline.compute.background import in_background
from beeline.config import Config
from beeline.run._errors import RunError
from beeline.storage.cache import cache_directory, can_keep, drop_torn_programs
from beeline.training import BPO, BPOState, Record
from beeline.training.algorithm import Baseline, BaselineState
from beeline.training.faults import Faults

T = TypeVar("T")


State = Any
"""A `BPOState` or a `BaselineState`."""
Start = Callable[[], State]
Iterate = Callable[[State, int], tuple[State, Any, Faults | None]]


@dataclass(frozen=True)
class Programs:
    """Compiled for one configuration; every array has a leading axis of seeds."""

    start: Start
    """Draws the networks and warms up, or gives the state that was begun."""
    iterate: Iterate
    """One iteration of Algorithm 1: the state before and the index to what comes of it."""
    compile_seconds: float
    """What tracing and compiling both took."""


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
    """Make sure that JAX computes somewhere, before a file is made or blamed.

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


def seeds_of(config: Config) -> list[int]:
    """List the seeds of a run.

    Args:
        config: The run.

    Returns:
        Seeds that follow each other.
    """
    return list(range(config.seed, config.seed + config.seeds))


def skeleton(config: Config, algorithm: BPO | Baseline) -> State:
    """Shape the state of a run without computing anything.

    Args:
        config: The run.
        algorithm: Algorithm 1, built for it.

    Returns:
        The state with `jax.ShapeDtypeStruct` in place of arrays.
    """
    if isinstance(algorithm, Baseline):
        return algorithm.skeleton()
    return eqx.filter_eval_shape(_start(config, algorithm), _seeds(config))


def compile_programs(
    config: Config, algorithm: BPO | Baseline, begun: State | None = None
) -> Programs:
    """Trace and compile ahead of time what a run needs.

    Args:
        config: The run.
        algorithm: Algorithm 1, built for it.
        begun: The state to start from; newly drawn if left out.

    Returns:
        The programs.
    """
    began = time.perf_counter()
    if isinstance(algorithm, Baseline):
        start, iterate = _prepare(config, algorithm, begun)
    else:
        with _collector_paused():
            start, iterate = _compile(config, algorithm, begun)
    return Programs(start, iterate, time.perf_counter() - began)


def _prepare(
    config: Config, algorithm: Baseline, begun: BaselineState | None
) -> tuple[Start, Iterate]:
    algorithm.prepare(seeds_of(config), begun)
    start = algorithm.warm_up if begun is None else lambda: begun
    return start, lambda state, index: (*algorithm.iterate(state, index), None)


def _compile(config: Config, algorithm: BPO, begun: BPOState | None) -> tuple[Start, Iterate]:
    start = in_background(
        lambda: _compile_start(config, algorithm) if begun is None else lambda: begun
    )
    places, static = eqx.partition(skeleton(config, algorithm), _is_place)

    def advance(arrays: Any, index: Array) -> tuple[Any, Record, Faults]:
        state, record, faults = _over_seeds(
            lambda state: algorithm.iterate(state, index), config.seeds, eqx.combine(arrays, static)
        )
        return eqx.filter(state, eqx.is_array), record, faults

    index = jax.ShapeDtypeStruct((), jnp.asarray(0).dtype)
    everywhere = _devices.everywhere()
    advance = jax.jit(advance, in_shardings=everywhere, out_shardings=everywhere)
    iterate = advance.lower(places, index).compile()
    draw = start()

    def run_iteration(state: BPOState, index: int) -> tuple[BPOState, Record, Faults]:
        arrays = jax.device_put(eqx.filter(state, eqx.is_array), everywhere)
        arrays, record, faults = iterate(arrays, np.asarray(index, jnp.asarray(0).dtype))
        wait(record)
        return eqx.combine(arrays, static), *jax.device_get((record, faults))

    return lambda: eqx.combine(draw(), static), run_iteration


def _compile_start(config: Config, algorithm: BPO) -> Callable[[], Any]:
    seeds = _seeds(config)
    # Run once, on little data: time spent on making it faster would be lost.
    program = (
        jax.jit(_arrays_of(_start(config, algorithm)))
        .lower(seeds)
        .compile(compiler_options={"xla_backend_optimization_level": "0"})
    )
    return lambda: program(seeds)


@contextlib.contextmanager
def _collector_paused() -> Iterator[None]:
    # Tracing makes so many objects that collecting them takes an eighth of its time.
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def wait(tree: Any) -> None:
    """Wait for arrays in such a way that Ctrl-C is heard meanwhile.

    Args:
        tree: The arrays.
    """
    pause = 1e-4
    for leaf in jax.tree.leaves(tree):
        while not leaf.is_ready():
            time.sleep(pause)
            pause = min(2 * pause, 0.02)


def _start(config: Config, algorithm: BPO) -> Callable[[Array], BPOState]:
    def start(seed: UInt32[Array, ""]) -> BPOState:
        model_key, policy_key, key = jax.random.split(jax.random.key(seed), 3)
        return algorithm.init(
            build_model(config, algorithm.env, key=model_key),
            build_policy(config, algorithm.env, key=policy_key),
            build_reward(config, algorithm.env, key=jax.random.fold_in(model_key, 1)),
            key=key,
        )

    return lambda seeds: _over_seeds(start, config.seeds, seeds)


def _over_seeds(function: Callable[[Any], T], seeds: int, tree: Any) -> T:
    if seeds > 1:
        return eqx.filter_vmap(function)(tree)
    # One seed alone is traced and compiled in much less time without a batch axis.
    one = jax.tree.map(lambda x: x[0] if eqx.is_array(x) else x, tree)
    return jax.tree.map(lambda x: x[None] if eqx.is_array(x) else x, function(one))


def _arrays_of(function: Callable[[Array], Any]) -> Callable[[Array], Any]:
    return lambda inputs: eqx.filter(function(inputs), eqx.is_array)


def _seeds(config: Config) -> UInt32[np.ndarray, " seed"]:
    return np.asarray(seeds_of(config), np.uint32)


def _is_place(leaf: Any) -> bool:
    return isinstance(leaf, jax.ShapeDtypeStruct)
