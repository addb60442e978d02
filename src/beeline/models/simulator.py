"""World models that are the environment itself, with nothing to learn.

`SimulatorModel` is the Markov model that is right. `DynamicsActionsModel` is the same dynamics
seen as an actions model: a recurrent network whose cell is the environment's step, the paper's
f-RNN. Their policy gradients are the same (Proposition 1), which is why a perfect simulator can
have as bad a gradient as a recurrent network.

References:
    Paper, Eq. 1, Proposition 1 and its proof in Appendix A.
"""

from functools import partial
from typing import ClassVar, final

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int
from typing_extensions import override

from beeline.envs import Environment
from beeline.envs._transition import move
from beeline.models._base import WorldModel, check_length
from beeline.networks.scaling import StateScaling


@final
class SimulatorModel(WorldModel[None]):
    """The environment's step as a one-step model."""

    learned: ClassVar[bool] = False
    environment: Environment
    scaling: StateScaling
    horizon: int = eqx.field(static=True)
    state_fed = True

    def __init__(self, environment: Environment) -> None:
        """Take an environment as the model of itself.

        Args:
            environment: A task without process noise.
        """
        self.environment = environment
        self.scaling = StateScaling.identity(environment.state_dim)
        self.horizon = environment.horizon

    @override
    def standardised(
        self,
        states: Float[Array, "time state"],
        actions: Float[Array, "time action"],
        first: Int[ArrayLike, ""] = 0,
    ) -> Float[Array, "time state"]:
        check_length(actions.shape[0], self.horizon)
        every = jax.vmap(partial(move, self.environment))
        return self.scaling.encode(every(states, actions, first + jnp.arange(actions.shape[0])))

    @override
    def start(
        self, state: Float[Array, " state"], length: int, first: Int[ArrayLike, ""] = 0
    ) -> None:
        check_length(length, self.horizon)

    @override
    def step(
        self,
        carry: None,
        state: Float[Array, " state"],
        action: Float[Array, " action"],
        t: Int[ArrayLike, ""],
    ) -> tuple[None, Float[Array, " state"]]:
        return None, move(self.environment, state, action, t)


@final
class DynamicsActionsModel(WorldModel[Float[Array, " state"]]):
    """The f-RNN: g(s_1, a_1..a_t) = f(g(s_1, a_1..a_{t-1}), a_t), f being the environment's step.

    What it carries is its own hidden state, which happens to be the environment's state.
    """

    learned: ClassVar[bool] = False
    environment: Environment
    scaling: StateScaling
    horizon: int = eqx.field(static=True)
    state_fed = False

    def __init__(self, environment: Environment) -> None:
        """Take an environment's step as a recurrent cell.

        Args:
            environment: A task without process noise.
        """
        self.environment = environment
        self.scaling = StateScaling.identity(environment.state_dim)
        self.horizon = environment.horizon

    @override
    def standardised(
        self,
        states: Float[Array, "time state"],
        actions: Float[Array, "time action"],
        first: Int[ArrayLike, ""] = 0,
    ) -> Float[Array, "time state"]:
        check_length(actions.shape[0], self.horizon)

        def advance(state: Array, inputs: tuple[Array, Array]) -> tuple[Array, Array]:
            state = move(self.environment, state, *inputs)
            return state, state

        inputs = (actions, jnp.asarray(first) + jnp.arange(actions.shape[0]))
        return self.scaling.encode(jax.lax.scan(advance, states[0], inputs)[1])

    @override
    def start(
        self, state: Float[Array, " state"], length: int, first: Int[ArrayLike, ""] = 0
    ) -> Float[Array, " state"]:
        check_length(length, self.horizon)
        return state

    @override
    def step(
        self,
        carry: Float[Array, " state"],
        state: Float[Array, " state"],
        action: Float[Array, " action"],
        t: Int[ArrayLike, ""],
    ) -> tuple[Float[Array, " state"], Float[Array, " state"]]:
        del state  # The hidden state stands in its place, as in any model of actions.
        next_state = move(self.environment, carry, action, t)
        return next_state, next_state
