"""Imitating stored episodes, with an entropy that may not fall below a bound.

References:
    Zheng et al. 2022, "Online decision transformer", section 4 and Equations 3 to 7.
"""

from typing import NamedTuple, cast, final

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int, PRNGKeyArray

from beeline._module import Module
from beeline.online_dt._decision_transformer import DecisionTransformer, returns_to_go
from beeline.training import Buffer


class Parts(NamedTuple):
    """Parts of episodes, labelled in hindsight."""

    to_go: Float[Array, "batch time"]
    """Return that followed from each step, to the end of the whole episode."""
    states: Float[Array, "batch time state"]
    actions: Float[Array, "batch time action"]
    first: Int[Array, " batch"]
    """Index of the first step of each."""


class Student(NamedTuple):
    """A policy that is being taught."""

    policy: DecisionTransformer
    optimiser: optax.OptState
    log_temperature: Float[Array, ""]
    """Logarithm of the weight of the entropy, the multiplier of its bound."""
    temperature_optimiser: optax.OptState


class Losses(NamedTuple):
    """What a batch gave."""

    negative_log_likelihood: Float[Array, ""]
    """Of the actions taken, a step."""
    entropy: Float[Array, ""]
    """Of the policy, a step."""
    gradient_norm: Float[Array, ""]
    """Before clipping."""


@final
class Imitation(Module):
    """Maximum likelihood with an entropy of at least minus the number of action entries.

    The weight of the entropy is the Lagrange multiplier of that bound and follows the gradient
    of the dual.
    """

    learning_rate: float = eqx.field(static=True)
    rate_warmup: int = eqx.field(static=True)
    """Updates over which the rate grows to its full size."""
    weight_decay: float = eqx.field(static=True)
    clip: float = eqx.field(static=True)
    """Largest gradient norm."""
    temperature: float = eqx.field(static=True)
    """First weight of the entropy."""
    temperature_rate: float = eqx.field(static=True)
    """Adam's step size for its logarithm."""
    batch_size: int = eqx.field(static=True)

    def begin(self, policy: DecisionTransformer) -> Student:
        """Start the optimisers.

        Args:
            policy: The policy.

        Returns:
            What `update` needs.
        """
        log_temperature = jnp.log(jnp.asarray(self.temperature, float))
        return Student(
            policy,
            self._optimiser().init(eqx.filter(policy, eqx.is_inexact_array)),
            log_temperature,
            self._dual_optimiser().init(log_temperature),
        )

    def update(
        self, student: Student, buffer: Buffer, *, key: PRNGKeyArray
    ) -> tuple[Student, Losses]:
        """Take one step on one batch, and one of the multiplier.

        Args:
            student: The policy and its optimisers.
            buffer: Episodes to draw from.
            key: Random key.

        Returns:
            The same after the step, and how it went.
        """
        draw_key, noise_key = jax.random.split(key)
        policy = student.policy
        parts = self.draw(buffer, policy.context, key=draw_key)
        noise = jax.random.normal(noise_key, parts.actions.shape)
        lagrangian = eqx.filter_value_and_grad(self.loss, has_aux=True)
        (_, (nll, entropy)), gradient = lagrangian(policy, student.log_temperature, parts, noise)
        trained = eqx.filter(policy, eqx.is_inexact_array)
        updates, optimiser = self._optimiser().update(gradient, student.optimiser, trained)
        slope = self.dual_gradient(student.log_temperature, entropy, parts.actions.shape[-1])
        change, dual = self._dual_optimiser().update(slope, student.temperature_optimiser)
        after = Student(
            eqx.apply_updates(policy, updates),
            optimiser,
            student.log_temperature + cast(Array, change),
            dual,
        )
        return after, Losses(nll, entropy, optax.tree.norm(gradient))

    def loss(
        self,
        policy: DecisionTransformer,
        log_temperature: Float[Array, ""],
        parts: Parts,
        noise: Float[Array, "batch time action"],
    ) -> tuple[Float[Array, ""], tuple[Float[Array, ""], Float[Array, ""]]]:
        """The Lagrangian.

        Args:
            policy: The policy.
            log_temperature: Logarithm of the multiplier, which is not differentiated.
            parts: What to imitate.
            noise: Standard normal draws, for the entropy.

        Returns:
            The loss, and the negative log-likelihood and the entropy that it consists of.
        """
        choices = jax.vmap(policy)(*parts)
        nll = -choices.log_density(parts.actions).mean()
        entropy = choices.sample(noise)[1].mean()
        weight = jax.lax.stop_gradient(jnp.exp(log_temperature))
        return nll - weight * entropy, (nll, entropy)

    def dual_gradient(
        self, log_temperature: Float[Array, ""], entropy: Float[Array, ""], action_dim: int
    ) -> Float[Array, ""]:
        """Gradient of the dual in the logarithm of the multiplier; descended.

        Args:
            log_temperature: Logarithm of the multiplier.
            entropy: Entropy of the policy.
            action_dim: Number of action entries; the bound is minus that.

        Returns:
            The multiplier times the entropy in excess of its bound.
        """
        return jnp.exp(log_temperature) * (entropy + action_dim)

    def draw(self, buffer: Buffer, context: int, *, key: PRNGKeyArray) -> Parts:
        """Draw parts of stored episodes uniformly.

        Args:
            buffer: The episodes.
            context: Steps a part.
            key: Random key.

        Returns:
            The parts.
        """
        episode_key, first_key = jax.random.split(key)
        states, actions, rewards = buffer.draw_rewarded(self.batch_size, key=episode_key)
        latest = actions.shape[1] - context
        firsts = jax.random.randint(first_key, (self.batch_size,), 0, latest + 1)

        @jax.vmap
        def part(values: Array, first: Array) -> Array:
            return jax.lax.dynamic_slice_in_dim(values, first, context)

        to_go = part(returns_to_go(rewards), firsts)
        return Parts(to_go, part(states[:, :-1], firsts), part(actions, firsts), firsts)

    def _optimiser(self) -> optax.GradientTransformation:
        def matrices(weights):
            return jax.tree.map(lambda w: w.ndim >= 2, weights)

        rate = optax.linear_schedule(0.0, self.learning_rate, self.rate_warmup)
        return optax.chain(
            optax.clip_by_global_norm(self.clip),
            optax.lamb(rate, weight_decay=self.weight_decay, mask=matrices),
        )

    def _dual_optimiser(self) -> optax.GradientTransformation:
        return optax.adam(self.temperature_rate)
