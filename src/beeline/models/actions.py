"""Actions World Models: g(s_1, a_1..a_t) -> s_{t+1}.

They read the initial state and the actions, and nothing else, so that no gradient can take a
circuitous path through predicted states.

References:
    Paper, section 4 and Figure 1c; losses and objective around Eq. 3.
"""

from typing import Any, ClassVar, final

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
class ActionsModel(SequenceModel):
    """Any sequence core over the tokens s_1, a_1, ..., a_t.

    Token 0 embeds the initial state and token t the t-th action, each with its time; the
    output at token t, through a small decoder, is the state after that action.
    """

    tokens_before: ClassVar[int] = 1
    core: SequenceCore
    embed_state: Linear
    embed_action: Linear
    decoder: MLP
    scaling: StateScaling
    state_fed = False

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
        scaling: StateScaling | None = None,
        schedule: Schedule | None = None,
        key: PRNGKeyArray,
    ) -> None:
        """Draw the embeddings and the decoder around a core.

        Args:
            core: The sequence core.
            state_dim: Number of state entries.
            action_dim: Number of action entries.
            horizon: Steps in an episode, for the time features.
            decoder_sizes: Hidden layers between the core's output and the state.
            activation: Function between them.
            frequencies: Sine and cosine pairs among the time features; None for no time at all.
            harmonics: Sine and cosine pairs of each action entry.
            scaling: Coordinates in which states are seen; physical units if not given.
            schedule: Context that is seen beside the time; none if not given.
            key: Random key.
        """
        state_key, action_key, decoder_key = jax.random.split(key, 3)
        features = step_feature_count(frequencies, schedule)
        self.scaling = StateScaling.identity(state_dim) if scaling is None else scaling
        codes = self.scaling.width
        self.core = core
        self.embed_state = Linear(codes + features, core.width, key=state_key)
        inputs = action_dim * (1 + 2 * harmonics) + features
        self.embed_action = Linear(inputs, core.width, key=action_key)
        self.decoder = MLP((core.width, *decoder_sizes, codes), activation, key=decoder_key)
        self.horizon = horizon
        self.frequencies = frequencies
        self.harmonics = harmonics
        self.schedule = schedule

    @property
    @override
    def parallel_in_time(self) -> bool:
        return self.core.parallel_in_time

    @override
    def standardised(
        self,
        states: Float[Array, "time state"],
        actions: Float[Array, "time action"],
        first: Int[ArrayLike, ""] = 0,
    ) -> Float[Array, "time code"]:
        check_length(actions.shape[0], self.horizon)
        start = self._state_token(states[0], first)
        rest = self._action_token(actions, first + jnp.arange(actions.shape[0]))
        outputs = self.core.parallel(jnp.concatenate([start[None], rest]))
        # Output 0 has read the initial state only.
        return self.decoder(outputs[1:])

    @override
    def start(
        self, state: Float[Array, " state"], length: int, first: Int[ArrayLike, ""] = 0
    ) -> Any:
        check_length(length, self.horizon)
        cache = self.core.start(self.tokens_before + length)
        return self.core.step(cache, self._state_token(state, first))[0]

    @override
    def step(
        self,
        carry: Any,
        state: Float[Array, " state"],
        action: Float[Array, " action"],
        t: Int[ArrayLike, ""],
    ) -> tuple[Any, Float[Array, " state"]]:
        del state  # The model reads actions only, so no gradient passes through predicted states.
        cache, output = self.core.step(carry, self._action_token(action, t))
        return cache, self.scaling.decode(self.decoder(output))

    def _state_token(
        self, state: Float[Array, " state"], first: Int[ArrayLike, ""]
    ) -> Float[Array, " hidden"]:
        return self.embed_state(self._with_time(jnp.asarray(first), self.scaling.encode(state)))

    def _action_token(
        self, action: Float[Array, "*time action"], t: Int[ArrayLike, "*time"]
    ) -> Float[Array, "*time hidden"]:
        return self.embed_action(self._with_time(t, action_features(action, self.harmonics)))
