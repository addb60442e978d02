"""The smallest models and policies on which the paper's statements can be checked.

References:
    Paper, Eqs. 4 and 5 (bare cores), Appendices A.1 and A.2 (one-dimensional worst cases).
"""

from typing import Any, NamedTuple, final

import equinox as eqx
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int
from typing_extensions import override

from beeline.models import WorldModel
from beeline.networks.scaling import StateScaling
from beeline.policies import Policy
from beeline.sequence import SequenceCore


class Sums(NamedTuple):
    """All that a model of equal slopes needs of the past."""

    states: Float[Array, " state"]
    actions: Float[Array, " action"]


@final
class EqualSlopes(WorldModel[Sums]):
    """A history model with the same slope in every state and in every action before.

    s_{t+1} = L_a (a_1 + ... + a_t) + L_s (s_1 + ... + s_t), or only the last of each if `memory`
    is off, in one dimension.
    """

    action_slope: Float[Array, ""]
    state_slope: Float[Array, ""]
    scaling: StateScaling
    memory: bool = eqx.field(static=True)
    state_fed = True

    def __init__(self, action_slope: float, state_slope: float, *, memory: bool = True) -> None:
        """Fix the slopes.

        Args:
            action_slope: L_a.
            state_slope: L_s.
            memory: Whether all of the past counts, or the last step only.
        """
        self.action_slope = jnp.asarray(action_slope, dtype=float)
        self.state_slope = jnp.asarray(state_slope, dtype=float)
        self.scaling = StateScaling.identity(1)
        self.memory = memory

    @override
    def standardised(
        self,
        states: Float[Array, "time state"],
        actions: Float[Array, "time action"],
        first: Int[ArrayLike, ""] = 0,
    ) -> Float[Array, "time state"]:
        if self.memory:
            states, actions = jnp.cumsum(states, axis=0), jnp.cumsum(actions, axis=0)
        return self.action_slope * actions + self.state_slope * states

    @override
    def start(
        self, state: Float[Array, " state"], length: int, first: Int[ArrayLike, ""] = 0
    ) -> Sums:
        del length
        return Sums(jnp.zeros_like(state), jnp.zeros_like(state))

    @override
    def step(
        self,
        carry: Sums,
        state: Float[Array, " state"],
        action: Float[Array, " action"],
        t: Int[ArrayLike, ""],
    ) -> tuple[Sums, Float[Array, " state"]]:
        del t
        if self.memory:
            carry = Sums(carry.states + state, carry.actions + action)
            state, action = carry
        return carry, self.action_slope * action + self.state_slope * state


@final
class BareCore(WorldModel[Any]):
    """A sequence core on the actions themselves, whose outputs are the states.

    The paper's g_RNN and g_ATT to the letter: no embedding, no decoder and no initial state. The
    width of the core is the size of both the action and the state.
    """

    core: SequenceCore
    scaling: StateScaling
    state_fed = False

    def __init__(self, core: SequenceCore) -> None:
        """Take a core.

        Args:
            core: The sequence core.
        """
        self.core = core
        self.scaling = StateScaling.identity(core.width)

    @override
    def standardised(
        self,
        states: Float[Array, "time state"],
        actions: Float[Array, "time action"],
        first: Int[ArrayLike, ""] = 0,
    ) -> Float[Array, "time state"]:
        del states
        return self.core.parallel(actions)

    @override
    def start(
        self, state: Float[Array, " state"], length: int, first: Int[ArrayLike, ""] = 0
    ) -> Any:
        del state
        return self.core.start(length)

    @override
    def step(
        self,
        carry: Any,
        state: Float[Array, " state"],
        action: Float[Array, " action"],
        t: Int[ArrayLike, ""],
    ) -> tuple[Any, Float[Array, " state"]]:
        del state, t
        return self.core.step(carry, action)

    @override
    def reserve(self, carry: Any, length: int) -> Any:
        return self.core.reserve(carry, length)

    @override
    def stages(self, length: int) -> tuple[int, ...]:
        return self.core.stages(length)


@final
class Affine(Policy):
    """action + feedback · state + noise, of which the action alone is a weight: L_π = 1.

    Without feedback it looks at nothing: with noise of zero it pushes every action the same way,
    and with a sequence as its noise it plays that sequence around the action. It
    reports an entropy of zero.
    """

    action: Float[Array, " action"]
    feedback: float = eqx.field(static=True, default=0.0)
    """Needs states and actions of one size unless it is zero."""

    @override
    def sample(
        self,
        state: Float[Array, "*batch state"],
        t: Int[ArrayLike, "*batch"],
        noise: Float[Array, "*batch action"],
        width: Float[ArrayLike, ""] = 1.0,
    ) -> tuple[Float[Array, "*batch action"], Float[Array, "*batch"]]:
        return self.mode(state, t) + width * noise, jnp.zeros(jnp.shape(t))

    @override
    def mode(
        self, state: Float[Array, "*batch state"], t: Int[ArrayLike, "*batch"]
    ) -> Float[Array, "*batch action"]:
        action = jnp.broadcast_to(self.action, (*jnp.shape(t), *self.action.shape))
        return action + self.feedback * state if self.feedback else action
