"""A policy under wider noise than its own."""

from typing import final

from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int
from typing_extensions import override

from beeline.policies._base import Policy


@final
class Widened(Policy):
    """A policy whose noise is multiplied by `width`; its entropy stays that of the inner policy."""

    policy: Policy
    width: Float[Array, ""]

    @override
    def sample(
        self,
        state: Float[Array, "*batch state"],
        t: Int[ArrayLike, "*batch"],
        noise: Float[Array, "*batch action"],
        width: Float[ArrayLike, ""] = 1.0,
    ) -> tuple[Float[Array, "*batch action"], Float[Array, "*batch"]]:
        return self.policy.sample(state, t, noise, self.width * width)

    @override
    def mode(
        self, state: Float[Array, "*batch state"], t: Int[ArrayLike, "*batch"]
    ) -> Float[Array, "*batch action"]:
        return self.policy.mode(state, t)
