"""Improving the policy in the world model: lines 6 to 10 of Algorithm 1.

The noise of imagined episodes smooths the return: the wider it is, the fewer maxima there are to
be caught in, and the less of the best one is left. So it may begin wide and narrow down.
"""

from typing import Any, NamedTuple, final

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jax.typing import ArrayLike
from jaxtyping import Array, Float, PRNGKeyArray

from beeline._module import Module
from beeline.compute.devices import mean_over_devices
from beeline.envs import Environment
from beeline.gradients import Imagined, Objective, PolicyGradient, draw_noise
from beeline.models import WorldModel
from beeline.policies import Policy, Widened
from beeline.training._optimiser import Descent, Optimiser


class Improved(NamedTuple):
    """A policy after an update, and how the update went."""

    policy: Policy
    optimiser_state: optax.OptState
    imagined_return: Float[Array, ""]
    entropy: Float[Array, ""]
    descent: Descent


@final
class PolicyImprovement(Module):
    """Gradient ascent on the imagined return, by one route of the gradient."""

    gradient: PolicyGradient
    optimiser: Optimiser
    batch_size: int = eqx.field(static=True)
    first_noise: float = eqx.field(static=True, default=1.0)
    """How many times the policy's own noise imagined episodes begin the run with; 1 at its end."""

    def update(
        self,
        policy: Policy,
        optimiser_state: optax.OptState,
        model: WorldModel,
        env: Environment,
        objective: Objective,
        progress: Float[Array, ""],
        *,
        rate: Float[ArrayLike, ""] = 1.0,
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
            rate: Factor on the learning rate.
            key: Random key.

        Returns:
            The policy after the step.
        """
        start_key, noise_key = jax.random.split(key)
        starts = jax.vmap(lambda k: env.initial_state(key=k))(
            jax.random.split(start_key, self.batch_size)
        )
        noise = draw_noise(self.batch_size, env.horizon, env.action_dim, key=noise_key)
        width = 1 + (self.first_noise - 1) * (1 - progress) ** 2

        def share(
            whole: tuple[Widened, WorldModel, Objective], starts: Array, noise: Array
        ) -> tuple[tuple[Array, Any], Imagined]:
            policy, model, objective = whole
            (value, imagined), gradient = self.gradient(policy, model, objective, starts, noise)
            return (value, gradient), imagined

        whole = Widened(policy, width), model, objective
        (value, gradient), imagined = mean_over_devices(share, whole, starts, noise)
        downwards = jax.tree.map(jnp.negative, gradient.policy)
        step = self.optimiser.step(
            policy, downwards, optimiser_state, progress, value=-value, rate=rate
        )
        return Improved(
            step.weights,
            step.state,
            imagined.return_.mean(),
            imagined.entropy.mean(),
            step.descent,
        )
