"""Searches along the gradient of a plan's score, held to the box of actions by projection."""

from typing import Any, NamedTuple, final

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray
from typing_extensions import override

from beeline.control.search import Found, Score, Search, check_counts, check_range

_SUFFICIENT = 1e-4
"""Share of the decrease that the slope promises which a step has to keep."""
_FIRST_MOVE = 0.2
"""How far the first step moves the action that it moves most."""
_SHORTEST = 1e-6
"""Step, as a share of the full one, at which a search gives up."""
_FORGET = 1e-2
"""Step, as a share of the full one, at which what is known of the curvature is dropped."""
_STRAIGHT = 1e-8
"""Cosine between a step and the change of the slope that tells nothing of the curvature."""


class _Climb(NamedTuple):
    # A loss is minimised here, the negative score.
    x: Float[Array, " entry"]
    loss: Float[Array, ""]
    slope: Float[Array, " entry"]
    trial: Float[Array, " entry"]
    length: Float[Array, ""]
    moves: Float[Array, "memory entry"]
    changes: Float[Array, "memory entry"]
    size: Float[Array, ""]
    tried: Int[Array, ""]
    done: Bool[Array, ""]


_HEAT = 10
"""Iterations after which starts are sorted out."""


@final
class LBFGS(Search):
    """Projected limited-memory BFGS.

    In each iteration one plan is tried. Entries at a bound that the slope pushes against stay
    there; the others move along the quasi-Newton direction of their own, and are clipped. A step
    that does not gain enough is shortened. One gradient an iteration, whatever happens, keeps many
    searches side by side in step.

    References:
        - D. P. Bertsekas, "Projected Newton methods for optimization problems with simple
          constraints", SIAM Journal on Control and Optimization 20(2), 1982.
        - J. Nocedal and S. J. Wright, *Numerical Optimization*, Springer, 2nd edition, 2006,
          algorithm 7.4.
    """

    iterations: int = eqx.field(static=True, default=100)
    """At most so many gradients."""
    memory: int = eqx.field(static=True, default=10)
    """Steps that the curvature is known from."""
    tolerance: float = eqx.field(static=True, default=1e-6)
    """Gain of a full step, relative to the score, at which a search has ended."""

    def __check_init__(self) -> None:
        """Refuse settings that mean nothing.

        Raises:
            ValueError: If one is out of range.
        """
        check_counts(self, iterations=1, memory=1)
        check_range(self, "tolerance", 1.0)

    @override
    def heat(self) -> "LBFGS | None":
        if self.iterations <= _HEAT:
            return None
        return LBFGS(_HEAT, self.memory, self.tolerance)

    @override
    def __call__(
        self, score: Score, guess: Float[Array, "time action"], *, key: PRNGKeyArray
    ) -> Found:
        del key
        shape = guess.shape
        loss_and_slope = jax.value_and_grad(lambda x: -score(x.reshape(shape)))
        start = jnp.clip(guess, -1.0, 1.0).ravel()
        nothing, memory = jnp.zeros_like(start), jnp.zeros((self.memory, start.size), start.dtype)
        infinite = jnp.full((), jnp.inf, start.dtype)
        one, none = jnp.ones((), start.dtype), jnp.zeros((), int)
        climb = _Climb(
            start, infinite, nothing, start, one, memory, memory, one, none, jnp.asarray(False)
        )
        climb = jax.lax.while_loop(
            lambda climb: ~climb.done & (climb.tried < self.iterations),
            lambda climb: self._advance(climb, *loss_and_slope(climb.trial)),
            climb,
        )
        return Found(climb.x.reshape(shape), -climb.loss)

    def _advance(self, climb: _Climb, loss: Array, slope: Array) -> _Climb:
        move = climb.trial - climb.x
        promised = climb.slope @ move
        finite = jnp.isfinite(loss) & jnp.all(jnp.isfinite(slope))
        better = finite & (loss <= climb.loss + _SUFFICIENT * promised)
        moves, changes = _remember(climb, move, slope - climb.slope, better)
        size = jnp.where(climb.tried == 0, jnp.abs(loss), climb.size)
        # Where the parabola through both losses and the slope is lowest.
        bend = loss - climb.loss - promised
        shorter = jnp.where(finite & (bend > 0), jnp.clip(-promised / (2 * bend), 0.1, 0.5), 0.1)
        length = jnp.where(better, 1.0, climb.length * shorter)
        forget = (length < _FORGET) & jnp.any(moves != 0)
        moves, changes = (jnp.where(forget, 0.0, x) for x in (moves, changes))
        length = jnp.where(forget, 1.0, length)
        x, loss, slope = (
            jnp.where(better, new, old)
            for new, old in ((climb.trial, climb.x), (loss, climb.loss), (slope, climb.slope))
        )
        whole = _direction(x, slope, moves, changes)
        gain = -slope @ (jnp.clip(x + whole, -1.0, 1.0) - x)
        # Relative to the score of the guess too, for the best score may be 0.
        least = self.tolerance * jnp.maximum(jnp.abs(loss), 1e-3 * size)
        return _Climb(
            x,
            loss,
            slope,
            jnp.clip(x + length * whole, -1.0, 1.0),
            length,
            moves,
            changes,
            size,
            climb.tried + 1,
            ~(gain > least) | (length < _SHORTEST),
        )


