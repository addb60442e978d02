"""Coordinates in which networks see states and time.

States of the tasks span 0.04 to 5000 and some grow exponentially, so they are first
compressed by symlog(x) = sign(x) log(1 + |x|) (Hafner et al. 2023, arXiv:2301.04104, Eq. 1)
and then standardised with statistics of the data. Of states of many entries, it may be the leading
principal components that this is done to, in the place of the entries.
"""

from typing import final

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int

from beeline._module import Module
from beeline.networks.modes import Modes

_SMALLEST_SCALE = 1e-6

LARGEST_CODE = 34.0
"""Of a number that is compressed: stands for 6e14, whose square is far from overflowing."""


def symlog(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Compress large magnitudes; close to the identity near zero.

    Args:
        x: Any values.

    Returns:
        sign(x) log(1 + |x|).
    """
    sign = _sign(x)
    return sign * jnp.log1p(sign * x)


def symexp(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Invert `symlog`.

    Args:
        x: Compressed values.

    Returns:
        sign(x) (exp|x| - 1).
    """
    sign = _sign(x)
    return sign * jnp.expm1(sign * x)


def _sign(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    # 1 at zero: jnp.sign and jnp.abs have slope 0 there and would cut the gradient of a state
    # that is exactly zero, where both maps have slope 1.
    return jnp.where(x < 0, -jnp.ones_like(x), jnp.ones_like(x))


@final
class StateScaling(Module):
    """Affine map, after an optional symlog, between physical and network coordinates.

    Its statistics are data, not weights: no gradient reaches them. There is one coordinate, here
    called a code, for each entry of the state, or for each of its `modes`.
    """

    mean: Float[Array, " code"]
    scale: Float[Array, " code"]
    compress: bool = eqx.field(static=True, default=False)
    bounded: bool = eqx.field(static=True, default=False)
    """Whether decoded states are kept from overflowing; only with `compress`."""
    modes: Modes | None = None
    """Components that states are reduced to, before the symlog; None for all entries."""

    @property
    def width(self) -> int:
        """Number of coordinates.

        Returns:
            That of the state's entries, or of its modes.
        """
        return self.mean.shape[0]

    @classmethod
    def identity(cls, state_dim: int) -> "StateScaling":
        """Leave states in physical units.

        Args:
            state_dim: Number of state entries.

        Returns:
            The map that changes nothing.
        """
        return cls(jnp.zeros(state_dim), jnp.ones(state_dim))

    @classmethod
    def fit(
        cls,
        states: Float[Array, "*batch state"],
        *,
        compress: bool = True,
        bounded: bool = False,
        chances: Float[Array, " episode"] | None = None,
        modes: Modes | None = None,
    ) -> "StateScaling":
        """Standardise to zero mean and unit variance over all leading axes.

        Args:
            states: States in physical units.
            compress: Whether to apply symlog first.
            bounded: Whether decoded states are kept from overflowing.
            chances: Weights of the first axis, their sum 1; equal if not given.
            modes: Components that states are reduced to; all entries if not given.

        Returns:
            The map fitted to these states.
        """
        values = states if modes is None else modes.project(states)
        values = symlog(values) if compress else values
        axes = tuple(range(values.ndim - 1))
        if chances is None:
            mean, scale = jnp.mean(values, axis=axes), jnp.std(values, axis=axes)
        else:
            mean = chances @ jnp.mean(values, axis=axes[1:])
            scale = jnp.sqrt(chances @ jnp.mean((values - mean) ** 2, axis=axes[1:]))
        scale = scale if modes is None else modes.units(scale)
        return cls(mean, jnp.maximum(scale, _SMALLEST_SCALE), compress, bounded, modes)

    def encode(self, states: Float[Array, "*batch state"]) -> Float[Array, "*batch code"]:
        """Map physical states to network coordinates.

        Args:
            states: States in physical units.

        Returns:
            Standardised states.
        """
        values = states if self.modes is None else self.modes.project(states)
        values = symlog(values) if self.compress else values
        return (values - jax.lax.stop_gradient(self.mean)) / jax.lax.stop_gradient(self.scale)

    def decode(self, values: Float[Array, "*batch code"]) -> Float[Array, "*batch state"]:
        """Invert `encode`; with modes, on the states that they span.

        Args:
            values: Standardised states.

        Returns:
            States in physical units.
        """
        states = values * jax.lax.stop_gradient(self.scale) + jax.lax.stop_gradient(self.mean)
        if self.bounded:
            states = jnp.clip(states, -LARGEST_CODE, LARGEST_CODE)
        states = symexp(states) if self.compress else states
        return states if self.modes is None else self.modes.expand(states)


def time_features(
    t: Int[ArrayLike, "*time"], horizon: int, frequencies: int | None = 0
) -> Float[Array, "*time features"]:
    """Encode step indices smoothly.

    Args:
        t: Step indices, 0 to `horizon`.
        horizon: Steps in an episode.
        frequencies: Number of sine and cosine pairs of period 2, 1, 1/2, ... episodes,
            which let a small network switch sharply in time; None for what sees no time.

    Returns:
        Time scaled to [-1, 1], followed by the pairs; 1 + 2 * frequencies features, or none.
    """
    if frequencies is None:
        return jnp.zeros((*jnp.shape(t), 0))
    phase = jnp.asarray(t, dtype=float)[..., None] / horizon
    angles = phase * jnp.pi * 2.0 ** jnp.arange(frequencies)
    return jnp.concatenate([2 * phase - 1, jnp.sin(angles), jnp.cos(angles)], axis=-1)


def time_feature_count(frequencies: int | None) -> int:
    """Count the features of `time_features`.

    Args:
        frequencies: As there.

    Returns:
        Their number.
    """
    return 0 if frequencies is None else 1 + 2 * frequencies


def action_features(
    actions: Float[Array, "*batch action"], harmonics: int = 0
) -> Float[Array, "*batch features"]:
    """Encode actions so that a linear layer sees more than their slope.

    What an action does can change sign within the box: a little of a nutrient helps, more of it
    poisons. A linear embedding leaves such a shape to be made by later layers, and models then
    fit the slope of the bulk of the data at the edge of the box too.

    Args:
        actions: Actions in [-1, 1].
        harmonics: Sine and cosine pairs of each entry, of period 4, 2, 4/3, ...

    Returns:
        The actions, followed by the pairs over the number of entries; (1 + 2 * harmonics)
        features per entry.
    """
    angles = [0.5 * jnp.pi * k * actions for k in range(1, harmonics + 1)]
    # Adam moves every weight by about as much, so the waves of many entries would add up and the
    # model overshoot.
    share = 1 / actions.shape[-1]
    waves = [share * wave(angle) for angle in angles for wave in (jnp.sin, jnp.cos)]
    return jnp.concatenate([actions, *waves], axis=-1)
