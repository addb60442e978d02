"""What actions and history models share: a sequence core between embedded tokens and a decoder."""

from typing import Any, ClassVar

import equinox as eqx
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int
from typing_extensions import override

from beeline.models._base import WorldModel, check_length
from beeline.networks.layers import MLP
from beeline.networks.schedule import Schedule, step_features
from beeline.sequence import SequenceCore


class SequenceModel(WorldModel[Any]):
    """A model whose memory is a sequence core: a rollout carries the core's cache."""

    tokens_before: ClassVar[int] = 0
    """Tokens read before that of the first action."""
    core: eqx.AbstractVar[SequenceCore]
    decoder: eqx.AbstractVar[MLP]
    horizon: int = eqx.field(static=True)
    frequencies: int | None = eqx.field(static=True)
    harmonics: int = eqx.field(static=True)
    schedule: Schedule | None
    """Context that is seen beside the time; None where there is none."""

    @override
    def reserve(self, carry: Any, length: int) -> Any:
        return self.core.reserve(carry, self.tokens_before + length)

    @override
    def stages(self, length: int) -> tuple[int, ...]:
        check_length(length, self.horizon)
        return self.core.stages(length)

    def _with_time(
        self, t: Int[ArrayLike, "*time"], *features: Float[Array, "*time _"]
    ) -> Float[Array, "*time inputs"]:
        time = step_features(t, self.horizon, self.frequencies, self.schedule)
        return jnp.concatenate([*features, time], axis=-1)
