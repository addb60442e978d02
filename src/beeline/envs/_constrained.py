"""A task with constraints on top."""

from typing import Any, cast, final

from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int, PRNGKeyArray
from typing_extensions import override

from beeline.envs._base import Environment
from beeline.envs._constraints import Constraints
from beeline.envs._declared import takes_next_state
from beeline.envs._simulator import Simulator


def _of_task(name: str) -> Any:
    return property(lambda self: getattr(self.task, name), doc=f"The task's `{name}`.")


@final
class Constrained(Environment):
    """A task whose episodes have to keep constraints that it does not declare by itself.

    Nothing else about it changes.

    Example:
        Cancer treatment with at most 7.6 of the drug in all:

            task = beeline.envs.make("cancer-treatment", horizon=100)
            budget = Constraints(total=lambda states, actions: task.dt * actions.sum() - 7.6)
            beeline.train(Constrained(task, budget))

    Attributes:
        task: The task.
        constraints: What has to be kept, of actions in physical units unless they say otherwise.
    """

    task: Environment
    constraints: Constraints
    # Of the task; type checkers are to take them for the fields that they stand in for.
    name = cast(Any, _of_task("name"))
    state_dim = cast(Any, _of_task("state_dim"))
    action_dim = cast(Any, _of_task("action_dim"))
    horizon = cast(Any, _of_task("horizon"))
    dt = cast(Any, _of_task("dt"))
    action_low = cast(Any, _of_task("action_low"))
    action_high = cast(Any, _of_task("action_high"))
    state_names = cast(Any, _of_task("state_names"))
    state_units = cast(Any, _of_task("state_units"))
    action_names = cast(Any, _of_task("action_names"))
    action_units = cast(Any, _of_task("action_units"))
    time_unit = cast(Any, _of_task("time_unit"))
    deterministic = cast(Any, _of_task("deterministic"))
    reference_return = cast(Any, _of_task("reference_return"))
    terminated = cast(Any, _of_task("terminated"))
    context = cast(Any, _of_task("context"))
    continuing = cast(Any, _of_task("continuing"))

    def __check_init__(self) -> None:
        """Refuse what cannot be constrained so.

        Raises:
            TypeError: If there is no task or there are no constraints.
            ValueError: If the task is a simulator on the host, or has constraints already.
        """
        if not isinstance(self.task, Environment) or not isinstance(self.constraints, Constraints):
            given = type(self.task).__name__, type(self.constraints).__name__
            raise TypeError(
                "Constrained takes an environment and Constraints, got "
                f"{given[0]} and {given[1]}: make the task with beeline.envs.make first"
            )
        if isinstance(self.task, Simulator):
            raise ValueError(
                f"{self.task.name} is stepped on the host, and constraints are for environments in "
                "JAX: leave them out"
            )
        if self.task.constraints is not None:
            raise ValueError(f"{self.task.name} declares constraints already: put them into one")

    @override
    def initial_state(self, *, key: PRNGKeyArray | None = None) -> Float[Array, "state"]:
        return self.task.initial_state(key=key)

    @override
    def step(
        self,
        state: Float[Array, "state"],
        action: Float[Array, "action"],
        t: Int[ArrayLike, ""],
        *,
        key: PRNGKeyArray | None = None,
    ) -> Float[Array, "state"]:
        return self.task.step(state, action, t, key=key)

    @override
    def reward(
        self,
        state: Float[Array, "state"],
        action: Float[Array, "action"],
        t: Int[ArrayLike, ""],
        next_state: Float[Array, "state"],
    ) -> Float[Array, ""]:
        more = {"next_state": next_state} if takes_next_state(type(self.task).reward) else {}
        return self.task.reward(state, action, t, **more)

    @override
    def physical_action(
        self, action: Float[Array, "*batch action"]
    ) -> Float[Array, "*batch action"]:
        return self.task.physical_action(action)
