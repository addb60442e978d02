"""Windows of experience: some steps of an episode, wherever in it they begin.

Whole episodes give credit over the longest time, from the one start that they have. Where starts
vary or the dynamics are rough, windows are better: they begin at every state that was seen, and
no gradient is longer than they are. What follows after a window, a critic tells.
"""

from functools import partial
from typing import NamedTuple, final

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from beeline._module import Module
from beeline.envs import Environment
from beeline.gradients import alive
from beeline.models import WorldModel, residuals
from beeline.networks.modes import Modes
from beeline.networks.scaling import StateScaling
from beeline.training.episodes import Buffer, Ends

_NEWEST = 0.25
"""Share of the episodes that count as the newest."""


class Window(NamedTuple):
    """Some steps of an episode, or a batch of such."""

    states: Float[Array, "*batch times state"]
    """One more than there are actions."""
    actions: Float[Array, "*batch time action"]
    first: Int[Array, "*batch"]
    """Index in the episode of the first step."""
    terminated: Bool[Array, "*batch time"] | None = None
    """Whether a step terminates its episode: those after the first that does are of another one.
    None where episodes end with the horizon only."""

    @property
    def ended(self) -> Bool[Array, "*batch"] | None:
        """Tell whether the episode that a window begins in terminates inside it.

        Returns:
            Whether it does; None where episodes end with the horizon only.
        """
        return None if self.terminated is None else self.terminated.any(axis=-1)

    @property
    def weights(self) -> Float[Array, "*batch time"] | None:
        """Weigh steps so that a plain mean is that over the steps of the episodes begun in.

        Returns:
            Weights with mean 1, those of later episodes 0; None where there are none of these.
        """
        return None if self.terminated is None else weights_of(alive(self.terminated))


