"""What learns: some weights, their optimiser, and the slope that an update descends.

The world model, the one-step model beside it, the reward and the policy are learners alike. So
what is saved, measured for faults, restored and reported is a loop over them.
"""

import abc
from typing import Any, ClassVar, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int, PRNGKeyArray

from beeline._module import Module
from beeline.training._optimiser import Descent, Optimiser
from beeline.training._tally import Tally
from beeline.training.episodes import Buffer


class Learned(NamedTuple):
    """The weights of a learner, and the state of their optimiser."""

    weights: Any
    """A module; its inexact arrays are trained."""
    optimiser: optax.OptState


class Context(NamedTuple):
    """What an update may look at beside the weights that it changes."""

    buffer: Buffer
    """Real episodes."""
    progress: Float[ArrayLike, ""] = 0.0
    """Share of the run that is done, 0 to 1."""
    rate: Float[ArrayLike, ""] = 1.0
    """Factor on the learning rate."""
    weights: dict[str, Any] = {}  # noqa: RUF012, for nothing changes it
    """Those of all learners by name, as they are now."""
    return_scale: Float[ArrayLike, ""] = 1.0
    """Difference of returns that counts as 1."""
    errors: Float[Array, "2"] | None = None
    """Running errors of the one-step model and of the sequence model that it teaches, if any."""


class Slope(NamedTuple):
    """What an update descends along."""

    loss: Float[Array, ""]
    """What is minimised, at these weights."""
    gradient: Any
    """Its gradient, shaped as the weights."""
    values: tuple[Array, ...]
    """What was computed on the way, to be recorded: see `Learner.values`."""


class Updated(NamedTuple):
    """A learner after an update, and how it went."""

    learned: Learned
    values: tuple[Array, ...]
    """What was computed on the way to the gradient."""
    descent: Descent


class Learner(Module):
    """Weights that descend a slope, some updates in every iteration.

    Attributes:
        name: What is learned, among `Context.weights`.
        values: What `Slope.values` are called.
        optimiser: How the weights descend.
        batch_size: Whole episodes an update, real ones or imagined.
        env_steps_per_update: Environment steps between updates.
    """

    name: ClassVar[str]
    values: ClassVar[tuple[str, ...]] = ("loss",)
    optimiser: Optimiser
    batch_size: int = eqx.field(static=True)
    env_steps_per_update: float = eqx.field(static=True, kw_only=True, default=1.0)

    @abc.abstractmethod
    def slope(self, weights: Any, context: Context, *, key: PRNGKeyArray) -> Slope:
        """Measure what is minimised, and its gradient, on one batch.

        Args:
            weights: The weights.
            context: What else there is to look at.
            key: Random key.

        Returns:
            The loss and its gradient.
        """

    def init(self, weights: Any) -> Learned:
        """Begin.

        Args:
            weights: The weights, newly drawn.

        Returns:
            They and the optimiser's state.
        """
        return Learned(weights, self.optimiser.init(weights))

    def prepare(self, weights: Any, buffer: Buffer) -> Any:
        """Take notice of a new episode, before the updates of an iteration.

        Args:
            weights: The weights.
            buffer: Real episodes, the new one among them.

        Returns:
            The weights, with what follows from the data and is not learned.
        """
        del buffer
        return weights

    def update(self, learned: Learned, context: Context, *, key: PRNGKeyArray) -> Updated:
        """Take one step on one batch, unless there is something that is not finite.

        Args:
            learned: The weights and the optimiser's state.
            context: What else there is to look at.
            key: Random key.

        Returns:
            Both after the step, and how it went.
        """
        slope = self.slope(learned.weights, context, key=key)
        step = self.optimiser.step(
            learned.weights,
            slope.gradient,
            learned.optimiser,
            jnp.asarray(context.progress),
            value=slope.loss,
            rate=context.rate,
        )
        return Updated(Learned(step.weights, step.state), slope.values, step.descent)

    def learn(
        self, learned: Learned, context: Context, count: Int[Array, ""], *, key: PRNGKeyArray
    ) -> tuple[Learned, Tally]:
        """Take several steps in one loop on the device.

        Args:
            learned: The weights and the optimiser's state.
            context: What else there is to look at; it stays as it is meanwhile.
            count: How many steps.
            key: Random key.

        Returns:
            Both after the steps, and their tally.
        """
        # The static parts of a module cannot be carried through a loop.
        arrays, static = eqx.partition(learned, eqx.is_array)

        def body(i: Array, loop: tuple[Any, Tally]) -> tuple[Any, Tally]:
            arrays, tally = loop
            updated = self.update(eqx.combine(arrays, static), context, key=self.update_key(key, i))
            tally = tally.counting(i, updated.values, updated.descent)
            return eqx.filter(updated.learned, eqx.is_array), tally

        tally = Tally.none(len(self.values), due=count)
        arrays, tally = jax.lax.fori_loop(0, count, body, (arrays, tally))
        return eqx.combine(arrays, static), tally

    def update_key(self, key: PRNGKeyArray, index: Int[Array, ""]) -> PRNGKeyArray:
        """Draw the key of one update from that of an iteration.

        Args:
            key: The iteration's key.
            index: Number of updates before in the iteration.

        Returns:
            The update's own key.
        """
        return jax.random.fold_in(key, index)
