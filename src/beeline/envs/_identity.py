"""What an environment is, in a line that another process can compare."""

import hashlib
import math
import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from beeline.envs._base import Environment
from beeline.envs._constraints import Constraints
from beeline.envs._declared import is_plain
from beeline.envs._transition import termination_of, transition

_STEPS = 10
_TOLERANCE = 1e-6
"""Relative, of a few steps in double precision, which versions of JAX may order differently."""


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

        terminated = termination_of(env)

        def once(state, action, t, key):
            after, reward = transition(env, state, action, t, key=key)
            # Fingerprints of what never terminates are those of before there was any termination,
            # and likewise without constraints or context.
            ends = [terminated(state, action, t, after)] if terminated else []
            known = [] if env.context is None else [env.context(t)]
            return (after, reward, *ends, *_constrained(env, state, action, t), *known)

        traced = jax.make_jaxpr(once)(state, action, jnp.asarray(0), key)
        # Where functions happen to lie in memory is not part of what they compute.
        text = re.sub(r"0x[0-9a-f]+", "", str(traced))
        digest = hashlib.sha256(text.encode())
        for array in [state, *traced.consts]:
            digest.update(np.asarray(array).tobytes())
    return digest.hexdigest()[:16]


def _constrained(env: Environment, state: Any, action: Any, t: Any) -> list[Any]:
    constraints = Constraints.of(env)
    if constraints is None:
        return []
    if not isinstance(env.constraints, Constraints):
        assert constraints.path is not None
        return [constraints.path(state, action, t)]
    # What is about single steps is the same for any number of them; a budget is not.
    steps = env.horizon if constraints.of_episodes else 1
    states, actions = (
        jnp.tile(x, (count, 1)) for x, count in ((state, steps + 1), (action, steps))
    )
    return [constraints.along(states, actions, t)]


def identity(env: Environment) -> str:
    """Say what an environment is.

    Args:
        env: The environment.

    Returns:
        Its sizes and the bounds that it declares, its equations' fingerprint, the version of JAX
        that traced them and what a few steps earn, as `name=value` with spaces between.
    """
    parts = {
        "state_dim": env.state_dim,
        "action_dim": env.action_dim,
        "dt": env.dt,
        **_bounds(env),
        # Only where it is so: environments of before are still to be known by the same line.
        **({"continuing": True} if env.continuing else {}),
        "equations": equations(env),
        "jax": jax.__version__,
        "probe": _probe(env),
    }
    return " ".join(f"{name}={value}" for name, value in parts.items())


def differences(ours: str, theirs: str) -> list[str]:
    """Compare two identities.

    Versions of JAX trace the same equations differently: between them, what a few steps earn tells.

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
    found = [
        f"{name} ({before.get(name)}, not {after.get(name)})"
        for name in ("state_dim", "action_dim", "dt", "action_low", "action_high", "continuing")
        if before.get(name) != after.get(name)
    ]
    if before.get("equations") != after.get("equations"):
        retraced = before.get("jax") != after.get("jax")
        if not (retraced and _close(before.get("probe"), after.get("probe"))):
            found.append("equations")
    return found


def _bounds(env: Environment) -> dict[str, str]:
    # Environments of before there were any are still to be known by the same line.
    if is_plain(env.action_low, env.action_high):
        return {}
    return {
        name: ",".join(str(float(bound)) for bound in np.ravel(getattr(env, name)))
        for name in ("action_low", "action_high")
    }


def _probe(env: Environment) -> float:
    with jax.enable_x64(True):
        key = jax.random.key(0, impl="threefry2x32")
        actions = np.sin(np.arange(_STEPS * env.action_dim)).reshape(_STEPS, env.action_dim)

        terminated = termination_of(env)

        def advance(state, inputs):
            action, t = inputs
            after, reward = transition(env, state, action, t, key=key)
            if terminated is not None:
                reward = reward + terminated(state, action, t, after)
            return after, reward

        steps = min(_STEPS, env.horizon)
        inputs = jnp.asarray(actions[:steps]), jnp.arange(steps)
        state, rewards = jax.lax.scan(advance, env.initial_state(key=key), inputs)
        return float(jnp.sum(rewards) + jnp.sum(state))


def _close(one: str | None, other: str | None) -> bool:
    try:
        return math.isclose(float(one or ""), float(other or ""), rel_tol=_TOLERANCE)
    except ValueError:
        return False
