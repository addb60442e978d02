"""A transformer that chooses actions for a return that it is asked for.

References:
    Chen et al. 2021, "Decision transformer". Zheng et al. 2022, "Online decision transformer",
    sections 3 and 4 (stochastic policy).
"""

from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int, PRNGKeyArray

from beeline._module import Module
from beeline.networks.layers import Linear
from beeline.networks.scaling import StateScaling
from beeline.policies._squash import squashed_sample
from beeline.sequence import Transformer

_LOG_DEVIATIONS = (-5.0, 2.0)
_LARGEST_ACTION = 1 - 1e-6


def returns_to_go(rewards: Float[Array, "*batch time"]) -> Float[Array, "*batch time"]:
    """Label every step in hindsight with the return that followed from it.

    Args:
        rewards: Reward of each step of whole episodes.

    Returns:
        The sum of the rewards from each step to the end.
    """
    return jnp.cumsum(rewards[..., ::-1], axis=-1)[..., ::-1]


@final
class Gaussian(Module):
    """Independent normal distributions, squashed into (-1, 1) by tanh."""

    mean: Float[Array, "*time action"]
    log_deviation: Float[Array, "*time action"]

    @property
    def mode(self) -> Float[Array, "*time action"]:
        """The action without noise.

        Returns:
            tanh of the mean.
        """
        return jnp.tanh(self.mean)

    def sample(
        self, noise: Float[Array, "*time action"]
    ) -> tuple[Float[Array, "*time action"], Float[Array, "*time"]]:
        """Choose by the reparameterisation trick.

        Args:
            noise: Standard normal draws.

        Returns:
            The action, and minus its log-density: a one-sample entropy estimate.
        """
        return squashed_sample(self.mean, jnp.exp(self.log_deviation), noise)

    def log_density(self, actions: Float[Array, "*time action"]) -> Float[Array, "*time"]:
        """Measure how likely actions are.

        Args:
            actions: Actions in [-1, 1]; those at the edge are taken to lie just inside it.

        Returns:
            The logarithm of their density, summed over the entries of an action.
        """
        inside = jnp.clip(actions, -_LARGEST_ACTION, _LARGEST_ACTION)
        noise = (jnp.arctanh(inside) - self.mean) * jnp.exp(-self.log_deviation)
        normal = -0.5 * noise**2 - self.log_deviation - 0.5 * jnp.log(2 * jnp.pi)
        return jnp.sum(normal - jnp.log1p(-(inside**2)), axis=-1)


