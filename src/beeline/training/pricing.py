"""Multipliers of constraints: what it costs the policy to break them, learned as it goes."""

from typing import Any, final

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Int, PRNGKeyArray
from typing_extensions import override

from beeline.envs._constraints import Constraints, violation
from beeline.envs._transition import termination_of
from beeline.gradients import alive, rollout, terminated_along
from beeline.gradients._lagrangian import Lagrangian, Multipliers
from beeline.training._optimiser import Descent
from beeline.training._tally import Tally
from beeline.training.episodes import Episode
from beeline.training.learner import Context, Learned, Learner, Slope, Updated
from beeline.training.policy_improvement import PolicyImprovement


@final
class Pricing(Learner):
    """The method of multipliers, once after the policy's updates of an iteration.

    What counts is the worst value in a batch of episodes or windows that the policy rolls out in
    the world model without noise of its own.
    """

    name = "multipliers"
    values = ("violation", "weight")
    improvement: PolicyImprovement
    """Says where those begin, and how long they are."""

    def begin(self, episodes: Episode) -> Multipliers:
        """Begin with 0, in the units that random episodes tell.

        Args:
            episodes: A batch of them.

        Returns:
            The multipliers.
        """
        limits = jax.vmap(self._constraints.along)(episodes.states, episodes.actions)
        return Multipliers.begin(limits, of_each_step=self.improvement.windows is None)

    @override
    def init(self, weights: Any) -> Learned:
        return Learned(weights, optax.EmptyState())

    @override
    def slope(self, weights: Multipliers, context: Context, *, key: PRNGKeyArray) -> Slope:
        starts = self.improvement.starts(context, key=key)
        model, policy = context.weights["model"], context.weights["policy"]
        termination = context.weights.get("termination", termination_of(self.improvement.env))
        disturbances = starts.disturbances(model) if self.improvement.disturbed else None
        _, length, action_dim = starts.seen.actions.shape
        lagrangian = Lagrangian(self._constraints, weights)

        def limits(state: Array, first: Array | None, disturbances: Array | None) -> Any:
            states, actions, _, last = rollout(
                *(policy, model, state, jnp.zeros((length, action_dim)), first, disturbances),
                through_policy=0.0,
                through_states=0.0,
            )
            counted = None
            if termination is not None:
                counted = alive(terminated_along(termination, states, actions, last, first))
            return lagrangian.limits(jnp.vstack([states, last]), actions, first, counted)

        found = jax.vmap(limits)(starts.states, starts.first, disturbances)
        raised = weights.raised(found)
        broken = jax.vmap(violation)(found).max()
        return Slope(raised.worst, raised, (broken, raised.weight))

    @override
    def update(self, learned: Learned, context: Context, *, key: PRNGKeyArray) -> Updated:
        slope = self.slope(learned.weights, context, key=key)
        finite = [jnp.isfinite(x).all() for x in jax.tree.leaves(slope.gradient)]
        taken = jnp.stack(finite).all()
        weights = jax.tree.map(
            lambda new, old: jnp.where(taken, new, old), slope.gradient, learned.weights
        )
        descent = Descent(slope.loss, jnp.asarray(False), taken, jnp.asarray(-1))
        return Updated(learned._replace(weights=weights), slope.values, descent)

    @override
    def learn(
        self, learned: Learned, context: Context, count: Int[Array, ""], *, key: PRNGKeyArray
    ) -> tuple[Learned, Tally]:
        # However many updates the policy has had, it was improved under the same multipliers.
        return super().learn(learned, context, jnp.minimum(count, 1), key=key)

    @property
    def _constraints(self) -> Constraints:
        constraints = Constraints.of(self.improvement.env)
        assert constraints is not None
        return constraints
