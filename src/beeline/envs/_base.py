"""What a task is to the rest of the library."""

import abc
from typing import Any, cast

import equinox as eqx
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int, PRNGKeyArray

from beeline._module import Module
from beeline.envs._constraints import check_constraints
from beeline.envs._declared import check_declared, scale


def _of_either_form(reward: Any) -> Any:
    # For type checkers: a subclass may leave out the next state or ask for it.
    return reward


class Environment(Module):
    """A finite-horizon Markov decision process whose dynamics and reward are pure functions.

    Everything is in physical units, for one state at a time: batch with `jax.vmap`. Both `step`
    and `reward` may be jitted and differentiated. Results take the precision of the inputs.

    Attributes:
        name: The task's name in the registry.
        state_dim: How many entries a state has.
        action_dim: How many entries an action has.
        horizon: How many steps an episode has.
        dt: The length of one step, in the system's unit of time.
        action_low: The lowest actions that `step` and `reward` take, a number or one for each
            entry; -1 if it is not declared.
        action_high: The highest ones; 1 if it is not declared.
        state_names: What each state entry is; none for "state 0" and so on.
        state_units: The unit of each state entry; none for no units.
        action_names: What each action entry is, likewise.
        action_units: The unit of each action entry, likewise.
        time_unit: The unit of `dt`; empty for none.
        deterministic: Whether nothing is left to chance; None if that is to be tried out.
        reference_return: The mean return that counts as 1 when returns are normalised, asked for
            when a run begins; None for that of the best plan where nothing is left to chance.
        terminated: Whether a step ends the episode, a function of the state, the action, the step
            index and the next state; None where episodes end with the horizon only.
        constraints: What every step has to keep, a function of the state, the action and the step
            index whose entries are at most 0 where it does; or `beeline.control.Constraints`, of
            actions as `physical_action` gives them; None for nothing.
        context: What is known ahead of every step, such as setpoints and disturbances that vary
            over the episode: a function of the step index whose entries networks see beside the
            state; None for nothing.
        continuing: Whether the task goes on beyond the horizon, which only cuts episodes off, as
            Gymnasium's truncation does: what comes after counts, and nothing depends on the time.

    Raises:
        ValueError: If what is declared means nothing, such as bounds that are upside down, or the
            reward takes other arguments.
    """

    name: eqx.AbstractVar[str]
    state_dim: eqx.AbstractVar[int]
    action_dim: eqx.AbstractVar[int]
    horizon: eqx.AbstractVar[int]
    dt: eqx.AbstractVar[float]
    # Of any type, so that a class attribute, a field or a property may take their place.
    action_low = cast(Any, -1.0)
    action_high = cast(Any, 1.0)
    state_names = cast(Any, ())
    state_units = cast(Any, ())
    action_names = cast(Any, ())
    action_units = cast(Any, ())
    time_unit = cast(Any, "")
    deterministic = cast(Any, None)
    reference_return = cast(Any, None)
    terminated = cast(Any, None)
    constraints = cast(Any, None)
    context = cast(Any, None)
    continuing = cast(Any, False)

    def __check_init__(self) -> None:
        """Refuse what is declared and means nothing.

        Raises:
            ValueError: If bounds, names, units or the reward's arguments are not what they can be.
        """
        check_declared(self)
        check_constraints(self)

    @abc.abstractmethod
    def initial_state(self, *, key: PRNGKeyArray | None = None) -> Float[Array, "state"]:
        """Begin an episode.

        Args:
            key: Randomness, for a task whose start is random.

        Returns:
            The state at step index 0.
        """

    @abc.abstractmethod
    def step(
        self,
        state: Float[Array, "state"],
        action: Float[Array, "action"],
        t: Int[ArrayLike, ""],
        *,
        key: PRNGKeyArray | None = None,
    ) -> Float[Array, "state"]:
        """Move by one step.

        Args:
            state: The state at step index `t`.
            action: The action, each entry in [-1, 1] or within the bounds that are declared.
            t: The step index, 0 to horizon - 1; it may be traced.
            key: Randomness, for a task with process noise.

        Returns:
            The state at step index `t` + 1.
        """

    @_of_either_form
    @abc.abstractmethod
    def reward(
        self,
        state: Float[Array, "state"],
        action: Float[Array, "action"],
        t: Int[ArrayLike, ""],
    ) -> Float[Array, ""]:
        """Reward one step.

        An environment whose reward needs the state after the move gives it a fourth parameter,
        `next_state`.

        Args:
            state: The state at step index `t`, before the move.
            action: The action, each entry in [-1, 1] or within the bounds that are declared.
            t: The step index, 0 to horizon - 1; it may be traced.

        Returns:
            The reward of step `t`. The return of an episode is their plain sum.
        """

    def physical_action(
        self, action: Float[Array, "*batch action"]
    ) -> Float[Array, "*batch action"]:
        """Convert actions to physical units, for figures and reports.

        An environment whose `step` scales actions by itself may tell here what they stand for.

        Args:
            action: Actions, each entry in [-1, 1].

        Returns:
            The same in `action_units`; between the bounds, where they are declared.
        """
        return scale(action, self.action_low, self.action_high)
