"""Episodes that a one-step model imagines, for a sequence model to learn from.

A few dozen real episodes hold tens of thousands of single steps: enough to learn a step well, and
far too few whole sequences to learn which of their actions matters. So a one-step model learns
from the steps, lives through fresh episodes with the policy of now and its exploration, and the
sequence model learns from these beside the real ones. No gradient passes through the one-step
model: the policy's gradient keeps the paths of the sequence model.

Where a step is harder to learn than a whole sequence, as in an oscillation on the edge of the
numbers, it has nothing to teach: both models are measured on every fresh episode before they learn
from it, each fed by its own predictions, and the one-step model imagines only while it is better.

References:
    Sutton 1991, "Dyna, an integrated architecture for learning, planning, and reacting".
"""

from typing import NamedTuple, final

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from beeline._module import Module
from beeline.envs import Environment
from beeline.models import MarkovModel
from beeline.networks.scaling import StateScaling
from beeline.policies import Policy
from beeline.training._optimiser import Optimiser
from beeline.training._updates import Tally, Updated, repeat
from beeline.training.episodes import Buffer, Episode, Sequences
from beeline.training.exploration import Exploration

_FARTHEST = 20.0
"""Standard deviations of the warm-up that no imagined state goes beyond."""

_MEMORY = 0.9
"""Share of the running errors that an episode leaves as it is."""


class DynaState(NamedTuple):
    """A one-step model, and how it fares beside the sequence model that it teaches."""

    model: MarkovModel
    optimiser_state: optax.OptState
    rivals: Float[Array, "2"]
    """Running mean squares of its errors and the sequence model's on fresh episodes, if any."""


