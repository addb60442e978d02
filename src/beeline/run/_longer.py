"""Episodes of another length than a policy was trained for."""

import dataclasses
from typing import final

import equinox as eqx
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int
from typing_extensions import override

from beeline.envs import Constrained, Environment
from beeline.envs._checks import check_horizon
from beeline.envs._control_system import ControlTask
from beeline.envs._identity import differences, identity
from beeline.policies import Policy
from beeline.run._errors import RunError


@final
class HeldClock(Policy):
    """A policy whose clock stands still in the middle for as long as an episode is too long.

    Early steps are those of a start, late ones those of an end that makes the future worthless. The
    middle is what neither is true of. For a policy that does not see the time nothing changes.
    """

    policy: Policy
    middle: int = eqx.field(static=True)
    """Step index at which the clock stands."""
    more: int = eqx.field(static=True)
    """Steps for which it does; none for an episode that is not too long."""

    @override
    def sample(
        self,
        state: Float[Array, "*batch state"],
        t: Int[ArrayLike, "*batch"],
        noise: Float[Array, "*batch action"],
        width: Float[ArrayLike, ""] = 1.0,
    ) -> tuple[Float[Array, "*batch action"], Float[Array, "*batch"]]:
        return self.policy.sample(state, self.clock(t), noise, width)

    @override
    def mode(
        self, state: Float[Array, "*batch state"], t: Int[ArrayLike, "*batch"]
    ) -> Float[Array, "*batch action"]:
        return self.policy.mode(state, self.clock(t))

    def clock(self, t: Int[ArrayLike, "*batch"]) -> Int[Array, "*batch"]:
        """Tell the policy the time.

        Args:
            t: Index of the step.

        Returns:
            The index that the policy sees: all those that it was trained for, and the middle one
            more often.
        """
        return jnp.minimum(jnp.asarray(t), jnp.maximum(self.middle, jnp.asarray(t) - self.more))


def at_horizon(env: Environment, horizon: int) -> Environment:
    """Take an environment with more or fewer steps, and else the same.

    Args:
        env: The environment.
        horizon: Steps in an episode.

    Returns:
        The environment of as many steps.

    Raises:
        RunError: If it cannot be made, or is another task then.
    """
    try:
        steps = check_horizon(horizon)
    except (TypeError, ValueError) as error:
        raise RunError(str(error)) from error
    if env.context is not None and steps > env.horizon:
        raise RunError(
            f"horizon is {steps}, but a policy of {env.name} knows the context of its "
            f"{env.horizon} steps alone: train it with as many as it is to be measured in"
        )
    try:
        other = _made_anew(env, steps)
    except (TypeError, ValueError) as error:
        raise RunError(
            f"horizon is {steps}, but {env.name} cannot be made anew with other than {env.horizon} "
            f"steps ({error}): let its horizon be a field"
        ) from error
    wrong = differences(identity(other), identity(env))
    if wrong:
        raise RunError(
            f"horizon is {steps}, but {env.name} is another task then, which differs in "
            f"{', '.join(wrong)}: the policy was trained for {env.horizon} steps of that one alone"
        )
    return other


def _made_anew(env: Environment, steps: int) -> Environment:
    if isinstance(env, ControlTask):
        return ControlTask(env.system, steps, env.process_noise)
    if isinstance(env, Constrained):
        return dataclasses.replace(env, task=_made_anew(env.task, steps))
    return dataclasses.replace(env, horizon=steps)
