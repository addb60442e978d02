"""What learning from one more episode told, before the policy is measured."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from beeline.training._tally import Tally
from beeline.training.episodes import Episode, Measured
from beeline.training.faults import Faults, first_in
from beeline.training.record import Record


class Learning(NamedTuple):
    """What one iteration found before its evaluation."""

    collected_return: Float[Array, ""]
    """Return of the episode collected, exploration included."""
    errors: dict[str, Array]
    """How the models fared on it and on older ones, by the names that `Record` has."""
    tallies: dict[str, Tally]
    """The updates of each learner, by its name."""
    rate: Float[Array, ""]
    """Factor on all learning rates."""
    collected: Int[Array, ""]
    """Where the episode is not finite; see `first_in`."""
    weights: Bool[Array, " leaf"]
    """Whether each array of `BPOState.learned` is finite."""

    def record(self, measured: Measured | None) -> Record:
        """Put it as a record.

        Args:
            measured: What the policy earned afterwards; None where that is yet to be added.

        Returns:
            The record.
        """
        model, policy = self.tallies["model"], self.tallies["policy"]
        names = "reward", "termination", "multipliers"
        reward, termination, multipliers = (self.tallies.get(name) for name in names)
        imagined_return, entropy, _ = policy.last
        unknown = jnp.full((), jnp.nan)
        return_, deviation, length = unknown, unknown, None
        if measured is not None:
            return_, deviation, length = measured.return_, measured.deviation, measured.length
        return Record(
            collected_return=self.collected_return,
            **self.errors,
            model_updates=model.due,
            model_loss=model.mean[0],
            model_gradient_norm=model.gradient_norm,
            model_clip_fraction=model.clip_fraction,
            reward_loss=jnp.zeros(()) if reward is None else reward.last[0],
            termination_loss=None if termination is None else termination.last[0],
            policy_updates=policy.due,
            imagined_return=imagined_return,
            entropy=entropy,
            policy_gradient_norm=policy.gradient_norm,
            policy_clip_fraction=policy.clip_fraction,
            return_=return_,
            return_deviation=deviation,
            episode_length=length,
            imagined_minus_real_return=imagined_return - return_,
            rate=self.rate,
            skipped_updates=jnp.stack([tally.skipped for tally in self.tallies.values()]).sum(),
            discarded_episodes=(self.collected >= 0).astype(int),
            imagined_violation=None if multipliers is None else multipliers.last[0],
            penalty_weight=None if multipliers is None else multipliers.last[1],
        )

    def faults(self, measured: Measured | None) -> Faults:
        """Gather what was not finite.

        Args:
            measured: What the policy earned afterwards; None where that is yet to be added.

        Returns:
            The faults.
        """
        skipped = {name: tally.first_skipped for name, tally in self.tallies.items()}
        none = jnp.full((), -1)
        evaluated = none if measured is None else _first_of(measured.episodes)
        return Faults(self.collected, skipped, self.weights, evaluated)


def _first_of(evaluated: Episode) -> Int[Array, ""]:
    one_alone = evaluated.states.ndim == 2
    return first_in(evaluated) if one_alone else jax.vmap(first_in)(evaluated).max()
