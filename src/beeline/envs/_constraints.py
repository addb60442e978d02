"""What plans and policies have to keep: functions of states and actions that are at most 0."""

import dataclasses
import inspect
from collections.abc import Callable
from typing import Any, final

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float, Int

from beeline._module import Module
from beeline.envs._declared import scale, takes_next_state

Limits = dict[str, Float[Array, "row limit"]]
"""Values by kind of constraint, with a row for each step or one in all; kept where at most 0."""

OF_STEPS = "path", "rate"
"""Kinds of constraint that have a row for each step."""

TOLERANCE = 1e-3
"""How far above 0 a value may be, in units of its mean magnitude, and count as kept."""


@final
class Constraints(Module):
    """Constraints of an episode, each a function whose entries are at most 0 where it is kept.

    Every function gives a number or a vector. Actions come to them in [-1, 1], or in the units that
    `units` converts them to, such as `env.physical_action`, which is what they are in where an
    environment declares them.

    Example:
        At most 20 of a drug in all, and no state entry 0 above 1.5:

            Constraints(
                path=lambda state, action, t: state[0] - 1.5,
                total=lambda states, actions: env.dt * actions.sum() - 20,
                units=env.physical_action,
            )
    """

    path: Callable[..., Array] | None = None
    """Of a state, an action and a step index, at each step; and of `next_state`, if it takes it."""
    end: Callable[[Array], Array] | None = None
    """Of the state after the last action."""
    total: Callable[[Array, Array], Array] | None = None
    """Of all states, the last one included, and all actions: budgets."""
    rate: tuple[float, ...] | float | None = eqx.field(static=True, default=None)
    """How much the entries of an action may change from one step to the next."""
    units: Callable[[Array], Array] | None = None
    """From actions in [-1, 1] to those that the functions and `rate` are about."""

    def __check_init__(self) -> None:
        """Refuse rates that are not above 0.

        Raises:
            ValueError: If one is not.
        """
        if self.rate is not None and not np.all(np.asarray(self.rate, float) > 0):
            raise ValueError(f"rate must be above 0, got {self.rate!r}")

    @property
    def of_episodes(self) -> tuple[str, ...]:
        """List the kinds that are about whole episodes, of which a window tells nothing.

        Returns:
            Their names.
        """
        return tuple(kind for kind in ("end", "total") if getattr(self, kind) is not None)

    @classmethod
    def of(cls, env: Any) -> "Constraints | None":
        """Take those that an environment declares.

        Args:
            env: An `Environment`.

        Returns:
            The constraints, of actions in [-1, 1]; None if it has none.
        """
        declared = env.constraints
        if declared is None:
            return None
        if not isinstance(declared, Constraints):
            return cls(path=_OfStep(env))
        if declared.units is not None:
            return declared
        return dataclasses.replace(declared, units=env.physical_action)

    def along(
        self,
        states: Float[Array, "times state"],
        actions: Float[Array, "time action"],
        first: Int[ArrayLike, ""] = 0,
        *,
        counted: Bool[Array, " time"] | None = None,
        previous: Float[Array, " action"] | None = None,
    ) -> Limits:
        """Evaluate the constraints of a plan.

        Args:
            states: One more than there are actions.
            actions: Actions in [-1, 1].
            first: Index of the first step.
            counted: Which steps there are; all if left out.
            previous: The action before the first, for `rate`.

        Returns:
            The values.
        """
        times = jnp.asarray(first) + jnp.arange(len(actions))
        given = actions if self.units is None else self.units(actions)
        limits = {}
        if self.path is not None:
            more = {"next_state": states[1:]} if takes_next_state(self.path) else {}
            limits["path"] = jax.vmap(self.path)(states[:-1], given, times, **more)
        if self.end is not None:
            limits["end"] = self.end(states[-1])[None]
        if self.total is not None:
            limits["total"] = self.total(states, given)[None]
        if self.rate is not None:
            before = given[:1] if previous is None else previous[None]
            if previous is not None and self.units is not None:
                before = self.units(before)
            change = jnp.abs(jnp.diff(given, axis=0, prepend=before))
            limits["rate"] = change - jnp.asarray(self.rate, given.dtype)
        if counted is not None:
            limits = {
                kind: jnp.where(counted.reshape(-1, *(1 for _ in x.shape[1:])), x, 0.0)
                if len(x) == len(counted) and kind in OF_STEPS
                else x
                for kind, x in limits.items()
            }
        return {kind: x.reshape(len(x), -1) for kind, x in limits.items()}

    def check(self, state_dim: int, action_dim: int, horizon: int) -> None:
        """Refuse functions that do not give a number or a vector.

        Args:
            state_dim: Entries of a state.
            action_dim: Entries of an action.
            horizon: Steps of a plan.

        Raises:
            ValueError: If one raises an error or gives something else.
        """
        kind = jnp.zeros(()).dtype
        state, action = (jax.ShapeDtypeStruct((n,), kind) for n in (state_dim, action_dim))
        states = jax.ShapeDtypeStruct((horizon + 1, state_dim), kind)
        actions = jax.ShapeDtypeStruct((horizon, action_dim), kind)
        given: dict[str, tuple[Any, ...]] = {
            "path": (state, action, jax.ShapeDtypeStruct((), jnp.asarray(0).dtype)),
            "end": (state,),
            "total": (states, actions),
        }
        for name, arguments in given.items():
            function: Any = getattr(self, name)
            if function is None:
                continue
            more = {"next_state": state} if name == "path" and takes_next_state(function) else {}
            _check_values(name, function, arguments, more)
        if self.rate is not None and np.size(self.rate) not in (1, action_dim):
            raise ValueError(
                f"rate must be a number or {action_dim} numbers, one for each entry of an action, "
                f"got {self.rate!r}"
            )


