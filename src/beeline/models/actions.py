"""Actions World Models: g(s_1, a_1..a_t) -> s_{t+1}.

They read the initial state and the actions, and nothing else, so that no gradient can take a
circuitous path through predicted states.

References:
    Paper, section 4 and Figure 1c; losses and objective around Eq. 3.
"""

from typing import Any, NamedTuple, final

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int, PRNGKeyArray

from beeline.models._base import WorldModel, check_length
from beeline.networks.layers import MLP, Linear
from beeline.networks.scaling import StateScaling, action_features, time_features
from beeline.sequence import SequenceCore


class ActionsCarry(NamedTuple):
    """A rollout of an actions model remembers only its core's cache."""

    cache: Any


@final
class ActionsModel(WorldModel[ActionsCarry]):
    """Any sequence core over the tokens s_1, a_1, ..., a_t.

    Token 0 embeds the initial state and token t the t-th action, each with its time; the
    output at token t, through a small decoder, is the state after that action.
    """

    core: SequenceCore
    embed_state: Linear
    embed_action: Linear
    decoder: MLP
    scaling: StateScaling
    horizon: int = eqx.field(static=True)
    frequencies: int = eqx.field(static=True)
    harmonics: int = eqx.field(static=True)
    state_fed: bool = eqx.field(static=True)

    def __init__(
        self,
        core: SequenceCore,
        state_dim: int,
        action_dim: int,
        horizon: int,
        *,
        decoder_sizes: tuple[int, ...] = (64, 64),
        frequencies: int = 0,
        harmonics: int = 0,
        scaling: StateScaling | None = None,
        key: PRNGKeyArray,
    ) -> None:
        """Draw the embeddings and the decoder around a core.

        Args:
            core: The sequence core.
            state_dim: Number of state entries.
            action_dim: Number of action entries.
            horizon: Steps in an episode, for the time features.
            decoder_sizes: Hidden layers between the core's output and the state.
            frequencies: Sine and cosine pairs among the time features.
            harmonics: Sine and cosine pairs of each action entry.
            scaling: Coordinates in which states are seen; physical units if not given.
            key: Random key.
        """
        state_key, action_key, decoder_key = jax.random.split(key, 3)
        features = 1 + 2 * frequencies
        self.core = core
        self.embed_state = Linear(state_dim + features, core.width, key=state_key)
        inputs = action_dim * (1 + 2 * harmonics) + features
        self.embed_action = Linear(inputs, core.width, key=action_key)
        self.decoder = MLP((core.width, *decoder_sizes, state_dim), key=decoder_key)
        self.scaling = StateScaling.identity(state_dim) if scaling is None else scaling
        self.horizon = horizon
        self.frequencies = frequencies
        self.harmonics = harmonics
        self.state_fed = False

    def standardised(
        self, states: Float[Array, "time state"], actions: Float[Array, "time action"]
    ) -> Float[Array, "time state"]:
        """Predict the state after each action from `states[0]` and the actions up to it.

        Args:
            states: Only the first is read.
            actions: Actions in [-1, 1].

        Returns:
            The standardised state after each action.
        """
        check_length(actions.shape[0], self.horizon)
        first = self._state_token(states[0])
        rest = self._action_token(actions, jnp.arange(actions.shape[0]))
        outputs = self.core.parallel(jnp.concatenate([first[None], rest]))
        return self.decoder(outputs[1:])

    def start(self, state: Float[Array, " state"], length: int) -> ActionsCarry:
        """Begin a rollout by reading the initial state.

        Args:
            state: The initial state.
            length: Steps to make room for.

        Returns:
            The carry of `step`.
        """
        check_length(length, self.horizon)
        cache, _ = self.core.step(self.core.start(length + 1), self._state_token(state))
        return ActionsCarry(cache)

    def step(
        self,
        carry: ActionsCarry,
        state: Float[Array, " state"],
        action: Float[Array, " action"],
        t: Int[ArrayLike, ""],
    ) -> tuple[ActionsCarry, Float[Array, " state"]]:
        """Read one more action.

        Args:
            carry: What the steps before left.
            state: Ignored: this is what makes the model one of actions.
            action: Action in [-1, 1].
            t: Index of the step.

        Returns:
            The carry, and the state after the action.
        """
        del state
        cache, output = self.core.step(carry.cache, self._action_token(action, t))
        return ActionsCarry(cache), self.scaling.decode(self.decoder(output))

    def reserve(self, carry: ActionsCarry, length: int) -> ActionsCarry:
        """Make room in the core's cache.

        Args:
            carry: What the steps before left.
            length: Steps to have room for, those taken included.

        Returns:
            The carry with that room.
        """
        return ActionsCarry(self.core.reserve(carry.cache, length + 1))

    def stages(self, length: int) -> tuple[int, ...]:
        """Ask the core.

        Args:
            length: Steps in the whole rollout.

        Returns:
            Increasing sizes, the last of them `length`.
        """
        check_length(length, self.horizon)
        return self.core.stages(length)

    def _state_token(self, state: Float[Array, " state"]) -> Float[Array, " hidden"]:
        time = time_features(jnp.zeros((), int), self.horizon, self.frequencies)
        return self.embed_state(jnp.concatenate([self.scaling.encode(state), time]))

    def _action_token(
        self, action: Float[Array, "*time action"], t: Int[ArrayLike, "*time"]
    ) -> Float[Array, "*time hidden"]:
        time = time_features(t, self.horizon, self.frequencies)
        features = action_features(action, self.harmonics)
        return self.embed_action(jnp.concatenate([features, time], axis=-1))
