"""The paper's bounds as checks that can fail.

Each sets what was measured along an episode against what a statement promises. A check also says
which of the constants that it was given were exceeded, since a statement promises nothing where
its hypotheses fail. Compute in float64 (`jax.enable_x64`).

References:
    Paper, Theorem 1, Theorem 2, Corollaries 2.1 and 2.2.
"""

from collections.abc import Mapping
from typing import NamedTuple, cast

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from beeline.diagnostics.jacobians import spectral_norm
from beeline.diagnostics.probe import Probe
from beeline.sequence import RNN, SelfAttention
from beeline.sequence.rnn import RNNCell
from beeline.theory import bounds

_ROUNDING = 1e-9
"""Relative excess that float64 rounding may cause."""


class Claim(NamedTuple):
    """A constant that a statement assumes, and the largest value measured."""

    claimed: float
    met: float


class Check(NamedTuple):
    """Measurements against a promise, by horizon or by gap."""

    statement: str
    at: np.ndarray
    """The horizons, or the gaps t - k."""
    measured: np.ndarray
    bound: np.ndarray
    claims: Mapping[str, Claim]

    @property
    def holds(self) -> bool:
        """Say whether no measurement exceeds its bound.

        Returns:
            False also if one is not a number.
        """
        return bool(np.all(self.measured <= self.bound * (1 + _ROUNDING)))

    @property
    def broken(self) -> tuple[str, ...]:
        """Name the hypotheses that the measurements contradict.

        Returns:
            The names of the constants that were exceeded.
        """
        return tuple(
            name
            for name, claim in self.claims.items()
            if not claim.met <= claim.claimed * (1 + _ROUNDING)
        )

    @property
    def tightness(self) -> float:
        """Say how much of the bound is used.

        Returns:
            The largest ratio of a measurement to its bound; above 1 the promise is broken.
        """
        return float(np.max(self.measured / self.bound))


def check_influence(
    statement: str,
    measured: Probe,
    bound: Float[np.ndarray, " gap"],
    claims: Mapping[str, Claim] | None = None,
) -> Check:
    """Compare ||d s_t / d a_k|| with a bound of the gap t - k.

    Args:
        statement: What is checked.
        measured: An episode.
        bound: The bound for gaps 1, 2, ...
        claims: The hypotheses.

    Returns:
        The largest influence at each gap, against its bound.
    """
    influence = np.asarray(measured.influence)
    worst = np.array([np.diagonal(influence, -gap).max() for gap in range(len(influence))])
    return Check(statement, 1 + np.arange(len(worst)), worst, bound, claims or {})


def check_gradient(
    statement: str,
    measured: Probe,
    influence_sums: Float[np.ndarray, " state"],
    claims: Mapping[str, Claim] | None = None,
) -> Check:
    """Compare the policy gradient with a bound, at every horizon from 2.

    Rewards of actions, which the paper does not have, add their own slope at every step.

    Args:
        statement: What is checked.
        measured: An episode; L_r and L_π are its own.
        influence_sums: For s_2, s_3, ..., a bound of the sum over k of ||d s_t / d a_k||.
        claims: The hypotheses.

    Returns:
        The norm of the policy gradient at each horizon, against its bound.
    """
    horizons = 2 + np.arange(len(influence_sums))
    policy_slope = float(measured.policy_slope)
    bound = bounds.gradient_bound(influence_sums, float(measured.reward_slope), policy_slope)
    bound = bound + horizons * policy_slope * float(measured.reward_action_slope)
    return Check(statement, horizons, np.asarray(measured.gradients)[1:], bound, claims or {})


def check_theorem_1(
    measured: Probe, *, action_slope: float | None = None, state_slope: float | None = None
) -> tuple[Check, Check]:
    """Check the bound for history models, with its recursion solved exactly.

    Args:
        measured: An episode in a model that feeds states back.
        action_slope: L_a; the largest measured if not given.
        state_slope: L_s; the largest measured if not given.

    Returns:
        The checks of the influence by gap and of the policy gradient by horizon.

    References:
        Paper, Theorem 1.
    """
    met_action = float(measured.action_slopes.max())
    # s_1 is given: no action reaches it, so its slope takes no part.
    met_state = float(measured.state_slopes[:, 1:].max(initial=0))
    action = Claim(met_action if action_slope is None else action_slope, met_action)
    state = Claim(met_state if state_slope is None else state_slope, met_state)
    claims = {"L_a": action, "L_s": state}
    gaps = _gaps(measured)
    influence = bounds.history_influence(gaps, action.claimed, state.claimed)
    return (
        check_influence("Theorem 1, influence", measured, influence, claims),
        check_gradient("Theorem 1, policy gradient", measured, np.cumsum(influence), claims),
    )


