"""Real episodes of a run's policies."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, final

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Float

from beeline._module import ArraysInside
from beeline.config import REFERENCES
from beeline.envs import Environment
from beeline.envs._checks import check_horizon
from beeline.models import WorldModel
from beeline.policies import Policy
from beeline.run._compiling import compile_cache
from beeline.run._errors import RunError
from beeline.run._longer import HeldClock, at_horizon
from beeline.run._reference import Reference
from beeline.run._result import Run, load
from beeline.training import Episode, evaluate
from beeline.training.breaches import breaches
from beeline.training.hosted import Hosted

_EPISODES = 32
"""That the policies of a run are measured in on a simulator, unless the run says how many."""


@final
@dataclass(frozen=True, eq=False)
class Evaluation(ArraysInside):
    """The deterministic policies of a run in real episodes, one where nothing is left to chance."""

    states: Float[np.ndarray, "seed times state"]
    actions: Float[np.ndarray, "seed time action"]
    """Of the first episode of each, in [-1, 1] whatever the bounds of the environment:
    `env.physical_action` converts them."""
    return_: Float[np.ndarray, " seed"]
    """Mean over the episodes."""
    normalized_return: Float[np.ndarray, " seed"]
    returns: Float[np.ndarray, "seed episode"]
    """That of each episode."""
    reference: Reference
    steps: int | None = None
    """Steps that a simulator was asked for, for each seed; None for what is no simulator."""
    violations: dict[str, Float[np.ndarray, " seed"]] | None = None
    """How far the constraints of the environment are broken in all of the episodes, at most, by
    kind and in their own units: 0 where they are kept. None where it declares none."""
    violated_steps: Float[np.ndarray, " seed"] | None = None
    """Share of the steps that break one; None where none is about steps."""

    @property
    def standard_error(self) -> Float[np.ndarray, " seed"] | None:
        """How sure the mean returns are.

        Returns:
            Their standard errors; None if there is one episode alone.
        """
        episodes = self.returns.shape[1]
        return self.returns.std(axis=1, ddof=1) / episodes**0.5 if episodes > 1 else None


def evaluate_run(
    run: Run | str | Path,
    horizon: int | None = None,
    *,
    env: Any = None,
    model: str | Callable[..., WorldModel] | None = None,
    policy: str | Callable[..., Policy] | None = None,
) -> Evaluation:
    """Roll real episodes out with the deterministic policy of each seed.

    In episodes of more steps than it was trained for, a policy that sees no time simply goes on.
    The clock of one that does stands still in the middle for as many steps as there are more.

    Args:
        run: The run, or its directory.
        horizon: Steps in an episode; those that it was trained for if left out.
        env: As for `load`.
        model: As for `load`.
        policy: As for `load`.

    Returns:
        The episodes, their returns, and the optimum to compare them with.

    Raises:
        RunError: If the directory does not hold a run that can be read, or its environment or
            policy has no episodes of that many steps.
    """
    run = run if isinstance(run, Run) else load(run, env=env, model=model, policy=policy)
    count = run.algorithm.evaluation_episodes
    if isinstance(run.algorithm, Hosted):
        return _on_the_host(run, run.algorithm, count or _EPISODES, horizon)
    with compile_cache():
        task, kind, play_one = _episodes(run, horizon)
        reference = Reference.of(task, kind)
        key = jax.random.key(0)
        arrays, static = eqx.partition(run.state.policy, eqx.is_array)

        def play(policy: Policy) -> Episode:
            if count == 1:
                return jax.tree.map(lambda x: x[None], play_one(policy, key=key))
            keys = jax.random.split(key, count)
            return jax.vmap(lambda key: play_one(policy, key=key))(keys)

        # What `filter_jit` is given beside arrays, such as this function, JAX would never let go.
        evaluate = jax.jit(lambda arrays: eqx.filter_vmap(play)(eqx.combine(arrays, static)))
        episodes = evaluate(arrays)
        found = breaches(task, episodes)
    returns = np.asarray(episodes.return_)
    means = returns[:, 0] if count == 1 else returns.mean(axis=1)
    return Evaluation(
        states=np.asarray(episodes.states[:, 0]),
        actions=np.asarray(episodes.actions[:, 0]),
        return_=means,
        normalized_return=reference.normalize(means),
        returns=returns,
        reference=reference,
        violations=None if found is None else found.violations,
        violated_steps=None if found is None else found.violated_steps,
    )


def _on_the_host(run: Run, algorithm: Hosted, count: int, horizon: int | None) -> Evaluation:
    env, policies = algorithm.env, run.state.policy
    steps = env.horizon if horizon is None else check_horizon(horizon)
    if steps != env.horizon:
        middle, more = env.horizon // 2, max(0, steps - env.horizon)
        policies = HeldClock(policies, middle, more)
    before = env.host.steps
    played = algorithm.play(policies, count, steps)
    returns = np.asarray(played.returns, np.float32)
    reference = Reference.of(env)
    means = returns.mean(axis=1)
    return Evaluation(
        states=np.asarray(played.first.states),
        actions=np.asarray(played.first.actions),
        return_=means,
        normalized_return=reference.normalize(means),
        returns=returns,
        reference=reference,
        steps=env.host.steps - before,
    )


def _episodes(run: Run, horizon: int | None) -> tuple[Environment, str, Callable[..., Episode]]:
    # Of which task, what they are compared with, and how they are rolled out.
    env, kind = run.env, run.config.reference
    if horizon is None or horizon == env.horizon:
        return env, kind, run.algorithm.evaluate
    if not isinstance(run.state.policy, Policy):
        raise RunError(
            f"horizon is {horizon}, but a policy of {run.config.model} looks back on episodes of "
            f"{env.horizon} steps alone: leave it out"
        )
    task = at_horizon(env, horizon)
    middle, more = env.horizon // 2, max(0, task.horizon - env.horizon)
    return (
        task,
        # A number counts for the horizon that it was given for.
        kind if kind in REFERENCES else "none",
        lambda policy, *, key: evaluate(task, HeldClock(policy, middle, more), key=key),
    )
