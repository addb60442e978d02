"""The first quantity that was not finite, in words."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from beeline.run.directory.records import MEASURED_IN
from beeline.training import BPOState, Episode, Record
from beeline.training.algorithm import BaselineState
from beeline.training.faults import Faults, Skipped, first_in

_LOWER = "lower the learning rates, or set nonfinite to skip or restore"
_IMAGINED = ("imagined return", "entropy")
_CHECK = "try beeline.envs.check on the environment"


class Fault(NamedTuple):
    """Something that is not finite and should be."""

    quantity: str
    position: int
    """That of the seed among those side by side."""
    advice: str = _LOWER
    in_weights: bool = False
    """Whether something learned is not finite after the iteration, be it named here or not."""


def fault_of_warmup(state: BPOState | BaselineState, episodes: int) -> Fault | None:
    """Look for what is not finite before the first iteration.

    Args:
        state: The state then, with an axis of seeds.
        episodes: Number of episodes of the warm-up.

    Returns:
        The first such quantity of the first seed that has one, or None.
    """
    if not isinstance(state, BPOState):
        # Its warm-up trains nothing, and what it saw is not kept here.
        return None
    buffer = jax.tree.map(lambda x: np.asarray(x[:, :episodes]), _episodes(state))
    learned = [np.asarray(x) for x in _trained(state.learned)]
    for seed in range(len(state.rate)):
        for number, seen in enumerate(zip(*(part[seed] for part in buffer), strict=True)):
            if not all(map(_is_finite, seen)):
                where = _place_name(int(first_in(Episode(*map(jnp.asarray, seen)))), state)
                return Fault(f"{where} of warm-up episode {number + 1}", seed, _CHECK)
        bad = _first_bad(_leaf_names(state.learned), [_is_finite(x[seed]) for x in learned])
        if bad:
            return Fault(bad, seed, _CHECK)
    return None


def faults_of_iteration(
    record: Any, faults: Faults | None, state: BPOState | BaselineState
) -> Iterator[Fault]:
    """Look for what was not finite in an iteration.

    Args:
        record: What the iteration measured, with an axis of seeds.
        faults: What was found on the way, likewise; None for a baseline.
        state: The state after it, likewise.

    Yields:
        The first fault of each seed that has one.
    """
    if faults is None:
        yield from _of_baseline(record, state)
        return
    assert isinstance(state, BPOState)
    for seed in range(len(record.return_)):
        measured, found = (
            jax.tree.map(lambda x, seed=seed: x[seed], tree) for tree in (record, faults)
        )
        fault = next(_of_one_seed(measured, found, state), None)
        if fault is not None:
            yield fault._replace(position=seed, in_weights=not found.weights.all())


def _of_baseline(record: Any, state: Any) -> Iterator[Fault]:
    kept = dict(zip(_leaf_names(state), _trained(state), strict=True))
    for seed in range(len(record.return_)):
        for name, values in (record._asdict() | kept).items():
            counted = name not in MEASURED_IN or getattr(record, MEASURED_IN[name])[seed] > 0
            if counted and not _is_finite(values[seed]):
                yield Fault(name.rstrip("_"), seed, "lower the learning rates")
                break


def _of_one_seed(record: Record, faults: Faults, state: BPOState) -> Iterator[Fault]:
    if faults.collected >= 0:
        where = _place_name(int(faults.collected), state)
        yield Fault(f"{where} of the collected episode", 0, _CHECK)
    for name in ("collected_return", "fresh_error", "replayed_error", "one_step_error"):
        if not _is_finite(getattr(record, name)):
            yield Fault(name, 0)
    one_step = None if state.dyna is None else state.dyna.model
    loops = (
        ("one-step", one_step, ("loss",), faults.one_step, record.model_updates),
        ("model", state.model, ("loss",), faults.model, record.model_updates),
        ("reward", state.reward, ("loss",), faults.reward, record.model_updates),
        ("policy", state.policy, _IMAGINED, faults.policy, record.policy_updates),
    )
    for part, weights, values, skipped, count in loops:
        if skipped is not None and skipped.update >= 0:
            bad = _first_skipped(skipped, values, weights)
            yield Fault(f"{bad} in {part} update {skipped.update + 1} of {count}", 0)
    bad = _first_bad(_leaf_names(state.learned), faults.weights)
    if bad:
        yield Fault(bad, 0)
    if faults.evaluated >= 0:
        where = _place_name(int(faults.evaluated), state)
        yield Fault(f"{where} of the evaluation episode", 0, _CHECK)
    if not _is_finite(record.return_):
        yield Fault("return", 0)


def _first_skipped(skipped: Skipped, values: Sequence[str], weights: Any) -> str:
    finite = np.isfinite(skipped.values[:-1])
    bad = _first_bad([f"the {name}" for name in values], finite)
    if bad or skipped.bad_entry < 0:
        return bad or "the objective"
    # Where each array's entries end when they are laid end to end.
    ends = np.cumsum([leaf[0].size for leaf in _trained(weights)])
    leaf = int(np.searchsorted(ends, skipped.bad_entry, side="right"))
    return f"the gradient of {_leaf_names(weights)[leaf]}"


def _first_bad(names: Sequence[str], finite: Any) -> str | None:
    return next((name for name, good in zip(names, finite, strict=True) if not good), None)


def _place_name(place: int, state: BPOState) -> str:
    states, actions = (x.shape[-1] for x in (state.buffer.states, state.buffer.actions))
    step, entry = divmod(place, states + actions + 1)
    if entry < states:
        return f"state entry {entry} at step {step}"
    entry -= states
    return f"{f'action entry {entry}' if entry < actions else 'the reward'} at step {step}"


def _leaf_names(tree: Any) -> list[str]:
    found = jax.tree_util.tree_leaves_with_path(eqx.filter(tree, eqx.is_inexact_array))
    return [jax.tree_util.keystr(path, simple=True, separator=".") for path, _ in found]


def _trained(tree: Any) -> list[Any]:
    return jax.tree.leaves(eqx.filter(tree, eqx.is_inexact_array))


def _episodes(state: BPOState) -> Episode:
    buffer = state.buffer
    assert buffer.rewards is not None
    return Episode(buffer.states, buffer.actions, buffer.rewards)


def _is_finite(values: Any) -> bool:
    return bool(np.isfinite(values).all())
