"""What a policy that was learned from data is worth, and where it leaves the data."""

from pathlib import Path
from typing import Any, NamedTuple

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Array, Float

from beeline.data import Episodes
from beeline.envs import Environment
from beeline.offline._learning import rewards_of
from beeline.offline._rows import Rows, behaviour
from beeline.offline._system import System
from beeline.policies import Policy
from beeline.training import Episode, evaluate

EPISODES = 100
"""Rolled out to judge a policy."""


class Judgement(NamedTuple):
    """How a policy did in the system that it was learned in, and beyond."""

    behaviour_mean: float
    """What the data's own behaviour earned in as many steps, in the mean."""
    behaviour_best: float | None
    """The same at best; None if no episode of the data is as long."""
    imagined_mean: float
    """What the ensemble says that the policy earns, with no caution."""
    cautious_mean: float
    """The same with what caution takes off where the ensemble disagrees."""
    true_mean: float | None
    """What it earns in the simulator from the same starts; None without one."""
    true_error: float | None
    """Standard error of that."""
    beyond: Float[np.ndarray, " time"]
    """Share of the imagined episodes that have left the data at each step: there the members of
    the ensemble disagree more than they do in 99 of 100 steps of data held out."""
    edge: Float[np.ndarray, " state"]
    """Share of the imagined states in which an entry is at the edge of the data's range, where
    the system keeps it."""

    @property
    def left_at(self) -> int | None:
        """Find the step from which on most episodes have left the data.

        Returns:
            Its index; None if most stay.
        """
        out = np.flatnonzero(self.beyond > 0.5)
        return int(out[0]) if len(out) else None

    def plain(self) -> dict[str, Any]:
        """Summarise as what JSON can hold.

        Returns:
            Numbers by name.
        """
        return {
            "behaviour_mean": self.behaviour_mean,
            "behaviour_best": self.behaviour_best,
            "imagined_mean": self.imagined_mean,
            "cautious_mean": self.cautious_mean,
            "true_mean": self.true_mean,
            "true_error": self.true_error,
            "beyond_data": float(self.beyond.mean()),
            "left_data_at": self.left_at,
            "at_the_edge": self.edge.tolist(),
        }

    def save(self, path: Path) -> None:
        """Write down the share of episodes beyond the data, by step.

        Args:
            path: The file, CSV.
        """
        lines = [f"{t},{share:.6g}" for t, share in enumerate(self.beyond)]
        path.write_text("\n".join(["step,beyond_data", *lines, ""]), encoding="utf-8")


def judge(
    policy: Policy,
    system: System,
    episodes: Episodes,
    simulator: Environment | None = None,
    *,
    seed: int = 0,
) -> Judgement:
    """Judge a policy by the data, by the system learned from it and, if there is one, a simulator.

    Args:
        policy: The policy.
        system: What it was learned in.
        episodes: The data.
        simulator: What the data is of. Nothing that is learned sees its answers.
        seed: Seed of the starts.

    Returns:
        What was found.
    """
    keys = jax.random.split(jax.random.key(seed), EPISODES)
    true = None if simulator is None else _episodes(simulator, policy, keys)
    if true is None:
        starts = jax.vmap(lambda key: system.initial_state(key=key))(keys)
    else:
        starts = true.states[:, 0]
    cautious = _from(system, policy, starts, keys)
    imagined = _from(system.trusting(), policy, starts, keys)
    actions = jax.vmap(jax.vmap(system.physical_action))(imagined.actions)
    excess = jax.jit(jax.vmap(jax.vmap(system.excess)))(imagined.states[:, :-1], actions)
    edge = (imagined.states <= system.lowest) | (imagined.states >= system.highest)
    mean, best = behaviour(_rewards(system, episodes), system.horizon)
    returns = None if true is None else np.asarray(true.return_)
    return Judgement(
        behaviour_mean=mean,
        behaviour_best=best,
        imagined_mean=float(imagined.return_.mean()),
        cautious_mean=float(cautious.return_.mean()),
        true_mean=None if returns is None else float(returns.mean()),
        true_error=None if returns is None else float(returns.std(ddof=1) / len(returns) ** 0.5),
        beyond=np.asarray((excess > 0).mean(axis=0), float),
        edge=np.asarray(edge.mean(axis=(0, 1)), float),
    )


def _rewards(system: System, episodes: Episodes) -> list[np.ndarray]:
    found = []
    for one in episodes:
        if one.rewards is not None:
            found.append(one.rewards)
        else:
            low, high = np.asarray(system.action_low), np.asarray(system.action_high)
            half = np.where(high > low, (high - low) / 2, 1.0)
            box = (one.actions - (low + high) / 2) / half
            rows = Rows(one.states[None], box[None], one.states[None, 1:], None)
            found.append(np.asarray(rewards_of(system, rows), float)[0])
    return found


def _episodes(env: Environment, policy: Policy, keys: Array) -> Episode:
    return eqx.filter_jit(jax.vmap(lambda key: evaluate(env, policy, key=key)))(keys)


def _from(system: System, policy: Policy, starts: Array, keys: Array) -> Episode:
    def one(start: Array, key: Array) -> Episode:
        there = eqx.tree_at(lambda s: s.starts, system, start[None])
        return evaluate(there, policy, key=key)

    return eqx.filter_jit(jax.vmap(one))(starts, keys)
