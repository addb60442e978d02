"""What a run does about a number that is not finite."""

import logging
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import equinox as eqx
import jax

from beeline.config import Config
from beeline.run._errors import DivergedError
from beeline.run.directory import layout as files
from beeline.training import BPOState
from beeline.training.algorithm import Fault, seeds_of

_LOG = logging.getLogger("beeline")
_HALVINGS = 10


def recover(
    config: Config,
    before: Any,
    after: Any,
    faults: Iterable[Fault],
    *,
    iteration: int,
    path: Path | None = None,
) -> Any:
    """Do about faults what the configuration says.

    Args:
        config: The run.
        before: The state before the iteration, with an axis of seeds.
        after: The state after it, likewise.
        faults: The first fault of each seed that has one.
        iteration: Number of the iteration, counted from 1.
        path: Directory of the run, if it has one.

    Returns:
        The state to go on with.

    Raises:
        DivergedError: If the run has to stop.
    """
    remedy = _REMEDIES[config.nonfinite]
    stored = "" if path is None else f"; {path / files.CHECKPOINT} holds what was good"
    for fault in faults:
        seed = seeds_of(config)[fault.position]
        if remedy is None:
            raise DivergedError(fault.quantity, seed, iteration, stored, advice=fault.advice)
        if before.rate[fault.position] <= 0.5**_HALVINGS:
            advice = f"its learning rates were halved {_HALVINGS} times already"
            raise DivergedError(fault.quantity, seed, iteration, stored, advice=advice)
        after = remedy.apply(before, after, fault)
        told = (fault.quantity, seed, iteration, remedy.told)
        _LOG.warning("%s of seed %d is not finite in iteration %d: %s", *told)
    return after


class _Remedy(NamedTuple):
    apply: Callable[[BPOState, BPOState, Fault], BPOState]
    told: str


def _skip(before: BPOState, after: BPOState, fault: Fault) -> BPOState:
    return _put_back(before, after, fault.position) if fault.in_weights else after


def _restore(before: BPOState, after: BPOState, fault: Fault) -> BPOState:
    restored = _put_back(before, after, fault.position)
    return restored._replace(rate=restored.rate.at[fault.position].multiply(0.5))


_REMEDIES = {
    "stop": None,
    "skip": _Remedy(_skip, "left out"),
    "restore": _Remedy(_restore, "going on from the weights before, at half the learning rates"),
}


def _put_back(before: BPOState, after: BPOState, position: int) -> BPOState:
    # What was seen stays seen, and the next random draws are other ones.
    def put_back(new: Any, old: Any) -> Any:
        return new.at[position].set(old[position]) if eqx.is_array(new) else new

    return after._replace(**jax.tree.map(put_back, after.learned, before.learned))
