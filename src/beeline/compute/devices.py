"""Averages over a batch, each device taking its share of it.

One operation on a batch of short sequences is too small to occupy several cores of a processor,
and a rollout is a long chain of such operations. So the processor is given to JAX as one device a
core, and each core rolls out its own episodes, from the first step to the gradient: the cores
communicate once, to average. Several accelerators share a batch in the same way.
"""

import contextlib
import math
import os
from collections.abc import Callable
from typing import Any, TypeVar

import equinox as eqx
import jax
from jax.sharding import AxisType, Mesh, NamedSharding
from jax.sharding import PartitionSpec as P
from jaxtyping import Array

Mean = TypeVar("Mean")
Each = TypeVar("Each")

_AXIS = "share"
_PRECISION = "jax_default_matmul_precision"


def use_every_core(*batches: int) -> None:
    """Give JAX one device for each usable core, or the largest number that divides the batches.

    Nothing is changed once JAX has looked for its devices, or where `jax_num_cpu_devices` (in the
    environment, `JAX_NUM_CPU_DEVICES`) says how many there are to be.

    Args:
        batches: Sizes of the batches to be shared.
    """
    if jax.config.values["jax_num_cpu_devices"] > 0:
        return
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    common = math.gcd(*batches)
    shares = max(n for n in range(1, (cores or 1) + 1) if common % n == 0)
    with contextlib.suppress(RuntimeError):
        jax.config.update("jax_num_cpu_devices", shares)


def use_devices(count: int) -> None:
    """Give JAX a number of devices, however many cores there are.

    Nothing is changed where `use_every_core` would not change anything either.

    Args:
        count: How many.
    """
    if jax.config.values["jax_num_cpu_devices"] <= 0:
        with contextlib.suppress(RuntimeError):
            jax.config.update("jax_num_cpu_devices", count)


def use_single_precision() -> None:
    """Let accelerators multiply matrices in the precision of their entries.

    By themselves they round the entries of float32 to ten bits, after which a policy gradient is
    off by percents and routes that are equal differ (docs/speed.md). Nothing is changed on a
    processor, which does not, or where `jax_default_matmul_precision` says what is wanted.
    """
    if jax.default_backend() != "cpu" and jax.config.values[_PRECISION] is None:
        jax.config.update(_PRECISION, "highest")


def everywhere() -> NamedSharding:
    """Replicate an array on all devices.

    Returns:
        The sharding.
    """
    return NamedSharding(_mesh(), P())


def mean_over_devices(
    function: Callable[..., tuple[Mean, Each]], shared: Any, *arrays: Array | None
) -> tuple[Mean, Each]:
    """Evaluate a function of a batch, each device on its share.

    Args:
        function: From what is shared and arrays with a leading batch axis, to a mean over that
            batch and results that keep the axis.
        shared: What each device needs whole, such as the weights; the function should not close
            over arrays of its own.
        arrays: The batch; any but the first may be None. If the number of devices does not divide
            it, each does the whole.

    Returns:
        The mean over the whole batch, and the results of all its members.
    """
    devices = jax.local_device_count()
    if devices == 1 or jax.tree.leaves(arrays)[0].shape[0] % devices:
        return function(shared, *arrays)
    weights, others = eqx.partition(shared, eqx.is_array)
    static = []

    def share(weights: Any, *arrays: Array | None) -> tuple[Any, Any]:
        result = function(eqx.combine(weights, others), *arrays)
        (mean, each), rest = eqx.partition(result, eqx.is_array)
        static.append(rest)
        return jax.lax.pmean(mean, _AXIS), each

    spread = jax.shard_map(
        share,
        mesh=_mesh(),
        in_specs=(P(), *(P(_AXIS) for _ in arrays)),
        out_specs=(P(), P(_AXIS)),
        check_vma=False,
    )
    return eqx.combine(spread(weights, *arrays), static[0])


def _mesh() -> Mesh:
    devices = jax.local_devices()
    return jax.make_mesh((len(devices),), (_AXIS,), (AxisType.Auto,), devices=devices)