def _remember(climb: _Climb, move: Array, change: Array, better: Array) -> tuple[Array, Array]:
    bend = move @ change
    straight = _STRAIGHT * jnp.linalg.norm(move) * jnp.linalg.norm(change)
    # At first there is no step behind.
    told = better & (climb.tried > 0) & (bend > straight)

    def put(new: Array, old: Array) -> Array:
        return jnp.where(told, jnp.concatenate([new[None], old[:-1]]), old)

    return put(move, climb.moves), put(change, climb.changes)


def _direction(x: Array, slope: Array, moves: Array, changes: Array) -> Array:
    # The two-loop recursion, in the entries that are free to move.
    held = ((x <= -1.0) & (slope > 0)) | ((x >= 1.0) & (slope < 0))
    moves, changes, free = (jnp.where(held, 0.0, y) for y in (moves, changes, slope))
    bends = jnp.sum(moves * changes, axis=1)
    known = bends > 0
    weights = jnp.where(known, 1.0 / jnp.where(known, bends, 1.0), 0.0)

    def back(q: Array, told: tuple[Array, Array, Array]) -> tuple[Array, Array]:
        move, change, weight = told
        share = weight * (move @ q)
        return q - share * change, share

    def forth(r: Array, told: tuple[Array, Array, Array, Array]) -> tuple[Array, None]:
        move, change, weight, share = told
        return r + move * (share - weight * (change @ r)), None

    q, shares = jax.lax.scan(back, free, (moves, changes, weights))
    # In units of the newest curvature that is known; at first, of a first move.
    newest = jnp.argmax(known)
    squares = jnp.sum(changes[newest] ** 2)
    largest = jnp.max(jnp.abs(free))
    first = _FIRST_MOVE / jnp.where(largest > 0, largest, 1.0)
    unit = jnp.where(known[newest], bends[newest] / jnp.where(squares > 0, squares, 1.0), first)
    told = moves, changes, weights, shares
    r, _ = jax.lax.scan(forth, unit * q, told, reverse=True)
    return jnp.where(r @ free > 0, -r, -first * free)


@final
class Adam(Search):
    """Projected Adam, its rate falling to nothing along half a cosine.

    Slower than `LBFGS` where the score is smooth, and harder to trap where it is not.

    References:
        D. P. Kingma and J. Ba, "Adam: a method for stochastic optimization", ICLR 2015.
    """

    iterations: int = eqx.field(static=True, default=200)
    """So many gradients."""
    learning_rate: float = eqx.field(static=True, default=0.1)
    """How far an entry moves in the first of them, the box being 2 wide."""

    def __check_init__(self) -> None:
        """Refuse settings that mean nothing.

        Raises:
            ValueError: If one is out of range.
        """
        check_counts(self, iterations=1)
        check_range(self, "learning_rate", 2.0)

    @override
    def __call__(
        self, score: Score, guess: Float[Array, "time action"], *, key: PRNGKeyArray
    ) -> Found:
        del key
        score_and_slope = jax.value_and_grad(score)
        rate = optax.cosine_decay_schedule(self.learning_rate, self.iterations)
        adam = optax.adam(rate)

        def advance(_: Array, loop: tuple[Array, optax.OptState, Found]):
            actions, state, best = loop
            value, slope = score_and_slope(actions)
            finite = jnp.isfinite(value) & jnp.all(jnp.isfinite(slope))
            better = finite & (value > best.score)
            best = Found(
                jnp.where(better, actions, best.actions), jnp.where(better, value, best.score)
            )
            # After a slope that is not finite, from the best plan on.
            actions, slope = (
                jnp.where(finite, actions, best.actions),
                jnp.where(finite, slope, 0.0),
            )
            updates, state = adam.update(-slope, state)
            moved: Any = optax.apply_updates(actions, updates)
            return jnp.clip(moved, -1.0, 1.0), state, best

        start = jnp.clip(guess, -1.0, 1.0)
        none = Found(start, jnp.full((), -jnp.inf, start.dtype))
        loop = start, adam.init(start), none
        return jax.lax.fori_loop(0, self.iterations, advance, loop)[2]
