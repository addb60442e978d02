"""Improving the policy in the world model: lines 6 to 10 of Algorithm 1."""

from typing import NamedTuple, final

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, PRNGKeyArray

from beeline._devices import mean_over_devices
from beeline.envs import Environment
from beeline.gradients import Imagined, Objective, PolicyGradient, draw_noise
from beeline.models import WorldModel
from beeline.policies import Policy
from beeline.training._optimiser import Optimiser


class Improved(NamedTuple):
    """A policy after an update, and how the update went."""

    policy: Policy
    optimiser_state: optax.OptState
    imagined_return: Float[Array, ""]
    entropy: Float[Array, ""]
    gradient_norm: Float[Array, ""]


@final
class PolicyImprovement(eqx.Module):
    """Gradient ascent on the imagined return, by one route of the gradient."""

    gradient: PolicyGradient
    optimiser: Optimiser
    batch_size: int = eqx.field(static=True)

    def update(
        self,
        policy: Policy,
        optimiser_state: optax.OptState,
        model: WorldModel,
        env: Environment,
        objective: Objective,
        progress: Float[Array, ""],
        *,
        key: PRNGKeyArray,
    ) -> Improved:
        """Take one step on one batch of imagined episodes.

        Args:
            policy: The policy.
            optimiser_state: Its optimiser's state.
            model: The world model to imagine with.
            env: Says where episodes start and how long they are.
            objective: What to maximise.
            progress: Share of the run that is done.
            key: Random key.

        Returns:
            The policy after the step.
        """
        start_key, noise_key = jax.random.split(key)
        starts = jax.vmap(lambda k: env.initial_state(key=k))(
            jax.random.split(start_key, self.batch_size)
        )
        noise = draw_noise(self.batch_size, env.horizon, env.action_dim, key=noise_key)

        def share(
            whole: tuple[Policy, WorldModel, Objective], starts: Array, noise: Array
        ) -> tuple[Policy, Imagined]:
            policy, model, objective = whole
            (_, imagined), gradient = self.gradient(policy, model, objective, starts, noise)
            return gradient, imagined

        whole = policy, model, objective
        gradient, imagined = mean_over_devices(share, whole, starts, noise)
        descent = jax.tree.map(jnp.negative, gradient)
        step = self.optimiser.step(policy, descent, optimiser_state, progress)
        return Improved(
            step.weights,
            step.state,
            imagined.return_.mean(),
            imagined.entropy.mean(),
            step.gradient_norm,
        )
