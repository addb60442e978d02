"""Solved optima on disk, so that each is computed once."""

import contextlib
import os
import tempfile
from pathlib import Path

import numpy as np
from jaxtyping import Float

from beeline.control._rollout import Player
from beeline.envs import Environment
from beeline.envs._identity import equations
from beeline.storage.cache import cache_directory

VERSION = 2
"""Raise this when the solver changes what it would find."""

FIELDS = ("actions", "states", "return_", "starts", "transcriptions", "plans")


def entry_path(env: Environment, starts: int) -> Path:
    """Name the file of a task's optimum.

    The name holds a fingerprint of the equations as JAX traces them, constants and start
    included, so that a task that was changed in any way finds no entry of the old one.

    Args:
        env: The task. Call this with float64 enabled, as for solving.
        starts: How many starting points the search uses.

    Returns:
        The path, whether or not there is such a file.
    """
    file = f"optimum-{env.name}-h{env.horizon}-s{starts}-v{VERSION}-{equations(env)}.npz"
    return cache_directory() / file


def replayed(
    replay: Player, plans: Float[np.ndarray, "plan time action"], starts: int
) -> dict[str, np.ndarray]:
    """Find the best plan, and what each of them earns, by playing them.

    Args:
        replay: Plays plans on the task. Call this with float64 enabled.
        plans: Where every search ended, the searches by shooting first.
        starts: How many of them are by shooting.

    Returns:
        The fields of an `Optimum` by name, and the plans.
    """
    states, returns = replay(plans)
    returns = np.where(np.isfinite(returns), returns, -np.inf)
    best = np.argmax(returns)
    return {
        "actions": plans[best],
        "states": states[best],
        "return_": returns[best],
        "starts": np.sort(returns[:starts])[::-1],
        "transcriptions": np.sort(returns[starts:])[::-1],
        "plans": plans,
    }


def load(path: Path, env: Environment, replay: Player, starts: int) -> dict[str, np.ndarray] | None:
    """Read an optimum, trusting nothing in the file: every plan in it is played again.

    Args:
        path: The file, from `entry_path`.
        env: The task. Call this with float64 enabled.
        replay: Plays plans on the task.
        starts: How many starting points the search uses.

    Returns:
        What the plans earn, as `replayed` gives it, or None if there is no file, or it is not what
        it should be or says anything else.
    """
    try:
        # NumPy leaves a file that it opened itself open if it turns out to be damaged.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            stored = {field: archive[field] for field in archive.files}
    except Exception:
        return None
    plans = stored.get("plans", np.empty(0))
    shape = (env.horizon, env.action_dim)
    sound = (
        set(stored) == set(FIELDS)
        and all(array.dtype == np.float64 for array in stored.values())
        and plans.shape[1:] == shape
        and starts <= len(plans) <= 2 * starts + 1
        and np.all(np.abs(plans) <= 1.0)
    )
    if not sound:
        return None
    record = replayed(replay, plans, starts)
    # Bit for bit on the machine that wrote it; another may round otherwise.
    same = all(
        stored[name].shape == array.shape
        and np.allclose(stored[name], array, rtol=1e-6, atol=1e-9, equal_nan=True)
        for name, array in record.items()
    )
    return record if same and np.isfinite(record["return_"]) else None


def save(path: Path, arrays: dict[str, np.ndarray]) -> None:
    """Write an optimum whole or not at all; a folder that cannot be written to is no error.

    Args:
        path: The file, from `entry_path`.
        arrays: The arrays by name.
    """
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        # Another process may be reading or writing the same entry: replace it in one go.
        handle, temporary = tempfile.mkstemp(dir=path.parent, suffix=".tmp")
        try:
            with os.fdopen(handle, "wb") as file:
                np.savez(file, allow_pickle=False, **arrays)
            os.replace(temporary, path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