def check_summed_slopes(measured: Probe) -> tuple[Check, Check]:
    """Check the bound for history models whose state slopes have a bounded sum.

    Args:
        measured: An episode in a model that feeds states back.

    Returns:
        The checks of the influence by gap and of the policy gradient by horizon.

    References:
        A hypothesis under which the rate in Theorem 1 of the paper is right.
    """
    total = float(measured.state_slopes[:, 1:].sum(axis=1).max())
    influence = bounds.summed_influence(_gaps(measured), float(measured.action_slopes.max()), total)
    return (
        check_influence("Summed slopes, influence", measured, influence),
        check_gradient("Summed slopes, policy gradient", measured, np.cumsum(influence)),
    )


def check_theorem_2(measured: Probe) -> Check:
    """Check the bound of the policy gradient by the model's Jacobian.

    Args:
        measured: An episode in a model of actions.

    Returns:
        The check by horizon. Its Jacobian is the partial one, ∂g/∂a with what else the model
        reads held still, which is all there is only if the model reads actions alone.

    References:
        Paper, Theorem 2.
    """
    sums = np.asarray(measured.action_slopes).sum(axis=1)
    return check_gradient("Theorem 2", measured, sums)


def check_corollary_21(
    measured: Probe, core: RNN, *, activation_slope: float
) -> tuple[Check, Check]:
    """Check the bounds for an actions model that is a bare recurrent layer.

    Args:
        measured: An episode in `BareCore(core)`.
        core: The core, of one layer.
        activation_slope: 1/β, claimed to bound the slope of its activation everywhere.

    Returns:
        The checks of the influence by gap and of the policy gradient by horizon.

    Raises:
        ValueError: If the core has several layers, which Eq. 4 does not.

    References:
        Paper, Eq. 4 and Corollary 2.1.
    """
    if len(core.cells) != 1:
        raise ValueError(f"the core has {len(core.cells)} layers: Corollary 2.1 is about one")
    cell = cast(RNNCell, core.cells[0])
    norms = (spectral_norm(w) for w in (core.readout, cell.inputs.weight, cell.recurrent))
    output, inputs, recurrent = map(float, norms)
    influence = bounds.rnn_influence(_gaps(measured), output, inputs, recurrent, activation_slope)
    return (
        check_influence("Corollary 2.1, influence", measured, influence),
        check_gradient("Corollary 2.1, policy gradient", measured, np.cumsum(influence)),
    )


def check_corollary_22(
    measured: Probe,
    core: SelfAttention,
    actions: Float[Array, "time action"],
    *,
    radius: float,
) -> tuple[Check, Check, Check, Check]:
    """Check the bounds for a bare self-attention layer: the paper's cubic one, and a linear one.

    Args:
        measured: An episode in `BareCore(core)`.
        core: The layer.
        actions: The actions of the episode.
        radius: α, claimed to bound the norm of every action.

    Returns:
        Four checks: the sum over k of ||d s_t / d a_k|| by the number of actions read, and the
        policy gradient by horizon, each first against the formula as the paper states it and then
        against the bound from the complete derivative.

    References:
        Paper, Eq. 5 and Corollary 2.2.
    """
    query, key, value = jnp.split(core.query_key_value, 3, axis=1)
    value_norm, score_norm = float(spectral_norm(value)), float(spectral_norm(query @ key.T))
    lengths = _gaps(measured)
    sums = np.asarray(measured.influence).sum(axis=1)
    claims = {"alpha": Claim(radius, float(jnp.linalg.norm(actions, axis=1).max()))}
    stated = bounds.attention_influence_as_stated(lengths, value_norm, radius)
    complete = bounds.attention_influence(lengths, value_norm, score_norm, radius)
    return (
        Check("Corollary 2.2 as stated, influence", lengths, sums, stated, claims),
        Check("Corollary 2.2, influence", lengths, sums, complete, claims),
        check_gradient("Corollary 2.2 as stated, policy gradient", measured, stated, claims),
        check_gradient("Corollary 2.2, policy gradient", measured, complete, claims),
    )


def _gaps(measured: Probe) -> Float[np.ndarray, " gap"]:
    return 1.0 + np.arange(len(measured.influence))