def weights_of(counted: Bool[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Weigh entries so that a plain mean is that over some of them, also in parts.

    Args:
        counted: Which count; there has to be one.

    Returns:
        Weights with mean 1, those of the others 0.
    """
    return counted / counted.mean()


class Starts(NamedTuple):
    """Where imagined windows start, and what was seen there."""

    states: Float[Array, "batch state"]
    first: Int[Array, " batch"] | None
    """Index of each in its episode; None for whole episodes."""
    seen: Window
    """A window seen from each state on, or, where that is fresh, from that of another episode."""

    def disturbances(self, model: WorldModel) -> Float[Array, "batch time code"]:
        """Say what a model's predictions lack of the windows seen: the noise that came there.

        Args:
            model: The world model.

        Returns:
            Residuals, those of a window together, without gradient.
        """
        window = self.seen[:2] if self.first is None else self.seen[:3]
        lacking = jax.vmap(partial(residuals, model))(*window)
        if self.seen.terminated is not None:
            # What came after an end is of another episode.
            lacking = jnp.where(alive(self.seen.terminated)[..., None], lacking, 0)
        return jax.lax.stop_gradient(lacking)


@final
class Windows(Module):
    """How long windows are, and where imagined ones start."""

    length: int = eqx.field(static=True)
    """Steps in a window."""
    fresh: float = eqx.field(static=True, default=0.125)
    """Share of the imagined windows that start where episodes do; the rest start in states seen."""
    recent: float = eqx.field(static=True, default=0.5)
    """Share of the other windows that are of the newest quarter of the episodes."""
    standardise: bool = eqx.field(static=True, default=True)
    """Whether states are seen in coordinates that follow the episodes."""

    def draw(self, buffer: Buffer, batch: int, *, key: PRNGKeyArray) -> Window:
        """Draw windows with replacement, uniformly within an episode.

        Args:
            buffer: Whole episodes.
            batch: How many.
            key: Random key.

        Returns:
            The windows; the whole episodes that `Buffer.draw` draws if they are as long.
        """
        horizon = buffer.actions.shape[1]
        if self.length == horizon and buffer.ends is None:
            states, actions = buffer.draw(batch, key=key)
            return Window(states, actions, jnp.zeros(batch, int))
        episode_key, first_key = jax.random.split(key)
        episodes = self._choose(buffer, batch, key=episode_key)
        first = jax.random.randint(first_key, (batch,), 0, horizon - self.length + 1)
        return jax.vmap(lambda episode, first: self._cut(buffer, episode, first))(episodes, first)

    def starts(self, env: Environment, buffer: Buffer, batch: int, *, key: PRNGKeyArray) -> Starts:
        """Draw where imagined windows start.

        Args:
            env: Says where episodes start.
            buffer: Whole episodes.
            batch: How many.
            key: Random key.

        Returns:
            States seen, and first of all fresh ones.
        """
        fresh_key, seen_key, first_key = jax.random.split(key, 3)
        count = round(self.fresh * batch)
        fresh = jax.vmap(lambda key: env.initial_state(key=key))(jax.random.split(fresh_key, count))
        episodes = self._choose(buffer, batch, key=seen_key)
        last = env.horizon - self.length
        row = jax.random.randint(first_key, (batch,), 0, last + 1)
        is_fresh = jnp.arange(batch) < count
        seen = jax.vmap(partial(self._cut, buffer))(episodes, jnp.where(is_fresh, 0, row))
        states = jnp.concatenate([fresh, seen.states[count:, 0]])
        return Starts(states, jnp.where(is_fresh, 0, seen.first), seen)

    def chances(self, buffer: Buffer) -> Float[Array, " capacity"]:
        """Say how likely a window is of each episode.

        Args:
            buffer: Whole episodes.

        Returns:
            Probabilities, by place in the buffer.
        """
        return (1 - self.recent) * buffer.newest(1.0) + self.recent * self.usual(buffer)

    def all_of(
        self,
        states: Float[Array, "times state"],
        actions: Float[Array, "time action"],
        ends: Ends | None = None,
    ) -> Window:
        """Cut an episode into windows that follow each other, leaving out what is over.

        Args:
            states: A whole episode, or a row of them.
            actions: Its actions.
            ends: Where episodes terminate in a row.

        Returns:
            The windows.
        """

        def part(values: Array, first: Array, length: int) -> Array:
            return jax.lax.dynamic_slice_in_dim(values, first, length)

        def cut(first: Array) -> Window:
            if ends is not None:
                parts = jax.tree.map(lambda values: part(values, first, self.length), ends)
                return _of_row(states[first], part(actions, first, self.length), parts)
            return Window(
                part(states, first, self.length + 1), part(actions, first, self.length), first
            )

        return jax.vmap(cut)(jnp.arange(actions.shape[0] // self.length) * self.length)

    def usual(self, buffer: Buffer) -> Float[Array, " capacity"]:
        """Say which episodes tell what is usual now: the newest.

        Args:
            buffer: Whole episodes.

        Returns:
            Weights whose sum is 1, by place in the buffer.
        """
        return buffer.newest(_NEWEST)

    def scaling(self, buffer: Buffer, modes: Modes | None = None) -> StateScaling:
        """Fit the coordinates of states to what windows are drawn from.

        Args:
            buffer: Whole episodes.
            modes: Components that states are reduced to, which stay as they are: were they to
                turn, every network would have to learn anew. All entries if not given.

        Returns:
            The coordinates; physical ones, if states are not to be standardised.
        """
        if not self.standardise:
            return StateScaling.identity(buffer.states.shape[-1])
        return StateScaling.fit(
            buffer.states, bounded=True, chances=self.chances(buffer), modes=modes
        )

    def _choose(self, buffer: Buffer, batch: int, *, key: PRNGKeyArray) -> Int[Array, " batch"]:
        chances = self.chances(buffer)
        return jax.random.choice(key, chances.shape[0], (batch,), p=chances)

    def _cut(self, buffer: Buffer, episode: Array, first: Array) -> Window:
        def part(values: Array, length: int) -> Array:
            rest = values.shape[2:]
            start = episode, first, *(0 for _ in rest)
            return jax.lax.dynamic_slice(values, start, (1, length, *rest))[0]

        actions = part(buffer.actions, self.length)
        if buffer.ends is not None:
            ends = jax.tree.map(lambda values: part(values, self.length), buffer.ends)
            return _of_row(buffer.states[episode, first], actions, ends)
        return Window(part(buffer.states, self.length + 1), actions, first)


def _of_row(state: Array, actions: Array, ends: Ends) -> Window:
    # The states after an end are those of the next episode, and as good as any.
    states = jnp.concatenate([state[None], ends.next_states])
    return Window(states, actions, ends.times[0], ends.terminated)
