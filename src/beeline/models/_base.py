"""The interface of every world model, and the loss that it is fitted by."""

import abc
import inspect
from typing import Any, ClassVar, Generic, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int

from beeline._module import Module
from beeline.networks.scaling import StateScaling

Carry = TypeVar("Carry")


class WorldModel(Module, Generic[Carry]):
    """A deterministic model of the environment, in physical units at its interface.

    Two forms: `predict` for whole episodes, `start` and `step` for rollouts. Batching is by
    `jax.vmap`, outside.
    """

    learned: ClassVar[bool] = True
    """Whether it is fitted to episodes."""
    one_step: ClassVar[bool] = False
    """Whether it learns from single steps: then a one-step model has nothing to teach it."""
    scaling: eqx.AbstractVar[StateScaling]
    state_fed: eqx.AbstractVar[bool]
    """Whether predicted states are fed back in, which makes circuitous gradient paths."""

    @property
    def parallel_in_time(self) -> bool:
        """Whether a whole episode is predicted at once, and not step after step.

        Returns:
            False, unless a model overrides this.
        """
        return False

    @abc.abstractmethod
    def standardised(
        self,
        states: Float[Array, "time state"],
        actions: Float[Array, "time action"],
        first: Int[ArrayLike, ""] = 0,
    ) -> Float[Array, "time code"]:
        """Predict the state after each action, in the coordinates of `scaling`.

        Args:
            states: The state before each action; models of actions read the first only.
            actions: Actions in [-1, 1].
            first: Index of the first step in its episode; above 0 for a window.

        Returns:
            The standardised state after each action.
        """

    @abc.abstractmethod
    def start(
        self, state: Float[Array, " state"], length: int, first: Int[ArrayLike, ""] = 0
    ) -> Carry:
        """Begin a rollout.

        Args:
            state: The state before the first step.
            length: Steps to make room for.
            first: Index of the first step in its episode; above 0 for a window.

        Returns:
            The carry of `step`.
        """

    @abc.abstractmethod
    def step(
        self,
        carry: Carry,
        state: Float[Array, " state"],
        action: Float[Array, " action"],
        t: Int[ArrayLike, ""],
    ) -> tuple[Carry, Float[Array, " state"]]:
        """Take one step.

        Args:
            carry: What the steps before left.
            state: The state before the action; models of actions ignore it.
            action: Action in [-1, 1].
            t: Index of the step, 0 to horizon - 1.

        Returns:
            The carry, and the state after the action.
        """

    def calibrate(self, states: Float[Array, "batch times state"]) -> "WorldModel":
        """Fit the units of what is predicted to episodes, before any update.

        Args:
            states: Whole episodes, in physical units.

        Returns:
            The model in these units; unchanged unless a model overrides this.
        """
        del states
        return self

    def fitting_loss(
        self,
        states: Float[Array, "batch times state"],
        actions: Float[Array, "batch time action"],
        first: Int[Array, " batch"] | None = None,
        weights: Float[Array, "batch time"] | None = None,
    ) -> Float[Array, ""]:
        """Compute what fitting minimises.

        Args:
            states: Whole episodes or windows, one state more than actions.
            actions: The actions taken.
            first: Index of the first step of each window; left out for whole episodes.
            weights: What each step counts, with mean 1; left out where all count the same.

        Returns:
            The loss; `prediction_loss` unless a model overrides this.
        """
        return prediction_loss(self, states, actions, first, weights)

    def reserve(self, carry: Carry, length: int) -> Carry:
        """Make room for a longer rollout.

        Args:
            carry: What the steps before left.
            length: Steps to have room for, those taken included.

        Returns:
            The carry with that room; unchanged unless a model overrides this.
        """
        del length
        return carry

    def stages(self, length: int) -> tuple[int, ...]:
        """Sizes of room worth passing through in a rollout.

        Args:
            length: Steps in the whole rollout.

        Returns:
            Increasing sizes, the last of them `length`; that alone unless a model overrides this.
        """
        return (length,)

    def predict(
        self,
        states: Float[Array, "time state"],
        actions: Float[Array, "time action"],
        first: Int[ArrayLike, ""] = 0,
        disturbances: Float[Array, "time code"] | None = None,
    ) -> Float[Array, "time state"]:
        """Predict the state after each action.

        Args:
            states: The state before each action; models of actions read the first only.
            actions: Actions in [-1, 1].
            first: Index of the first step in its episode; above 0 for a window.
            disturbances: What is added to the standardised predictions, as `residuals` gives it.

        Returns:
            The state after each action.
        """
        predicted = self.standardised(states, actions, *_beyond(first))
        if disturbances is not None:
            predicted = predicted + disturbances
        return self.scaling.decode(predicted)


def knows_windows(model: WorldModel) -> bool:
    """Tell whether a model can begin in the middle of an episode.

    Args:
        model: The model.

    Returns:
        Whether it takes the index of the first step.
    """
    return "first" in inspect.signature(type(model).standardised).parameters


def check_length(length: int, horizon: int) -> None:
    """Refuse more steps than a model's time features tell apart.

    Args:
        length: Steps asked for.
        horizon: Steps in the episodes that the model is made for.

    Raises:
        ValueError: If there are more.
    """
    if length > horizon:
        raise ValueError(
            f"{length} steps were asked of a model of episodes of {horizon}: "
            "build it with a longer horizon, or ask for fewer steps"
        )


def prediction_loss(
    model: WorldModel,
    states: Float[Array, "batch times state"],
    actions: Float[Array, "batch time action"],
    first: Int[Array, " batch"] | None = None,
    weights: Float[Array, "batch time"] | None = None,
) -> Float[Array, ""]:
    """Mean squared error of the predictions, in standardised units.

    The losses of the paper's sections 2 to 4, averaged over time and state entries.

    Args:
        model: The world model.
        states: Whole episodes or windows, one state more than actions.
        actions: The actions taken.
        first: Index of the first step of each window; left out for whole episodes.
        weights: What each step counts, with mean 1; left out where all count the same.

    Returns:
        The loss.
    """
    inputs = states[:, :-1], actions, *(() if first is None else (first,))
    predicted = jax.vmap(model.standardised)(*inputs)
    squares = (predicted - model.scaling.encode(states[:, 1:])) ** 2
    return jnp.mean(squares if weights is None else weights[..., None] * squares)


def residuals(
    model: WorldModel,
    states: Float[Array, "times state"],
    actions: Float[Array, "time action"],
    first: Int[ArrayLike, ""] = 0,
) -> Float[Array, "time code"]:
    """Say what a model's predictions lack of what was seen: noise, and its own errors.

    Args:
        model: The world model.
        states: A whole episode or a window, one state more than actions.
        actions: The actions taken.
        first: Index of the first step of a window.

    Returns:
        Differences of standardised states, those of one-step models a step at a time.
    """
    predicted = model.standardised(states[:-1], actions, *_beyond(first))
    return model.scaling.encode(states[1:]) - predicted


def _beyond(first: Int[ArrayLike, ""]) -> tuple[Any, ...]:
    # Models that know whole episodes only need not take it.
    return () if isinstance(first, int) and first == 0 else (first,)
