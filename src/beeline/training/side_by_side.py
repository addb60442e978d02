"""Algorithm 1 for several seeds side by side, as two programs that are compiled ahead of time."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.stages import Traced
from jaxtyping import Array, PRNGKeyArray, UInt32
from typing_extensions import override

from beeline.compute import devices
from beeline.compute.background import in_background
from beeline.policies import Policy
from beeline.training._seeds import (
    AlgorithmOne,
    as_array,
    collector_paused,
    is_shape,
    over_seeds,
    wait,
)
from beeline.training.algorithm import seeds_of
from beeline.training.bpo import BPOState
from beeline.training.episodes import Episode
from beeline.training.faults import Faults
from beeline.training.record import Record


class Programs(NamedTuple):
    """Compiled for one run; every array has a leading axis of seeds."""

    start: Callable[[], BPOState]
    """Draws the networks and warms up, or gives the state to go on from."""
    iterate: Callable[[BPOState, int], tuple[BPOState, Record, Faults]]
    """One iteration of Algorithm 1: the state before and the index to what comes of it."""


@final
class SideBySide(AlgorithmOne):
    """Where the environment is part of the program: collecting and learning are one."""

    @override
    def prepare(self, seeds: Sequence[int], restored: BPOState | None = None) -> None:
        with collector_paused():
            self.programs = compile_programs(self, seeds, restored)

    @override
    def skeleton(self) -> BPOState:
        return eqx.filter_eval_shape(_start(self), as_array(seeds_of(self.config)))

    @override
    def evaluate(self, policy: Policy, *, key: PRNGKeyArray) -> Episode:
        return self.bpo.evaluate(policy, key=key)


def compile_programs(
    algorithm: SideBySide, seeds: Sequence[int], restored: BPOState | None = None
) -> Programs:
    """Trace and compile ahead of time what a run needs.

    Args:
        algorithm: Algorithm 1.
        seeds: The seeds.
        restored: The state to go on from; newly drawn if left out.

    Returns:
        The programs.
    """
    if restored is None:
        traced, shapes, static = _trace_start(algorithm, seeds)
        start = in_background(lambda: _compile_start(traced, seeds))
    else:
        shapes, static = eqx.partition(algorithm.skeleton(), is_shape)
        start = in_background(lambda: lambda: restored)

    def advance(arrays: Any, index: Array) -> tuple[Any, Record, Faults]:
        state, record, faults = over_seeds(
            lambda state: algorithm.bpo.iterate(state, index),
            len(seeds),
            eqx.combine(arrays, static),
        )
        return eqx.filter(state, eqx.is_array), record, faults

    index = jax.ShapeDtypeStruct((), jnp.asarray(0).dtype)
    everywhere = devices.everywhere()
    advance = jax.jit(advance, in_shardings=everywhere, out_shardings=everywhere)
    iterate = advance.lower(shapes, index).compile()
    draw = start()

    def run_iteration(state: BPOState, index: int) -> tuple[BPOState, Record, Faults]:
        arrays = jax.device_put(eqx.filter(state, eqx.is_array), everywhere)
        arrays, record, faults = iterate(arrays, np.asarray(index, jnp.asarray(0).dtype))
        wait(record)
        return eqx.combine(arrays, static), *jax.device_get((record, faults))

    return Programs(lambda: eqx.combine(draw(), static), run_iteration)


def _trace_start(algorithm: SideBySide, seeds: Sequence[int]) -> tuple[Traced, Any, Any]:
    # What the next program takes is known as soon as this one is traced.
    start, static = _start(algorithm), []

    def arrays_of(seeds: Array) -> Any:
        arrays, rest = eqx.partition(start(seeds), eqx.is_array)
        static.append(rest)
        return arrays

    traced, shapes = jax.jit(arrays_of).trace(as_array(seeds)), []
    for aval in traced.jaxpr.out_avals:
        shapes.append(jax.ShapeDtypeStruct(aval.shape, aval.dtype, weak_type=aval.weak_type))
    return traced, jax.tree.unflatten(jax.tree.structure(traced.out_info), shapes), static[0]


def _compile_start(traced: Traced, seeds: Sequence[int]) -> Callable[[], Any]:
    # Run once, on little data: time spent on making it faster would be lost.
    program = traced.lower().compile(compiler_options={"xla_backend_optimization_level": "0"})
    return lambda: program(as_array(seeds))


def _start(algorithm: SideBySide) -> Callable[[Array], BPOState]:
    def start(seed: UInt32[Array, ""]) -> BPOState:
        model, policy, reward, critic, termination, key = algorithm.draw(seed)
        return algorithm.bpo.init(model, policy, reward, critic, termination, key=key)

    return lambda seeds: over_seeds(start, len(seeds), seeds)
