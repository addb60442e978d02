"""One operation at one size, measured in a process of its own."""

import contextlib
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array

from beeline.build import build_bpo, build_model, build_policy, build_reward
from beeline.compute.devices import everywhere, mean_over_devices, use_every_core
from beeline.compute.memory import keep_freed_memory
from beeline.config import Config, preset
from beeline.envs import Environment
from beeline.gradients import Direct, Objective, PolicyGradient, Unrolled, draw_noise, rollout
from beeline.gradients._sweeps import sweep_rollout
from beeline.models import WorldModel
from beeline.policies import Policy
from beeline.training import Context, ModelFitting, Optimiser
from beeline.training.episodes import Buffer
from benchmarks import reference
from benchmarks.operations import count

FIT_BATCH = 64
GRADIENT_BATCH = 16

OPERATIONS = {
    "fit": FIT_BATCH,
    "rollout": GRADIENT_BATCH,
    "direct": GRADIENT_BATCH,
    "unrolled": GRADIENT_BATCH,
    "sweeps": GRADIENT_BATCH,
    "iteration": GRADIENT_BATCH,
    "reference-fit": FIT_BATCH,
    "reference-gradient": GRADIENT_BATCH,
}

CACHE = {
    "jax_persistent_cache_min_compile_time_secs": 0.0,
    "jax_persistent_cache_min_entry_size_bytes": -1,
}


@dataclass(frozen=True)
class Case:
    """What is measured."""

    model: str
    horizon: int
    operation: str


@dataclass(frozen=True)
class Measured:
    """How it went."""

    model: str
    horizon: int
    operation: str
    batch: int
    devices: int
    """How many share the work: a processor's cores, or 1."""
    milliseconds: float
    """Median after compilation."""
    compile_seconds: float | None
    """Tracing and compiling, nothing cached; None where a run was cut off before it was kept."""
    cached_seconds: float | None
    """Tracing, and reading the program that was compiled from disk."""
    base_megabytes: float | None
    """Peak of the process before compiling; on an accelerator, of the device."""
    peak_megabytes: float
    operations: float
    """Floating-point operations, counted by hand."""


def measure(cases: Sequence[Case]) -> list[Measured]:
    """Measure cases, each in a new process; they compile side by side and are timed in turn.

    Args:
        cases: As many as may compile at a time.

    Returns:
        Their measurements.

    Raises:
        RuntimeError: If a process fails; the others are ended.
    """
    with contextlib.ExitStack() as ended:
        started = [(case, ended.enter_context(_start(case))) for case in cases]
        for case, process in started:
            _expect(process, case)
        return [Measured(**json.loads(_time(process, case))) for case, process in started]


@contextlib.contextmanager
def _start(case: Case) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "benchmarks.cases", json.dumps(asdict(case))]
    with (
        tempfile.TemporaryFile("w+", encoding="utf-8") as errors,
        subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            encoding="utf-8",
        ) as process,
    ):
        try:
            yield process
        except RuntimeError as error:
            process.kill()
            errors.seek(0)
            raise RuntimeError(f"{error}:\n{errors.read()[-2000:]}") from None


def _expect(process: subprocess.Popen[str], case: Case) -> str:
    assert process.stdout is not None
    line = process.stdout.readline()
    if not line:
        raise RuntimeError(f"{case} failed")
    return line


def _time(process: subprocess.Popen[str], case: Case) -> str:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()
    return _expect(process, case)


def median_seconds(function, least_seconds: float = 1.0, least_calls: int = 5) -> float:
    """Time a function until there is enough to take a median.

    Args:
        function: Called without arguments; waits for its own result.
        least_seconds: Time to spend at least.
        least_calls: Calls to make at least.

    Returns:
        Median seconds a call.
    """
    times = []
    while len(times) < least_calls or sum(times) < least_seconds:
        begin = time.perf_counter()
        function()
        times.append(time.perf_counter() - begin)
    return statistics.median(times)


