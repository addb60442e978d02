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
from beeline.envs._constraints import Constraints
from beeline.envs._transition import termination_of
from beeline.gradients import Imagined, Objective, PolicyGradient, draw_noise
from beeline.gradients._lagrangian import Lagrangian
from beeline.models import WorldModel
from beeline.policies import Policy, Widened
from beeline.training.episodes import Buffer
from beeline.training.learner import Context, Learner, Slope
from beeline.training.windows import Starts, Window, Windows

_KEEPING = 4
"""Of as many imagined episodes, one is held against constraints."""


def _nothing(state: Array, action: Array, t: Array) -> Array:
    del action, t
    return jnp.zeros((), state.dtype)


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
    windows: Windows | None = None
    """Windows to imagine in the place of whole episodes, with a critic at their end."""
    disturbed: bool = eqx.field(static=True, default=False)
    """Whether noise is added to imagined states as it was in real ones."""

    @override
    def prepare(self, weights: Policy, buffer: Buffer) -> Policy:
        if self.windows is None:
            return weights
        return weights.standardise(self.windows.scaling(buffer, weights.modes))

    @override
    def slope(self, weights: Policy, context: Context, *, key: PRNGKeyArray) -> Slope:
        start_key, noise_key = jax.random.split(key)
        starts = self.starts(context, key=start_key)
        model, length = context.weights["model"], starts.seen.actions.shape[1]
        noise = draw_noise(self.batch_size, length, self.env.action_dim, key=noise_key)
        disturbances = starts.disturbances(model) if self.disturbed else None
        width = 1 + (self.first_noise - 1) * (1 - jnp.asarray(context.progress)) ** 2

        def share(
            whole: tuple[Widened, WorldModel, Objective], states: Array, noise: Array, *more: Any
        ) -> tuple[tuple[Array, Any], Imagined]:
            # A route that knows whole episodes only need not take what these lack.
            named = zip(("first", "disturbances"), more, strict=True)
            given = {name: values for name, values in named if values is not None}
            (value, imagined), gradient = self.gradient(*whole, states, noise, **given)
            return (value, gradient), imagined

        whole = Widened(weights, width), model, self.objective(context)
        batch = starts.states, noise, starts.first, disturbances
        (value, gradient), imagined = mean_over_devices(share, whole, *batch)
        keeping = self._keeping(context)
        if keeping is not None:
            # Noise that a policy explores with is not to be kept away from a bound.
            whole = Widened(weights, jnp.zeros_like(width)), model, keeping
            some = jax.tree.map(lambda rows: rows[::_KEEPING], batch)
            (cost, more), _ = mean_over_devices(share, whole, *some)
            value, gradient = value + cost, jax.tree.map(jnp.add, gradient, more)
        downwards = jax.tree.map(jnp.negative, gradient.policy)
        values = imagined.return_.mean(), imagined.entropy.mean()
        return Slope(-value, downwards, values)

    def objective(self, context: Context) -> Objective:
        """Say what is maximised.

        Args:
            context: Holds what tells rewards and ends, where that is learned.

        Returns:
            The scaled return and the entropy beside it.
        """
        return Objective(
            context.weights.get("reward", reward_of(self.env)),
            jnp.asarray(context.return_scale),
            jnp.asarray(self.entropy_weight, dtype=float),
            termination=context.weights.get("termination", termination_of(self.env)),
            **self._at_the_end(context),
        )

    def starts(self, context: Context, *, key: PRNGKeyArray) -> Starts:
        """Draw where a batch of imagined episodes or windows starts.

        Args:
            context: Holds what was seen.
            key: Random key.

        Returns:
            The starts.
        """
        if self.windows is not None:
            return self.windows.starts(self.env, context.buffer, self.batch_size, key=key)
        keys = jax.random.split(key, self.batch_size)
        states = jax.vmap(lambda k: self.env.initial_state(key=k))(keys)
        # Another key, so that the other draws are what they are without it.
        drawn = context.buffer.draw(self.batch_size, key=jax.random.fold_in(key, 1))
        return Starts(states, None, Window(*drawn, jnp.zeros(self.batch_size, int)))

    def _keeping(self, context: Context) -> Objective | None:
        constraints, multipliers = Constraints.of(self.env), context.weights.get("multipliers")
        if constraints is None or multipliers is None:
            return None
        return Objective(
            _nothing,
            jnp.ones(()),
            jnp.zeros(()),
            termination=context.weights.get("termination", termination_of(self.env)),
            lagrangian=Lagrangian(constraints, multipliers),
        )

    def _at_the_end(self, context: Context) -> dict[str, Any]:
        if "critic" not in context.weights:
            return {}
        critic = context.weights["critic"].critic
        return {"critic": critic, "discount": critic.discount}
