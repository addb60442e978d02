"""What an environment is, in a line that another process can compare."""

import hashlib
import re

import jax
import jax.numpy as jnp
import numpy as np

from beeline.envs._base import Environment


def equations(env: Environment) -> str:
    """Fingerprint the equations of an environment as JAX traces them, constants and start included.

    Args:
        env: The environment.

    Returns:
        Sixteen hexadecimal digits, other ones for an environment that was changed in any way.
    """
    with jax.enable_x64(True):
        key = jax.random.key(0, impl="threefry2x32")
        state = env.initial_state(key=key)
        action = jnp.zeros(env.action_dim, state.dtype)

        def once(state, action, t, key):
            return env.step(state, action, t, key=key), env.reward(state, action, t)

        traced = jax.make_jaxpr(once)(state, action, jnp.asarray(0), key)
        # Where functions happen to lie in memory is not part of what they compute.
        text = re.sub(r"0x[0-9a-f]+", "", str(traced))
        digest = hashlib.sha256(text.encode())
        for array in [state, *traced.consts]:
            digest.update(np.asarray(array).tobytes())
    return digest.hexdigest()[:16]


def identity(env: Environment) -> str:
    """Say what an environment is.

    Args:
        env: The environment.

    Returns:
        Its sizes and its equations' fingerprint, as `name=value` with spaces between.
    """
    parts = {
        "state_dim": env.state_dim,
        "action_dim": env.action_dim,
        "dt": env.dt,
        "equations": equations(env),
    }
    return " ".join(f"{name}={value}" for name, value in parts.items())


def differences(ours: str, theirs: str) -> list[str]:
    """Compare two identities.

    Args:
        ours: What `identity` gave.
        theirs: What it gave for another, or anything else.

    Returns:
        What differs, such as "state_dim (2, not 3)"; nothing if they are the same.
    """
    before, after = (
        {name: value for name, _, value in (part.partition("=") for part in text.split())}
        for text in (ours, theirs)
    )
    return [
        name if name == "equations" else f"{name} ({before.get(name)}, not {value})"
        for name, value in after.items()
        if before.get(name) != value
    ]
