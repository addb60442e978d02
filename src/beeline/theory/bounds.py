"""The paper's bounds with their constants, for finite horizons.

The paper states growth up to constants. Here every bound is a number that a measured gradient
must not exceed, computed from the same hypotheses. Where the paper's own formula differs, it is
here too, under a name that ends in `_as_stated`, so that the two can be compared.

Throughout, `horizon` is the paper's H: states s_1 ... s_H are rewarded, and actions a_1 ... a_{H-1}
matter. A gap is t - k >= 1, from an action a_k to a state s_t.

References:
    Paper, section 3, section 4.2 and Appendix A.
"""

import numpy as np
from jaxtyping import Float


def history_influence(
    gaps: Float[np.ndarray, " gap"], action_slope: float, state_slope: float
) -> Float[np.ndarray, " gap"]:
    """Bound ||d s_t / d a_k|| in a history model whose every state slope is bounded.

    The recursion of the proof, D_t <= L_a + L_s (D_{k+1} + ... + D_{t-1}), solved exactly: its
    difference D_{t+1} - D_t = L_s D_t gives L_a (1 + L_s)^(t-k-1).

    Args:
        gaps: t - k, at least 1.
        action_slope: L_a, bound of ||∂h/∂a_k||.
        state_slope: L_s, bound of ||∂h/∂s_i|| for each single i.

    Returns:
        The bound for each gap.

    References:
        Paper, Theorem 1.
    """
    return action_slope * (1 + state_slope) ** (gaps - 1)


def history_influence_as_stated(
    gaps: Float[np.ndarray, " gap"], action_slope: float, state_slope: float
) -> Float[np.ndarray, " gap"]:
    """The expression inside the paper's O(L_a + L_s^(t-k)), which is not a bound.

    Args:
        gaps: t - k, at least 1.
        action_slope: L_a.
        state_slope: L_s.

    Returns:
        L_a + L_s^(t-k).

    References:
        Paper, Theorem 1, end of the recursive expansion.
    """
    return action_slope + state_slope**gaps


def summed_influence(
    gaps: Float[np.ndarray, " gap"], action_slope: float, total_state_slope: float
) -> Float[np.ndarray, " gap"]:
    """Bound ||d s_t / d a_k|| when the *sum* of the state slopes over i is bounded.

    Then D_t <= L_a + L_s max(D_{k+1} ... D_{t-1}), hence L_a (1 + L_s + ... + L_s^(t-k-1)), whose
    base is the paper's L_s.

    Args:
        gaps: t - k, at least 1.
        action_slope: L_a.
        total_state_slope: Bound of the sum over i of ||∂h/∂s_i||.

    Returns:
        The bound for each gap.

    References:
        A hypothesis under which the rate in Theorem 1 of the paper is right.
    """
    return action_slope * geometric_sum(gaps, total_state_slope)


def markov_influence(
    gaps: Float[np.ndarray, " gap"], action_slope: float, state_slope: float
) -> Float[np.ndarray, " gap"]:
    """Bound ||d s_t / d a_k|| in a model that reads the last state and action only.

    Args:
        gaps: t - k, at least 1.
        action_slope: L_a, bound of ||∂f/∂a||.
        state_slope: L_s, bound of ||∂f/∂s||.

    Returns:
        L_a L_s^(t-k-1).

    References:
        Paper, proof of Proposition 1 (the product of Jacobians).
    """
    return action_slope * state_slope ** (gaps - 1)


def rnn_influence(
    gaps: Float[np.ndarray, " gap"],
    output_norm: float,
    input_norm: float,
    recurrent_norm: float,
    activation_slope: float,
) -> Float[np.ndarray, " gap"]:
    """Bound ||d s_t / d a_k|| in an actions model with the recurrent core of Eq. 4.

    Args:
        gaps: t - k, at least 1.
        output_norm: ||W_o||.
        input_norm: ||W_a||.
        recurrent_norm: ||W_x||; spectral norms throughout.
        activation_slope: 1/β, bound of |σ'|.

    Returns:
        ||W_o|| ||W_a|| η^(t-k-1) with η = ||W_x|| / β.

    References:
        Paper, Corollary 2.1.
    """
    return output_norm * input_norm * (recurrent_norm * activation_slope) ** (gaps - 1)


