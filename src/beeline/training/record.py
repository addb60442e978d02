"""What is measured as training goes."""

from typing import NamedTuple

from jaxtyping import Array, Float, Int


class Record(NamedTuple):
    """What one iteration measured, in the order in which a failure would spread.

    Means and last values are over the updates taken: 0 if none was due, NaN if none could be taken.
    """

    collected_return: Float[Array, ""]
    """Return of the episode collected, exploration included."""
    fresh_error: Float[Array, ""]
    """Standardised error of the model on that episode, before learning from it."""
    replayed_error: Float[Array, ""]
    """The same on older episodes, which it has learned from: the model overfits if it is less."""
    open_loop_error: Float[Array, ""]
    """Error of the model's own episode with those actions, where a one-step model is compared with
    it; 0 otherwise. A model of actions reads no states, so this is its `fresh_error`."""
    one_step_error: Float[Array, ""]
    """The same of the one-step model: it imagines episodes while this is the less of the two."""
    model_updates: Int[Array, ""]
    """Model updates due in the iteration."""
    model_loss: Float[Array, ""]
    """Mean loss of the iteration's model updates."""
    model_gradient_norm: Float[Array, ""]
    """Gradient norm of the last of them, before clipping."""
    model_clip_fraction: Float[Array, ""]
    """Share of them whose gradient was clipped."""
    reward_loss: Float[Array, ""]
    """Loss of the reward model's last update; 0 where the reward is known."""
    policy_updates: Int[Array, ""]
    """Policy updates due in the iteration."""
    imagined_return: Float[Array, ""]
    """Mean return of the last imagined batch, under the noise that the policy is improved under."""
    entropy: Float[Array, ""]
    """Mean entropy of the policy there."""
    policy_gradient_norm: Float[Array, ""]
    """Gradient norm there, before clipping."""
    policy_clip_fraction: Float[Array, ""]
    """Share of the policy updates whose gradient was clipped."""
    return_: Float[Array, ""]
    """Real return of the deterministic policy after the iteration."""
    return_deviation: Float[Array, ""]
    """Standard deviation of it over the episodes that it is the mean of; 0 for one episode."""
    imagined_minus_real_return: Float[Array, ""]
    """How much the last imagined batch, under the noise that the policy is improved under, promised
    beyond that, which is without noise: much more tells of a policy that exploits the model."""
    rate: Float[Array, ""]
    """Factor on all learning rates in the iteration: 1, or less after weights were restored."""
    skipped_updates: Int[Array, ""]
    """Updates of any kind not taken because of a number that was not finite."""
    discarded_episodes: Int[Array, ""]
    """1 if the episode collected was not finite, and so not kept; 0 otherwise."""
    episode_length: Float[Array, ""] | None = None
    """Mean steps until the episodes of `return_` terminated, the horizon where they did not; None,
    and not recorded, where none can."""
    termination_loss: Float[Array, ""] | None = None
    """Loss of the termination model's last update; None, likewise, where there is no such model."""
    simulator_steps: Int[Array, ""] | None = None
    """Steps that a simulator was asked for to learn from, those of the warm-up in the first
    iteration, and of discarded episodes, among them; None, likewise, where there is none."""
    simulator_evaluation_steps: Int[Array, ""] | None = None
    """Steps that it was asked for to measure the policy."""
    simulator_failures: Int[Array, ""] | None = None
    """How often it went wrong, and was made anew."""
    imagined_violation: Float[Array, ""] | None = None
    """Largest value of a constraint in imagined episodes without noise, in its own unit: 0 where
    all are kept; None, likewise, where there are no constraints."""
    penalty_weight: Float[Array, ""] | None = None
    """Weight of the squares of violations; None, likewise."""
    violation: Float[Array, ""] | None = None
    """The same in the real episodes of `return_`."""
    violated_steps: Float[Array, ""] | None = None
    """Share of their steps that break a constraint; None, likewise, and where none is of steps."""


MEASURED_IN = {
    "model_loss": "model_updates",
    "model_gradient_norm": "model_updates",
    "model_clip_fraction": "model_updates",
    "reward_loss": "model_updates",
    "termination_loss": "model_updates",
    "imagined_return": "policy_updates",
    "imagined_minus_real_return": "policy_updates",
    "entropy": "policy_updates",
    "policy_gradient_norm": "policy_updates",
    "policy_clip_fraction": "policy_updates",
    "imagined_violation": "policy_updates",
    "penalty_weight": "policy_updates",
    "policy_loss": "policy_updates",
    "negative_log_likelihood": "policy_updates",
    "critic_loss": "critic_updates",
}
"""What says nothing in an iteration in which no such update was due, for any algorithm."""
