"""A Gaussian policy squashed into the action box."""

from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int, PRNGKeyArray
from typing_extensions import override

from beeline._choices import choose
from beeline.networks.layers import MLP, Activation
from beeline.networks.modes import Modes
from beeline.networks.scaling import StateScaling
from beeline.networks.schedule import Schedule, step_feature_count, step_features
from beeline.policies._base import Policy
from beeline.policies._squash import SQUASHES


@final
class SquashedGaussian(Policy):
    """squash(mean + deviation * noise), both from an MLP on state and time.

    The mean before squashing is softly bounded, so that tanh never saturates to a zero
    gradient, and the deviation is bounded from both sides, so that exploration never dies.
    The squash is `tanh`, or `clip`, which does not saturate: its slope is that of projected ascent.
    With `tanh` the entropy is a one-sample estimate of the action's; with `clip`, that of the
    Gaussian before clipping.
    """

    network: MLP
    scaling: StateScaling
    horizon: int = eqx.field(static=True)
    frequencies: int | None = eqx.field(static=True)
    mean_bound: float = eqx.field(static=True)
    deviations: tuple[float, float] = eqx.field(static=True)
    squash: str = eqx.field(static=True)
    schedule: Schedule | None
    """Context that is seen beside the time; None where there is none."""

    def __init__(
        self,
        state_dim: int,
        action_dim: int,
        horizon: int,
        *,
        hidden_sizes: tuple[int, ...] = (64, 64),
        activation: Activation = jax.nn.relu,
        frequencies: int | None = 0,
        mean_bound: float = 3.0,
        deviations: tuple[float, float] = (0.05, 0.3),
        squash: str = "tanh",
        scaling: StateScaling | None = None,
        schedule: Schedule | None = None,
        key: PRNGKeyArray,
    ) -> None:
        """Draw the network, with a mean near zero everywhere.

        Args:
            state_dim: Number of state entries.
            action_dim: Number of action entries.
            horizon: Steps in an episode, for the time features.
            hidden_sizes: Hidden layers.
            activation: Function between them.
            frequencies: Sine and cosine pairs among the time features.
            mean_bound: Largest mean before squashing; tanh(3) is 0.995.
            deviations: Least and greatest standard deviation before squashing.
            squash: `tanh` or `clip`.
            scaling: Coordinates in which states are seen; physical units if not given.
            schedule: Context that is seen beside the time; none if not given.
            key: Random key.

        Raises:
            ValueError: If there is no such squash.
        """
        choose("squash", squash, SQUASHES)
        self.scaling = StateScaling.identity(state_dim) if scaling is None else scaling
        inputs = self.scaling.width + step_feature_count(frequencies, schedule)
        self.network = MLP(
            (inputs, *hidden_sizes, 2 * action_dim), activation, last_scale=0.01, key=key
        )
        self.horizon = horizon
        self.frequencies = frequencies
        self.mean_bound = mean_bound
        self.deviations = deviations
        self.squash = squash
        self.schedule = schedule

    @property
    @override
    def modes(self) -> Modes | None:
        return self.scaling.modes

    def distribution(
        self, state: Float[Array, "*batch state"], t: Int[ArrayLike, "*batch"]
    ) -> tuple[Float[Array, "*batch action"], Float[Array, "*batch action"]]:
        """The Gaussian before squashing.

        Args:
            state: State in physical units.
            t: Index of the step.

        Returns:
            Mean and standard deviation.
        """
        time = step_features(t, self.horizon, self.frequencies, self.schedule)
        outputs = self.network(jnp.concatenate([self.scaling.encode(state), time], axis=-1))
        mean, deviation = jnp.split(outputs, 2, axis=-1)
        mean = self.mean_bound * jnp.tanh(mean / self.mean_bound)
        least, greatest = (jnp.log(bound) for bound in self.deviations)
        return mean, jnp.exp(least + (greatest - least) * jax.nn.sigmoid(deviation))

    @override
    def sample(
        self,
        state: Float[Array, "*batch state"],
        t: Int[ArrayLike, "*batch"],
        noise: Float[Array, "*batch action"],
        width: Float[ArrayLike, ""] = 1.0,
    ) -> tuple[Float[Array, "*batch action"], Float[Array, "*batch"]]:
        return SQUASHES[self.squash].sample(*self.distribution(state, t), noise, width)

    @override
    def mode(
        self, state: Float[Array, "*batch state"], t: Int[ArrayLike, "*batch"]
    ) -> Float[Array, "*batch action"]:
        return SQUASHES[self.squash].function(self.distribution(state, t)[0])

    @override
    def standardise(self, scaling: StateScaling) -> "SquashedGaussian":
        return eqx.tree_at(lambda policy: policy.scaling, self, scaling)