@final
class Dyna(Module):
    """A one-step model, how it is fitted and what it imagines."""

    env: Environment
    exploration: Exploration
    optimiser: Optimiser
    hidden_sizes: tuple[int, ...] = eqx.field(static=True)
    batch_size: int = eqx.field(static=True)
    """Whole real episodes in an update of the one-step model."""
    imagined: int = eqx.field(static=True)
    """Episodes imagined for an update of the sequence model."""

    def init(
        self,
        scaling: StateScaling,
        states: Float[Array, "batch times state"],
        *,
        key: PRNGKeyArray,
    ) -> DynaState:
        """Draw the one-step model.

        Args:
            scaling: Coordinates in which states are seen.
            states: Whole episodes, which say how much states change in a step.
            key: Random key.

        Returns:
            The state before the first update.
        """
        model = MarkovModel(
            self.env.state_dim,
            self.env.action_dim,
            self.env.horizon,
            hidden_sizes=self.hidden_sizes,
            scaling=scaling,
            key=key,
        ).in_units_of_change(states)
        return DynaState(model, self.optimiser.init(model), jnp.zeros(2))

    def compare(
        self,
        state: DynaState,
        episode: Episode,
        student: Float[Array, ""],
        *,
        fitted: Bool[Array, ""],
    ) -> tuple[DynaState, Float[Array, ""]]:
        """Measure the one-step model on an episode that neither model has learned from.

        Args:
            state: The state before.
            episode: The episode.
            student: The sequence model's error on it, on its own as well.
            fitted: Whether the models have learned anything; if not, nothing is remembered.

        Returns:
            The state that remembers both errors, and the one-step model's.
        """
        error = self.error(state.model, episode.states, episode.actions)
        rivals = _MEMORY * state.rivals + (1 - _MEMORY) * jnp.stack([error, student]) ** 2
        rivals = jnp.where(fitted & jnp.isfinite(rivals), rivals, state.rivals)
        return state._replace(rivals=rivals), error

    def fit(
        self,
        state: DynaState,
        buffer: Buffer,
        count: Int[Array, ""],
        progress: Float[Array, ""],
        *,
        rate: Float[ArrayLike, ""] = 1.0,
        key: PRNGKeyArray,
    ) -> tuple[DynaState, Tally]:
        """Take some steps of the one-step model, each on the real steps of one batch.

        Args:
            state: The state before.
            buffer: Episodes to draw from.
            count: How many updates.
            progress: Share of the run that is done.
            rate: Factor on the learning rate.
            key: Random key.

        Returns:
            The state after them, and their tally.
        """

        def update(i: Array, model: MarkovModel, optimiser_state: optax.OptState) -> Updated:
            # Odd: the even ones are the sequence model's.
            states, actions = buffer.draw(self.batch_size, key=jax.random.fold_in(key, 2 * i + 1))
            value, gradient = eqx.filter_value_and_grad(
                lambda model: model.change_loss(states, actions)
            )(model)
            step = self.optimiser.step(
                model, gradient, optimiser_state, progress, value=value, rate=rate
            )
            return Updated(step.weights, step.state, (value,), step.descent)

        model, optimiser_state, tally = repeat(
            update, state.model, state.optimiser_state, count, values=1
        )
        return state._replace(model=model, optimiser_state=optimiser_state), tally

    def episodes(
        self, state: DynaState, policy: Policy, buffer: Buffer, *, key: PRNGKeyArray
    ) -> Sequences:
        """Imagine episodes, or draw real ones unless the one-step model knows more.

        Args:
            state: The one-step model and how the two have fared.
            policy: The policy.
            buffer: Real episodes.
            key: Random key.

        Returns:
            The episodes' states and actions.
        """
        return jax.lax.cond(
            state.rivals[0] < state.rivals[1],
            lambda key: self.imagine(state.model, policy, key=key),
            lambda key: buffer.draw(self.imagined, key=key),
            key,
        )

    def imagine(self, model: MarkovModel, policy: Policy, *, key: PRNGKeyArray) -> Sequences:
        """Live through episodes in the one-step model, exploring as in the real ones.

        Args:
            model: The one-step model.
            policy: The policy.
            key: Random key.

        Returns:
            The episodes' states and actions.
        """
        return jax.vmap(lambda k: self._episode(model, policy, k))(
            jax.random.split(key, self.imagined)
        )

    def error(
        self,
        model: MarkovModel,
        states: Float[Array, "times state"],
        actions: Float[Array, "time action"],
    ) -> Float[Array, ""]:
        """Measure what the one-step model makes of a real episode when left to itself.

        Args:
            model: The one-step model.
            states: The episode's states.
            actions: Its actions.

        Returns:
            Root mean squared error of its states, in standardised units.
        """

        def step(state: Array, inputs: tuple[Array, Array]) -> tuple[Array, Array]:
            after = _step(model, state, *inputs)
            return after, after

        times = jnp.arange(actions.shape[0])
        _, imagined = jax.lax.scan(step, states[0], (actions, times))
        wrong = model.scaling.encode(imagined) - model.scaling.encode(states[1:])
        return jnp.sqrt(jnp.mean(wrong**2))

    def _episode(self, model: MarkovModel, policy: Policy, key: PRNGKeyArray) -> Sequences:
        start_key, noise_key, offsets_key = jax.random.split(key, 3)
        shape = (self.env.horizon, self.env.action_dim)
        noise = jax.random.normal(noise_key, shape)
        offsets = self.exploration.offsets(*shape, key=offsets_key)
        first = self.env.initial_state(key=start_key)

        def step(state: Array, inputs: tuple[Array, ...]) -> tuple[Array, tuple[Array, Array]]:
            t, draw, offset = inputs
            action = jnp.clip(policy.sample(state, t, draw)[0] + offset, -1, 1)
            after = _step(model, state, action, t)
            return after, (after, action)

        _, (states, actions) = jax.lax.scan(step, first, (jnp.arange(shape[0]), noise, offsets))
        return jax.lax.stop_gradient((jnp.concatenate([first[None], states]), actions))


def _step(model: MarkovModel, state: Array, action: Array, t: Array) -> Array:
    after = model.scaling.encode(model.step(None, state, action, t)[1])
    return model.scaling.decode(jnp.clip(after, -_FARTHEST, _FARTHEST))
