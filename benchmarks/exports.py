"""Microseconds an action of one policy in each form that it is exported to."""

import functools
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import jax.export
import numpy as np

from beeline.build import build_policy
from beeline.config import Config
from beeline.envs import make
from beeline.export import export_policy, load_numpy

_SECONDS, _ROUNDS = 0.002, 1000


def run(task: str, horizon: int, batch: int) -> None:
    """Print the time of an action, of one state and of many at once, as a Markdown table.

    Args:
        task: Name of the task; the policy is an untrained one of the default preset.
        horizon: Steps in an episode.
        batch: How many states.
    """
    print(f"| form | load, ms | one state | of {batch} states, each |")
    print("|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for name, load in _forms(task, horizon, Path(folder)):
            begun = time.perf_counter()
            act = load()
            act(1)
            loaded = 1e3 * (time.perf_counter() - begun)
            one, many = (1e6 * _seconds(act, count) / count for count in (1, batch))
            print(f"| {name} | {loaded:.0f} | {one:.1f} µs | {many:.2f} µs |")  # noqa: RUF001


def _forms(
    task: str, horizon: int, folder: Path
) -> Iterator[tuple[str, Callable[[], Callable[[int], Any]]]]:
    env = make(task, horizon=horizon)
    policy = build_policy(Config(task=task, horizon=horizon), env, key=jax.random.key(0))
    files = {name: folder / name for name in ("numpy", "stablehlo", "onnx")}
    for name, file in files.items():
        export_policy(policy, env, file, to=name)
    state = np.asarray(env.initial_state(key=jax.random.key(0)))

    @functools.cache
    def inputs(count: int) -> tuple[np.ndarray, np.ndarray]:
        return np.tile(state, (count, 1)), np.zeros(count, np.int32)

    def beeline() -> Callable[[int], Any]:
        act = jax.jit(lambda state, t: env.physical_action(policy.mode(state, t)))
        return lambda count: np.asarray(act(*inputs(count)))

    def numpy() -> Callable[[int], Any]:
        act = load_numpy(files["numpy"])
        return lambda count: act(*inputs(count))

    def stablehlo() -> Callable[[int], Any]:
        with zipfile.ZipFile(files["stablehlo"]) as archive:
            act = jax.jit(jax.export.deserialize(bytearray(archive.read("program"))).call)
        return lambda count: np.asarray(act(*inputs(count)))

    def onnx() -> Callable[[int], Any]:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        session = onnxruntime.InferenceSession(files["onnx"], options)
        named = functools.cache(lambda count: dict(zip(("state", "t"), inputs(count), strict=True)))
        return lambda count: session.run(None, named(count))

    yield "`policy.mode` in Beeline, compiled", beeline
    yield "NumPy", numpy
    yield "StableHLO, by JAX", stablehlo
    yield "ONNX, by onnxruntime", onnx


def _seconds(act: Callable[[int], Any], count: int) -> float:
    # The least of several rounds: what else runs on the machine only adds to it.
    act(count)
    best = float("inf")
    for _ in range(_ROUNDS):
        calls, begun = 0, time.perf_counter()
        while (passed := time.perf_counter() - begun) < _SECONDS:
            act(count)
            calls += 1
        best = min(best, passed / calls)
    return best
