"""Improving the policy in the world model: lines 6 to 10 of Algorithm 1.

The noise of imagined episodes smooths the return: the wider it is, the fewer maxima there are to
be caught in, and the less of the best one is left. So it may begin wide and narrow down.
"""

from typing import Any, final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, PRNGKeyArray
from typing_extensions import override

from beeline.compute.devices import mean_over_devices
from beeline.envs import Environment, reward_of
from beeline.gradients import Imagined, Objective, PolicyGradient, draw_noise
from beeline.models import WorldModel
from beeline.policies import Policy, Widened
from beeline.training.learner import Context, Learner, Slope


@final
class PolicyImprovement(Learner):
    """Gradient ascent on the imagined return, by one route of the gradient."""

    name = "policy"
    values = ("imagined return", "entropy")
    env: Environment
    """Says where episodes start, how long they are and, where that is known, what they earn."""
    gradient: PolicyGradient
    first_noise: float = eqx.field(static=True, default=1.0)
    """How many times the policy's own noise imagined episodes begin the run with; 1 at its end."""
    entropy_weight: float = eqx.field(static=True, default=0.0)
    """Weight of the mean entropy beside the scaled return."""

    @override
    def slope(self, weights: Policy, context: Context, *, key: PRNGKeyArray) -> Slope:
        start_key, noise_key = jax.random.split(key)
        starts = jax.vmap(lambda k: self.env.initial_state(key=k))(
            jax.random.split(start_key, self.batch_size)
        )
        noise = draw_noise(self.batch_size, self.env.horizon, self.env.action_dim, key=noise_key)
        width = 1 + (self.first_noise - 1) * (1 - jnp.asarray(context.progress)) ** 2

        def share(
            whole: tuple[Widened, WorldModel, Objective], starts: Array, noise: Array
        ) -> tuple[tuple[Array, Any], Imagined]:
            policy, model, objective = whole
            (value, imagined), gradient = self.gradient(policy, model, objective, starts, noise)
            return (value, gradient), imagined

        whole = Widened(weights, width), context.weights["model"], self.objective(context)
        (value, gradient), imagined = mean_over_devices(share, whole, starts, noise)
        downwards = jax.tree.map(jnp.negative, gradient.policy)
        values = imagined.return_.mean(), imagined.entropy.mean()
        return Slope(-value, downwards, values)

    def objective(self, context: Context) -> Objective:
        """Say what is maximised.

        Args:
            context: Holds the reward model, where the reward is learned.

        Returns:
            The scaled return and the entropy beside it.
        """
        return Objective(
            context.weights.get("reward", reward_of(self.env)),
            jnp.asarray(context.return_scale),
            jnp.asarray(self.entropy_weight, dtype=float),
        )
