"""The gradient of an actions model without unrolling it backwards.

Under the stop-gradient, a_k = pi(sg[s_k]): once the visited states are known, no action
depends on another. So unroll once without gradients to visit the states, recompute all actions
from them in one batch, evaluate the model once in its parallel form on those actions, and
differentiate that. The result equals `Unrolled` with `through_policy=0`, without a backward
pass through the scan and without storing a cache per step. On an accelerator, where the model is
parallel in time, the states are not visited step by step either, but by sweeps over all of them.

References:
    Paper, Eq. 3.
"""

from typing import Any, final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int
from typing_extensions import override

from beeline.compute.microbatch import group_size, mean_in_groups
from beeline.gradients._base import Imagined, Objective, PolicyGradient
from beeline.gradients._rollout import rollout
from beeline.gradients._sweeps import sweep_rollout
from beeline.models import WorldModel
from beeline.policies import Policy


@final
class Direct(PolicyGradient):
    """Exact and cheap, for models that read actions only.

    Raises:
        ValueError: When called with a model that feeds predicted states back in.
    """

    @override
    def __call__(
        self,
        policy: Policy,
        model: WorldModel,
        objective: Objective,
        initial_states: Float[Array, "batch state"],
        noise: Float[Array, "batch time action"],
        first: Int[Array, " batch"] | None = None,
        disturbances: Float[Array, "batch time code"] | None = None,
    ) -> tuple[tuple[Float[Array, ""], Imagined], Policy]:
        if model.state_fed:
            raise ValueError(
                f"{type(model).__name__} feeds predicted states back in, so an action reaches "
                "later states through them and one parallel pass would miss those paths: "
                "use Unrolled for it"
            )

        visited = jax.lax.stop_gradient(
            _visit(policy, model, initial_states, noise, first, disturbances)
        )

        def value(
            policy: Policy,
            visited: Array,
            noise: Array,
            first: Array | None,
            disturbances: Array | None,
        ) -> tuple[Array, Imagined]:
            times = jnp.arange(noise.shape[1])
            times = times if first is None else first[:, None] + times
            times = jnp.broadcast_to(times, noise.shape[:2])
            actions, entropy = policy.sample(visited, times, noise)
            # What the last action leads to matters to a critic, or a reward of the next state.
            to_the_end = objective.takes_last_state
            steps = noise.shape[1] if to_the_end else -1
            inputs = visited[:, :steps], actions[:, :steps]
            given = {} if first is None else {"first": first}
            if disturbances is not None:
                given["disturbances"] = disturbances[:, :steps]
            predicted = jax.vmap(lambda inputs, given: model.predict(*inputs, **given))(
                inputs, given
            )
            states, last = jnp.concatenate([visited[:, :1], predicted], axis=1), None
            if to_the_end:
                states, last = states[:, :-1], states[:, -1]
            return objective(states, actions, entropy, last, first)

        def group(*batch: Any) -> tuple[tuple[Array, Policy], Imagined]:
            gradient = eqx.filter_value_and_grad(value, has_aux=True)
            (objective_value, imagined), slope = gradient(policy, *batch)
            return (objective_value, slope), imagined

        size = group_size(*noise.shape[:2])
        batch = visited, noise, first, disturbances
        (objective_value, slope), imagined = mean_in_groups(group, *batch, size=size)
        return (objective_value, imagined), slope


def _visit(policy: Policy, model: WorldModel, *starts: Any) -> Array:
    if model.parallel_in_time and jax.default_backend() != "cpu":
        return sweep_rollout(policy, model, *starts).states

    def roll_out(*whole):
        return rollout(policy, model, *whole, through_policy=0.0, through_states=0.0)[0]

    return jax.vmap(roll_out)(*starts)
