"""What every format is made of: a policy, its environment, and what to say of both."""

import importlib.metadata
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from beeline.envs import Environment
from beeline.export.numpy_policy import FORMAT, SCHEMA
from beeline.policies import Policy


class Exportable(NamedTuple):
    """A policy in single precision, between the units of its environment."""

    policy: Policy
    env: Environment
    about: dict[str, Any]
    """More to say of it, as plain JSON."""

    def act(
        self, state: Float[Array, "*batch state"], t: Int[Array, "*batch"]
    ) -> Float[Array, "*batch action"]:
        """Choose the action without noise.

        Args:
            state: State in physical units.
            t: Index of the step.

        Returns:
            The action in physical units.
        """
        return self.env.physical_action(self.policy.mode(state, t))

    def metadata(self, *, sees_time: bool) -> dict[str, Any]:
        """Say what the policy is, as plain JSON.

        Args:
            sees_time: Whether it takes the index of the step beside the state.

        Returns:
            Task, horizon, entries of state and action with names, units and bounds, and the rest.
        """
        env = self.env
        ends = self.env.physical_action(jnp.array([[-1.0], [1.0]]) * jnp.ones(env.action_dim))
        bounds = np.asarray(ends, float).T.tolist()
        actions = _entries("action", env.action_dim, env.action_names, env.action_units)
        return {
            "format": FORMAT,
            "schema": SCHEMA,
            "beeline": importlib.metadata.version("beeline"),
            "task": env.name,
            "horizon": env.horizon,
            "dt": float(env.dt),
            "time_unit": env.time_unit,
            "inputs": ["state", "t"] if sees_time else ["state"],
            "state": _entries("state", env.state_dim, env.state_names, env.state_units),
            "action": [
                entry | {"low": low, "high": high}
                for entry, (low, high) in zip(actions, bounds, strict=True)
            ],
            **self.about,
        }


def single_precision(tree: Any) -> Any:
    """Convert a policy or an environment to the precision that policies are exported in.

    Args:
        tree: Any tree.

    Returns:
        The tree, its floating-point arrays in single precision.
    """

    def convert(leaf: Any) -> Any:
        inexact = isinstance(leaf, jax.Array | np.ndarray) and jnp.issubdtype(
            leaf.dtype, jnp.floating
        )
        return leaf.astype(jnp.float32) if inexact else leaf

    return jax.tree.map(convert, tree)


def _entries(kind: str, count: int, names: Any, units: Any) -> list[dict[str, Any]]:
    return [
        {"name": names[i] if names else f"{kind} {i}", "unit": units[i] if units else ""}
        for i in range(count)
    ]
