"""The first quantity of Algorithm 1 that was not finite, in words."""

import re
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import numpy as np

from beeline.training._tally import Skipped
from beeline.training.algorithm import LOWER_RATES, Fault
from beeline.training.bpo import BPOState
from beeline.training.episodes import Episode
from beeline.training.faults import Faults, first_in, inexact_leaves, leaf_names
from beeline.training.learner import Learner
from beeline.training.record import Record

_LOWER = f"{LOWER_RATES}, or set nonfinite to skip or restore"
_CHECK = "try beeline.envs.check on the environment"
_MEASURED = ("collected_return", "fresh_error", "replayed_error", "one_step_error")


def fault_of_warmup(state: BPOState, episodes: int) -> Fault | None:
    """Look for what is not finite before the first iteration.

    Args:
        state: The state then, with an axis of seeds.
        episodes: Number of episodes of the warm-up.

    Returns:
        The first such quantity of the first seed that has one, or None.
    """
    buffer = jax.tree.map(lambda x: np.asarray(x[:, :episodes]), _episodes(state))
    learned = [np.asarray(x) for x in inexact_leaves(state.learned)]
    for seed in range(len(state.rate)):
        for number in range(episodes):
            seen = jax.tree.map(lambda x, at=(seed, number): x[at], buffer)
            if not all(map(_is_finite, jax.tree.leaves(seen))):
                where = _entry_name(int(first_in(jax.tree.map(jax.numpy.asarray, seen))), state)
                return Fault(f"{where} of warm-up episode {number + 1}", seed, _CHECK)
        bad = _first_bad(_learned_names(state), [_is_finite(x[seed]) for x in learned])
        if bad:
            return Fault(bad, seed, _CHECK)
    return None


def faults_of_iteration(
    learners: Sequence[Learner], record: Record, faults: Faults, state: BPOState
) -> Iterator[Fault]:
    """Look for what was not finite in an iteration.

    Args:
        learners: What learned in it, in that order.
        record: What the iteration measured, with an axis of seeds.
        faults: What was found on the way, likewise.
        state: The state after it, likewise.

    Yields:
        The first fault of each seed that has one.
    """
    for seed in range(len(record.return_)):
        measured, found = (
            jax.tree.map(lambda x, seed=seed: x[seed], tree) for tree in (record, faults)
        )
        fault = next(_of_one_seed(learners, measured, found, state), None)
        if fault is not None:
            yield fault._replace(position=seed, in_weights=not found.weights.all())


def _of_one_seed(
    learners: Sequence[Learner], record: Record, faults: Faults, state: BPOState
) -> Iterator[Fault]:
    if faults.collected >= 0:
        where = _entry_name(int(faults.collected), state)
        yield Fault(f"{where} of the collected episode", 0, _CHECK)
    for name in _MEASURED:
        if not _is_finite(getattr(record, name)):
            yield Fault(name, 0, _LOWER)
    for learner in learners:
        skipped = faults.skipped[learner.name]
        if skipped.update >= 0:
            bad = _first_skipped(skipped, learner.values, state.learners[learner.name].weights)
            part = learner.name.replace("_", "-")
            yield Fault(f"{bad} in {part} update {skipped.update + 1} of {skipped.due}", 0, _LOWER)
    bad = _first_bad(_learned_names(state), faults.weights)
    if bad:
        yield Fault(bad, 0, _LOWER)
    if faults.evaluated >= 0:
        where = _entry_name(int(faults.evaluated), state)
        yield Fault(f"{where} of the evaluation episode", 0, _CHECK)
    if not _is_finite(record.return_):
        yield Fault("return", 0, _LOWER)


def _first_skipped(skipped: Skipped, values: Sequence[str], weights: Any) -> str:
    finite = np.isfinite(skipped.values[:-1])
    bad = _first_bad([f"the {name}" for name in values], finite)
    if bad or skipped.bad_entry < 0:
        return bad or "the objective"
    # Where each array's entries end when they are laid end to end.
    ends = np.cumsum([leaf[0].size for leaf in inexact_leaves(weights)])
    leaf = int(np.searchsorted(ends, skipped.bad_entry, side="right"))
    return f"the gradient of {leaf_names(weights)[leaf]}"


def _first_bad(names: Sequence[str], finite: Any) -> str | None:
    return next((name for name, good in zip(names, finite, strict=True) if not good), None)


def _learned_names(state: BPOState) -> list[str]:
    # As a user thinks of them: model.decoder.weight, policy_optimiser.mu.
    names = leaf_names(state.learned)
    names = [re.sub(r"^learners\.(\w+)\.weights", r"\1", name) for name in names]
    return [re.sub(r"^learners\.(\w+)\.optimiser", r"\1_optimiser", name) for name in names]


def _entry_name(position: int, state: BPOState) -> str:
    states, actions = (x.shape[-1] for x in (state.buffer.states, state.buffer.actions))
    step, entry = divmod(position, states + actions + 1)
    if entry < states:
        return f"state entry {entry} at step {step}"
    entry -= states
    return f"{f'action entry {entry}' if entry < actions else 'the reward'} at step {step}"


def _episodes(state: BPOState) -> Episode:
    buffer = state.buffer
    assert buffer.rewards is not None
    return Episode(buffer.states, buffer.actions, buffer.rewards, buffer.ends)


def _is_finite(values: Any) -> bool:
    return bool(np.isfinite(values).all())
