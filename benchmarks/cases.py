"""One operation at one size, measured in a process of its own."""

import json
import resource
import statistics
import subprocess
import sys
import time
from dataclasses import asdict, dataclass

FIT_BATCH = 64
GRADIENT_BATCH = 16

OPERATIONS = {
    "fit": FIT_BATCH,
    "rollout": GRADIENT_BATCH,
    "direct": GRADIENT_BATCH,
    "unrolled": GRADIENT_BATCH,
    "reference-fit": FIT_BATCH,
    "reference-gradient": GRADIENT_BATCH,
}

STATE_FED = ("markov", "transformer-history", "lstm-history", "ssm-history")


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
    milliseconds: float
    """Median after compilation."""
    compile_seconds: float
    base_megabytes: float
    """Peak of the process before compiling."""
    peak_megabytes: float
    operations: float | None
    """Floating-point operations, counted by hand; none where there is no count."""


def measure(case: Case) -> Measured:
    """Measure a case in a new process.

    Args:
        case: The case.

    Returns:
        The measurement.
    """
    command = [sys.executable, "-m", "benchmarks.cases", json.dumps(asdict(case))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(f"{case} failed:\n{done.stderr[-2000:]}")
    return Measured(**json.loads(done.stdout.splitlines()[-1]))


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
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def _prepare(case: Case):
    """Build the compiled-to-be function and its arguments."""
    import equinox as eqx
    import jax
    import jax.numpy as jnp

    from beeline.build import build_model, build_policy
    from beeline.config import preset
    from beeline.envs import make
    from beeline.gradients import Direct, Objective, Unrolled, draw_noise, rollout
    from beeline.training import ModelFitting, Optimiser
    from beeline.training.episodes import Buffer
    from benchmarks import reference

    config = preset(
        "default",
        task="cancer-treatment",
        horizon=case.horizon,
        model=case.model,
        env_steps=1500 + 3 * case.horizon,
    )
    env = make(config.task, horizon=config.horizon)
    keys = jax.random.split(jax.random.key(0), 6)
    model = build_model(config, env, key=keys[0])
    policy = build_policy(config, env, key=keys[1])
    objective = Objective(env.reward, jnp.ones(()), jnp.asarray(0.01))
    starts = jnp.broadcast_to(env.initial_state(), (GRADIENT_BATCH, env.state_dim))
    noise = draw_noise(GRADIENT_BATCH, env.horizon, env.action_dim, key=keys[2])
    states = jax.random.uniform(keys[3], (FIT_BATCH, env.horizon + 1, env.state_dim))
    actions = jax.random.uniform(keys[4], (FIT_BATCH, env.horizon, env.action_dim))
    fitting = ModelFitting(Optimiser(1e-3, 1.0, 1.0), FIT_BATCH)
    buffer = Buffer(states, actions, jnp.asarray(FIT_BATCH))

    def live(policy, model):
        def one(state, draws):
            return rollout(policy, model, state, draws, through_policy=0, through_states=0)

        return jax.vmap(one)(starts, noise)

    def update(policy, model):
        state = fitting.optimiser.init(model)
        return fitting.update(model, state, buffer, jnp.zeros(()), key=keys[5])

    functions = {
        "fit": update,
        "rollout": live,
        "direct": lambda policy, model: Direct()(policy, model, objective, starts, noise),
        "unrolled": lambda policy, model: Unrolled()(policy, model, objective, starts, noise),
        "reference-fit": lambda policy, model: reference.fit_gradient(model, states, actions),
        "reference-gradient": lambda policy, model: reference.policy_gradient(
            policy, model, objective, starts, noise
        ),
    }
    return config, env, eqx.filter_jit(functions[case.operation]), (policy, model)


def _run(case: Case) -> Measured:
    import jax

    from beeline._memory import keep_freed_memory
    from benchmarks.operations import count

    keep_freed_memory()
    config, env, function, arguments = _prepare(case)
    jax.block_until_ready(arguments)
    base = _peak_megabytes()
    begin = time.perf_counter()
    compiled = function.lower(*arguments).compile()
    compile_seconds = time.perf_counter() - begin
    jax.block_until_ready(compiled(*arguments))
    seconds = median_seconds(lambda: jax.block_until_ready(compiled(*arguments)))
    batch = OPERATIONS[case.operation]
    try:
        operations = count(config, env.state_dim, env.action_dim, case.operation, batch)
    except KeyError:
        operations = None
    return Measured(
        **asdict(case),
        batch=batch,
        milliseconds=1e3 * seconds,
        compile_seconds=compile_seconds,
        base_megabytes=base,
        peak_megabytes=_peak_megabytes(),
        operations=operations,
    )


if __name__ == "__main__":
    print(json.dumps(asdict(_run(Case(**json.loads(sys.argv[1]))))))
