"""Episodes that a one-step model imagines, for a sequence model to learn from.

A few dozen real episodes hold tens of thousands of single steps: enough to learn a step well, and
far too few whole sequences to learn which of their actions matters. So a one-step model learns
from the steps, rolls out fresh episodes with the policy of now and its exploration, and the
sequence model learns from these beside the real ones. No gradient passes through the one-step
model: the policy's gradient keeps the paths of the sequence model.

Where a step is harder to learn than a whole sequence, as in an oscillation on the edge of the
numbers, it has nothing to teach: both models are measured on every fresh episode before they learn
from it, each fed by its own predictions, and the one-step model imagines only while it is better.

References:
    Sutton 1991, "Dyna, an integrated architecture for learning, planning, and reacting".
"""

from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from beeline._module import Module
from beeline.envs import Environment
from beeline.models import MarkovModel
from beeline.networks.scaling import StateScaling
from beeline.networks.schedule import Schedule
from beeline.policies import Policy
from beeline.training.episodes import Sequences
from beeline.training.exploration import Exploration
from beeline.training.learner import Context

_FARTHEST = 20.0
"""Standard deviations of the warm-up that no imagined state goes beyond."""

_MEMORY = 0.9
"""Share of the running errors that an episode leaves as it is."""


@final
class Dyna(Module):
    """What a one-step model imagines, and whether it is to."""

    env: Environment
    exploration: Exploration
    hidden_sizes: tuple[int, ...] = eqx.field(static=True)
    imagined: int = eqx.field(static=True)
    """Episodes imagined for an update of the sequence model."""

    def draw(
        self,
        scaling: StateScaling,
        states: Float[Array, "batch times state"],
        *,
        key: PRNGKeyArray,
    ) -> MarkovModel:
        """Draw the one-step model.

        Args:
            scaling: Coordinates in which states are seen.
            states: Whole episodes, which say how much states change in a step.
            key: Random key.

        Returns:
            The model, untrained.
        """
        return MarkovModel(
            self.env.state_dim,
            self.env.action_dim,
            self.env.horizon,
            hidden_sizes=self.hidden_sizes,
            scaling=scaling,
            schedule=Schedule.of(self.env.context, self.env.horizon),
            key=key,
        ).in_units_of_change(states)

    def compare(
        self,
        errors: Float[Array, "2"],
        one_step: Float[Array, ""],
        student: Float[Array, ""],
        *,
        fitted: Bool[Array, ""],
    ) -> Float[Array, "2"]:
        """Remember how both models fared on an episode that neither has learned from.

        Args:
            errors: Running mean squares of their errors.
            one_step: The one-step model's error on the episode.
            student: The sequence model's, fed by its own predictions as well.
            fitted: Whether the models have learned anything; if not, nothing is remembered.

        Returns:
            The running errors after it.
        """
        after = _MEMORY * errors + (1 - _MEMORY) * jnp.stack([one_step, student]) ** 2
        return jnp.where(fitted & jnp.isfinite(after), after, errors)

    def episodes(self, context: Context, *, key: PRNGKeyArray) -> Sequences:
        """Imagine episodes, or draw real ones unless the one-step model knows more.

        Args:
            context: The one-step model, the policy, real episodes, and how the models have fared.
            key: Random key.

        Returns:
            The episodes' states and actions.

        Raises:
            ValueError: If nothing tells how they have fared.
        """
        if context.errors is None:
            raise ValueError("episodes were to be imagined, but the context holds no errors")
        return jax.lax.cond(
            context.errors[0] < context.errors[1],
            lambda key: self.imagine(
                context.weights["one_step"], context.weights["policy"], key=key
            ),
            lambda key: context.buffer.draw(self.imagined, key=key),
            key,
        )

    def imagine(self, model: MarkovModel, policy: Policy, *, key: PRNGKeyArray) -> Sequences:
        """Roll episodes out in the one-step model, exploring as in the real ones.

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
