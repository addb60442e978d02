"""Try a policy of the user's own against what training takes, without computing anything."""

from typing import Any

import jax
import jax.numpy as jnp

from beeline._tracing import described, trace_module
from beeline.policies._base import Policy

_BATCHES = (), (2, 3)
"""Axes before those of a state: a policy acts on one, and on many at once."""


def check_policy(policy: Any, state_dim: int, action_dim: int) -> str:
    """Refuse a policy whose actions are not those of an environment.

    Args:
        policy: What was drawn, with `jax.ShapeDtypeStruct` in place of arrays.
        state_dim: Entries of a state.
        action_dim: Entries of an action.

    Returns:
        A fingerprint of what it computes.

    Raises:
        TypeError: If it is no policy.
        ValueError: If an action or an entropy has another shape or type, or it cannot be traced.
    """
    if not isinstance(policy, Policy):
        raise TypeError(
            f"an object of type {type(policy).__name__}, which is no subclass of "
            "beeline.policies.Policy: docs/models.md shows one"
        )
    real, whole = jnp.zeros(()).dtype, jnp.asarray(0).dtype
    fingerprint = ""
    for batch in _BATCHES:
        state = jax.ShapeDtypeStruct((*batch, state_dim), real)
        action = jax.ShapeDtypeStruct((*batch, action_dim), real)
        t = jax.ShapeDtypeStruct(batch, whole)
        try:
            traced = trace_module(_act, policy, state, t, action)
        except Exception as error:
            raise ValueError(
                f"a policy that fails on states of {described(state)} and noise of "
                f"{described(action)} ({type(error).__name__}: "
                f"{str(error).partition(chr(10))[0]})"
            ) from error
        (sampled, entropy), mode = traced.shapes
        wanted = {
            "`sample` gives actions of": (sampled, action),
            "`sample` gives an entropy of": (entropy, jax.ShapeDtypeStruct(batch, real)),
            "`mode` gives actions of": (mode, action),
        }
        for what, (given, right) in wanted.items():
            if described(given) != described(right):
                raise ValueError(
                    f"a policy whose {what} {described(given)}, not {described(right)}, for states "
                    f"of {described(state)}"
                )
        fingerprint += traced.fingerprint[:8]
    return fingerprint


def _act(policy: Policy, state: Any, t: Any, noise: Any) -> Any:
    return policy.sample(state, t, noise, jnp.ones(())), policy.mode(state, t)
