"""Solved optima on disk, so that each is computed once."""

import contextlib
import hashlib
import os
import tempfile
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from beeline._cache import cache_directory
from beeline.envs import Environment

VERSION = 1
"""Raise this when the solver changes what it would find."""

FIELDS = ("actions", "states", "return_", "starts")


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
    state = env.initial_state()
    action = jnp.zeros(env.action_dim, state.dtype)

    def once(state, action, t):
        return env.step(state, action, t), env.reward(state, action, t)

    traced = jax.make_jaxpr(once)(state, action, jnp.asarray(0))
    digest = hashlib.sha256(str(traced).encode())
    for array in [state, *traced.consts]:
        digest.update(np.asarray(array).tobytes())
    fingerprint = digest.hexdigest()[:16]
    file = f"optimum-{env.name}-h{env.horizon}-s{starts}-v{VERSION}-{fingerprint}.npz"
    return cache_directory() / file


def load(path: Path, env: Environment) -> dict[str, np.ndarray] | None:
    """Read an optimum, trusting nothing in the file.

    Args:
        path: The file, from `entry_path`.
        env: The task, which tells the shapes to expect.

    Returns:
        The arrays by name, or None if there is no file or it is not what it should be.
    """
    try:
        # NumPy leaves a file that it opened itself open if it turns out to be damaged.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            arrays = {field: archive[field] for field in FIELDS}
    except Exception:
        return None
    shapes = {
        "actions": (env.horizon, env.action_dim),
        "states": (env.horizon + 1, env.state_dim),
        "return_": (),
    }
    sound = all(arrays[field].shape == shape for field, shape in shapes.items()) and all(
        array.dtype == np.float64 and not np.any(np.isnan(array)) for array in arrays.values()
    )
    return arrays if sound and arrays["starts"].ndim == 1 else None


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