@final
class DecisionTransformer(Module):
    """A causal transformer over returns-to-go, states and actions, interleaved.

    Each step gives three tokens, (R_t, s_t, a_t), and the output at s_t is the distribution of
    a_t. The embedding of a step's index is added to its three tokens.
    """

    core: Transformer
    embed_return: Linear
    embed_state: Linear
    embed_action: Linear
    embed_time: Float[Array, "horizon hidden"]
    head: Linear
    scaling: StateScaling
    random_returns: Float[Array, " horizon"]
    """Mean return-to-go of random actions at each step."""
    unit: Float[Array, ""]
    """Difference of returns that is one to the network."""
    target: Float[Array, ""]
    """Return that it asks for."""
    context: int = eqx.field(static=True)
    """Steps that it looks back when it learns."""
    acting_context: int = eqx.field(static=True)
    """Steps that it looks back when it acts."""

    def __init__(
        self,
        state_dim: int,
        action_dim: int,
        horizon: int,
        *,
        width: int,
        layers: int,
        heads: int,
        context: int,
        acting_context: int | None = None,
        key: PRNGKeyArray,
    ) -> None:
        """Draw the weights.

        Args:
            state_dim: Number of state entries.
            action_dim: Number of action entries.
            horizon: Steps in an episode.
            width: Size of a token.
            layers: Blocks of the transformer.
            heads: Attention heads a block; divides the width.
            context: Steps to look back when it learns.
            acting_context: Steps to look back when it acts, if fewer.
            key: Random key.
        """
        keys = jax.random.split(key, 6)
        self.core = Transformer(width, layers, heads, key=keys[0])
        self.embed_return = Linear(1, width, key=keys[1])
        self.embed_state = Linear(state_dim, width, key=keys[2])
        self.embed_action = Linear(action_dim, width, key=keys[3])
        self.embed_time = 0.02 * jax.random.normal(keys[4], (horizon, width))
        self.head = Linear(width, 2 * action_dim, scale=0.02, key=keys[5])
        self.scaling = StateScaling(jnp.zeros(state_dim), jnp.ones(state_dim), compress=True)
        self.random_returns = jnp.zeros(horizon)
        self.unit = jnp.ones(())
        self.target = jnp.zeros(())
        self.context = min(context, horizon)
        self.acting_context = min(acting_context or context, self.context)

    def standardise(
        self,
        states: Float[Array, "batch times state"],
        rewards: Float[Array, "batch time"],
        unit: Float[ArrayLike, ""],
        target: Float[ArrayLike, ""],
    ) -> "DecisionTransformer":
        """Fit the coordinates of states and returns to random episodes.

        Args:
            states: Their states.
            rewards: Their rewards.
            unit: Difference of returns that is to be one to the network.
            target: Return to ask for.

        Returns:
            The same network in these coordinates.
        """
        random_returns = returns_to_go(rewards).mean(axis=0)
        return eqx.tree_at(
            lambda m: (m.scaling, m.random_returns, m.unit, m.target),
            self,
            (
                StateScaling.fit(states),
                random_returns,
                jnp.asarray(unit, random_returns.dtype),
                jnp.asarray(target, random_returns.dtype),
            ),
        )

    def __call__(
        self,
        to_go: Float[Array, " time"],
        states: Float[Array, "time state"],
        actions: Float[Array, "time action"],
        first: Int[Array, ""],
    ) -> Gaussian:
        """Read a part of an episode.

        Args:
            to_go: Return-to-go at each step.
            states: State at each step.
            actions: Action at each step; that of step t is seen from step t + 1 on.
            first: Index of the first step.

        Returns:
            The distribution of each step's action.
        """
        at = first + jnp.arange(to_go.shape[0])
        # Statistics, not weights.
        random_returns, unit = jax.lax.stop_gradient((self.random_returns[at], self.unit))
        tokens = (
            self.embed_return(((to_go - random_returns) / unit)[:, None]),
            self.embed_state(self.scaling.encode(states)),
            self.embed_action(actions),
        )
        interleaved = jnp.stack(tokens, axis=1) + self.embed_time[at][:, None]
        outputs = self.core.parallel(interleaved.reshape(-1, self.core.width))[1::3]
        mean, spread = jnp.split(self.head(outputs), 2, axis=-1)
        least, greatest = _LOG_DEVIATIONS
        return Gaussian(mean, least + 0.5 * (greatest - least) * (jnp.tanh(spread) + 1))

    def choose(
        self,
        to_go: Float[Array, " horizon"],
        states: Float[Array, "horizon state"],
        actions: Float[Array, "horizon action"],
        t: Int[Array, ""],
    ) -> Gaussian:
        """Look back from one step, as far as it does when it acts.

        Args:
            to_go: Returns-to-go of the whole episode; those after the step are not seen.
            states: Its states, likewise.
            actions: Its actions; that of the step is not seen either.
            t: Index of the step.

        Returns:
            The distribution of that step's action.
        """
        first = jnp.maximum(t - self.acting_context + 1, 0)

        def window(values: Array) -> Array:
            return jax.lax.dynamic_slice_in_dim(values, first, self.acting_context)

        choices = self(window(to_go), window(states), window(actions), first)
        return jax.tree.map(lambda x: x[t - first], choices)