def attention_influence(
    lengths: Float[np.ndarray, " length"], value_norm: float, score_norm: float, radius: float
) -> Float[np.ndarray, " length"]:
    """Bound the sum over k of ||d s_t / d a_k|| in a self-attention layer, by actions read.

    With weights c_i, their mean action m and covariance C, W = W_v and M = W_q^T W_k, the complete
    derivative is c_k W (I + (a_k - m) (M^T a_t)^T), and W C M^T more for the action that is also
    the query. Since the weights sum to one, so do the norms, up to ||W|| (1 + 3 α² ||M||); with
    a single action the softmax is constant and ||W|| remains.

    Args:
        lengths: Actions read, t - 1.
        value_norm: ||W_v||.
        score_norm: ||W_q^T W_k||; spectral norms.
        radius: α, bound of ||a_i||.

    Returns:
        The bound, independent of the length beyond one action.

    References:
        Paper, Corollary 2.2, with the derivative of the scores kept.
    """
    complete = value_norm * (1 + 3 * radius**2 * score_norm)
    return np.where(lengths > 1, complete, value_norm)


def attention_influence_as_stated(
    lengths: Float[np.ndarray, " length"], value_norm: float, radius: float
) -> Float[np.ndarray, " length"]:
    """The paper's sum over k of ||W_v|| (1 + α (t-1)), which leaves the scores' derivative out.

    Args:
        lengths: Actions read, t - 1.
        value_norm: ||W_v||.
        radius: α.

    Returns:
        The expression in the paper's last line but one, for one t.

    References:
        Paper, Corollary 2.2.
    """
    return lengths * value_norm * (1 + radius * lengths)


def gradient_bound(
    influence_sums: Float[np.ndarray, " state"], reward_slope: float, policy_slope: float
) -> Float[np.ndarray, " horizon"]:
    """Bound the norm of the policy gradient for every horizon at once.

    Args:
        influence_sums: For s_2, s_3, ..., the sum over k < t of (bounds of) ||d s_t / d a_k||.
        reward_slope: L_r.
        policy_slope: L_π.

    Returns:
        L_r L_π times the running sum: entry 0 is for horizon 2.

    References:
        Paper, Theorem 2, and the last display of the proof of Theorem 1.
    """
    return reward_slope * policy_slope * np.cumsum(influence_sums)


def geometric_sum(
    terms: Float[np.ndarray, " horizon"], ratio: float
) -> Float[np.ndarray, " horizon"]:
    """Evaluate 1 + q + ... + q^(n-1), also at q = 1.

    Args:
        terms: n, at least 0.
        ratio: q, not negative.

    Returns:
        The sum.
    """
    if ratio == 1:
        return np.asarray(terms, dtype=float)
    return (ratio**terms - 1) / (ratio - 1)


def history_gradient(
    horizons: Float[np.ndarray, " horizon"], action_slope: float, state_slope: float
) -> Float[np.ndarray, " horizon"]:
    """Sum `history_influence` over all pairs, in closed form.

    With q = 1 + L_s: L_a ((q^H - 1) / (q - 1) - H) / (q - 1), of order q^H / L_s², without the
    factor H² of the paper and with q in place of its L_s.

    Args:
        horizons: H.
        action_slope: L_a.
        state_slope: L_s, above zero.

    Returns:
        The bound of the policy gradient when L_r L_π = 1.

    References:
        Paper, Theorem 1.
    """
    sums = geometric_sum(horizons, 1 + state_slope)
    return action_slope * (sums - horizons) / state_slope