def _peak_megabytes() -> float:
    on_device = jax.local_devices()[0].memory_stats()
    if on_device is not None:
        return on_device["peak_bytes_in_use"] / 2**20
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _prepare(case: Case) -> tuple[Config, Environment, Any, Any]:
    """Build the function to be compiled, and what it is given."""
    config = preset(
        "default",
        task="cancer-treatment",
        horizon=case.horizon,
        model=case.model,
        env_steps=1500 + 3 * case.horizon,
    )
    algorithm = build_bpo(config)
    env = algorithm.env
    keys = jax.random.split(jax.random.key(0), 6)
    model = build_model(config, env, key=keys[0])
    policy = build_policy(config, env, key=keys[1])
    objective = Objective(env.reward, jnp.ones(()), jnp.asarray(0.01))
    start = env.initial_state(key=jax.random.key(0))
    starts = jnp.broadcast_to(start, (GRADIENT_BATCH, env.state_dim))
    noise = draw_noise(GRADIENT_BATCH, env.horizon, env.action_dim, key=keys[2])
    states = jax.random.uniform(keys[3], (FIT_BATCH, env.horizon + 1, env.state_dim))
    actions = jax.random.uniform(keys[4], (FIT_BATCH, env.horizon, env.action_dim))
    fitting = ModelFitting(Optimiser(1e-3, 1.0, 1.0), FIT_BATCH)
    buffer = Buffer(states, actions, jnp.asarray(FIT_BATCH))

    def roll_out(policy: Policy, model: WorldModel) -> Any:
        def share(both: Any, starts: Array, noise: Array) -> Any:
            def one(state: Array, draws: Array) -> Any:
                return rollout(*both, state, draws, through_policy=0.0, through_states=0.0)

            return jnp.zeros(()), jax.vmap(one)(starts, noise)

        return mean_over_devices(share, (policy, model), starts, noise)[1]

    def sweep(policy: Policy, model: WorldModel) -> Any:
        def share(both: Any, starts: Array, noise: Array) -> Any:
            settled = sweep_rollout(*both, starts, noise)
            return settled.sweeps.astype(float), (settled.states, settled.actions)

        return mean_over_devices(share, (policy, model), starts, noise)

    def differentiate(route: PolicyGradient) -> Any:
        def share(both: Any, starts: Array, noise: Array) -> Any:
            (_, imagined), gradient = route(*both, objective, starts, noise)
            return gradient, imagined

        return lambda policy, model: mean_over_devices(share, (policy, model), starts, noise)

    def update(policy: Policy, model: WorldModel) -> Any:
        return fitting.update(fitting.init(model), Context(buffer), key=keys[5])

    functions = {
        "fit": update,
        "rollout": roll_out,
        "direct": differentiate(Direct()),
        "unrolled": differentiate(Unrolled()),
        "sweeps": sweep,
        "reference-fit": lambda policy, model: reference.fit_gradient(model, states, actions),
        "reference-gradient": lambda policy, model: reference.policy_gradient(
            policy, model, objective, starts, noise
        ),
    }
    if case.operation == "iteration":
        reward = build_reward(config, env, key=keys[5])
        state = eqx.filter_jit(algorithm.init)(model, policy, reward, key=keys[5])
        # The first iteration catches up on the warm-up; the second is like all others.
        return config, env, lambda state: algorithm.iterate(state, jnp.ones((), int)), (state,)
    return config, env, functions[case.operation], (policy, model)


def _run(case: Case) -> Measured:
    keep_freed_memory()
    if not case.operation.startswith("reference"):
        use_every_core(FIT_BATCH, GRADIENT_BATCH)
    config, env, function, arguments = _prepare(case)
    arrays, static = eqx.partition(arguments, eqx.is_array)
    arrays = jax.block_until_ready(jax.device_put(arrays, everywhere()))

    def of_arrays(arrays: Any) -> Any:
        return eqx.filter(function(*eqx.combine(arrays, static)), eqx.is_array)

    base = _peak_megabytes()
    with tempfile.TemporaryDirectory() as cache:
        for name, value in CACHE.items():
            jax.config.update(name, value)
        jax.config.update("jax_compilation_cache_dir", cache)
        compiled, compile_seconds = _compile(of_arrays, arrays)
        jax.block_until_ready(compiled(arrays))
        peak_megabytes = _peak_megabytes()
        _, cached_seconds = _compile(of_arrays, arrays)
    print("compiled", flush=True)
    sys.stdin.readline()
    seconds = median_seconds(lambda: jax.block_until_ready(compiled(arrays)))
    batch = OPERATIONS[case.operation]
    return Measured(
        **asdict(case),
        batch=batch,
        devices=jax.local_device_count(),
        milliseconds=1e3 * seconds,
        compile_seconds=compile_seconds,
        cached_seconds=cached_seconds,
        base_megabytes=base,
        peak_megabytes=peak_megabytes,
        operations=count(config, env.state_dim, env.action_dim, case.operation, batch),
    )


def _compile(function: Any, arrays: Any) -> tuple[Any, float]:
    jax.clear_caches()
    begin = time.perf_counter()
    compiled = jax.jit(function).lower(arrays).compile()
    return compiled, time.perf_counter() - begin


if __name__ == "__main__":
    print(json.dumps(asdict(_run(Case(**json.loads(sys.argv[1]))))))
