"""The gradient of the rollout itself: backpropagation through time.

References:
    Paper, Eqs. 1 to 3 and Algorithm 1; Appendix F.1 for the gradient through the policy input.
"""

from functools import partial
from typing import final

import equinox as eqx
import jax
from jaxtyping import Array, Float, Int
from typing_extensions import override

from beeline.gradients._base import Imagined, Objective, PolicyGradient
from beeline.gradients._rollout import rollout
from beeline.models import WorldModel
from beeline.policies import Policy


@final
class Unrolled(PolicyGradient):
    """Differentiate the scan that unrolls the model. Works for every model."""

    through_policy: float = eqx.field(static=True, default=0.0)
    """Share of the gradient through the policy's input: 0 is the paper's stop-gradient."""
    through_states: float = eqx.field(static=True, default=1.0)
    """Share of the gradient through predicted states fed back into the model."""

    def __check_init__(self) -> None:
        """Refuse shares outside [0, 1].

        Raises:
            ValueError: If a share is outside [0, 1].
        """
        for name in ("through_policy", "through_states"):
            share = getattr(self, name)
            if not 0 <= share <= 1:
                raise ValueError(
                    f"{name} is {share}: give the share of the gradient to keep, from 0 to 1"
                )

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
        @partial(eqx.filter_value_and_grad, has_aux=True)
        def value(policy: Policy) -> tuple[Float[Array, ""], Imagined]:
            def unroll(*whole):
                return rollout(
                    policy,
                    model,
                    *whole,
                    through_policy=self.through_policy,
                    through_states=self.through_states,
                )

            rolled = jax.vmap(unroll)(initial_states, noise, first, disturbances)
            return objective(*rolled, first)

        return value(policy)