@final
class _OfStep(Module):
    env: Any

    def __call__(self, state: Array, action: Array, t: ArrayLike) -> Any:
        bounds = self.env.action_low, self.env.action_high
        return self.env.constraints(state, scale(action, *bounds), t)


def check_constraints(env: Any) -> None:
    """Refuse a member `constraints` that is no such thing.

    Args:
        env: An `Environment`.

    Raises:
        ValueError: If it is neither a method of a step nor `Constraints`.
    """
    declared, takes = env.constraints, "(state, action, t)"
    if declared is None or isinstance(declared, Constraints):
        return
    if not callable(declared):
        raise ValueError(
            f"{env.name}: constraints must be a method that takes {takes}, or Constraints, "
            f"got {declared!r}"
        )
    signature = inspect.signature(declared)
    try:
        signature.bind(None, None, None)
    except TypeError:
        names = ", ".join(signature.parameters)
        raise ValueError(f"{env.name}: constraints takes ({names}): let it take {takes}") from None


def _check_values(name: str, function: Any, arguments: Any, more: dict[str, Any]) -> None:
    try:
        out = jax.eval_shape(function, *arguments, **more)
    except Exception as error:
        said = (str(error).strip().splitlines() or [""])[0]
        raise ValueError(
            f"the constraint {name!r} raises {type(error).__name__} ({said})"
        ) from error
    number = isinstance(out, jax.ShapeDtypeStruct) and jnp.issubdtype(out.dtype, jnp.floating)
    if not number or len(out.shape) > 1:
        what = f"{out.dtype} of shape {out.shape}" if hasattr(out, "shape") else repr(out)
        raise ValueError(
            f"the constraint {name!r} gives {what}: let it give a number or a vector, at most 0 "
            "where it is kept"
        )


def violation(limits: Limits) -> Float[Array, ""]:
    """Measure how far constraints are broken.

    Args:
        limits: Their values.

    Returns:
        The largest of them, or 0.
    """
    worst = [jnp.max(x, initial=0.0) for x in limits.values()]
    return jnp.max(jnp.stack(worst))
