"""History world models: h(s_1..s_t, a_1..a_t) -> s_{t+1}.

They read every state so far. In a rollout those are their own predictions, so that a gradient
takes circuitous paths through them, whatever the core.

References:
    Paper, section 3 and Figure 1b; loss and objective around Eq. 2; Appendix C.
"""

from typing import Any, final

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int, PRNGKeyArray
from typing_extensions import override

from beeline.models._base import check_length
from beeline.models._sequence_model import SequenceModel
from beeline.networks.layers import MLP, Activation, Linear
from beeline.networks.scaling import StateScaling, action_features
from beeline.networks.schedule import Schedule, step_feature_count
from beeline.sequence import SequenceCore


@final
class HistoryModel(SequenceModel):
    """Any sequence core over the tokens (s_1, a_1), ..., (s_t, a_t).

    Token t embeds the state, the action and the time of step t; the output there, through a
    small decoder, is the state after the action, or its change.
    """

    core: SequenceCore
    embed: Linear
    decoder: MLP
    scaling: StateScaling
    difference: bool = eqx.field(static=True)
    state_fed = True

    def __init__(
        self,
        core: SequenceCore,
        state_dim: int,
        action_dim: int,
        horizon: int,
        *,
        decoder_sizes: tuple[int, ...] = (64, 64),
        activation: Activation = jax.nn.relu,
        frequencies: int | None = 0,
        harmonics: int = 0,
        difference: bool = False,
        scaling: StateScaling | None = None,
        schedule: Schedule | None = None,
        key: PRNGKeyArray,
    ) -> None:
        """Draw the embedding and the decoder around a core.

        Args:
            core: The sequence core.
            state_dim: Number of state entries.
            action_dim: Number of action entries.
            horizon: Steps in an episode, for the time features.
            decoder_sizes: Hidden layers between the core's output and the state.
            activation: Function between them.
            frequencies: Sine and cosine pairs among the time features; None for no time at all.
            harmonics: Sine and cosine pairs of each action entry.
            difference: Whether to predict the change of the standardised state.
            scaling: Coordinates in which states are seen; physical units if not given.
            schedule: Context that is seen beside the time; none if not given.
            key: Random key.
        """
        embed_key, decoder_key = jax.random.split(key)
        self.scaling = StateScaling.identity(state_dim) if scaling is None else scaling
        codes = self.scaling.width
        inputs = (
            codes + action_dim * (1 + 2 * harmonics) + step_feature_count(frequencies, schedule)
        )
        self.core = core
        self.embed = Linear(inputs, core.width, key=embed_key)
        self.decoder = MLP((core.width, *decoder_sizes, codes), activation, key=decoder_key)
        self.horizon = horizon
        self.frequencies = frequencies
        self.harmonics = harmonics
        self.schedule = schedule
        self.difference = difference

    @override
    def standardised(
        self,
        states: Float[Array, "time state"],
        actions: Float[Array, "time action"],
        first: Int[ArrayLike, ""] = 0,
    ) -> Float[Array, "time code"]:
        check_length(actions.shape[0], self.horizon)
        values = self.scaling.encode(states)
        tokens = self._tokens(values, actions, first + jnp.arange(actions.shape[0]))
        return self._decode(values, self.core.parallel(tokens))

    @override
    def start(
        self, state: Float[Array, " state"], length: int, first: Int[ArrayLike, ""] = 0
    ) -> Any:
        del state  # Read with the first action.
        check_length(length, self.horizon)
        return self.core.start(length)

    @override
    def step(
        self,
        carry: Any,
        state: Float[Array, " state"],
        action: Float[Array, " action"],
        t: Int[ArrayLike, ""],
    ) -> tuple[Any, Float[Array, " state"]]:
        value = self.scaling.encode(state)
        cache, output = self.core.step(carry, self._tokens(value, action, t))
        return cache, self.scaling.decode(self._decode(value, output))

    def _tokens(
        self,
        values: Float[Array, "*time code"],
        actions: Float[Array, "*time action"],
        t: Int[ArrayLike, "*time"],
    ) -> Float[Array, "*time hidden"]:
        return self.embed(self._with_time(t, values, action_features(actions, self.harmonics)))

    def _decode(
        self, values: Float[Array, "*time code"], outputs: Float[Array, "*time hidden"]
    ) -> Float[Array, "*time code"]:
        predicted = self.decoder(outputs)
        return values + predicted if self.difference else predicted
