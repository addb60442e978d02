"""Closed forms of the bounds, against the recursions and double sums of the proofs."""

import numpy as np
import pytest

from beeline.theory import bounds

GAPS = np.arange(1.0, 13.0)
SLOPES = [0.1, 0.5, 1.0, 2.5]


def recursion(action_slope, weigh):
    """D_t <= L_a + (what the D between k and t contribute), term by term."""
    influence = []
    for _ in GAPS:
        influence.append(action_slope + weigh(influence))
    return np.array(influence)


@pytest.mark.parametrize("slope", SLOPES)
def test_recursions(slope):
    expected = recursion(0.7, lambda before: slope * sum(before))
    np.testing.assert_allclose(bounds.history_influence(GAPS, 0.7, slope), expected)
    expected = recursion(0.7, lambda before: slope * max(before, default=0))
    np.testing.assert_allclose(bounds.summed_influence(GAPS, 0.7, slope), expected)


@pytest.mark.parametrize("slope", SLOPES)
def test_sum_over_all_pairs(slope):
    horizons = np.arange(2.0, 14.0)
    expected = [
        sum(0.7 * (1 + slope) ** (t - k - 1) for t in range(1, int(h) + 1) for k in range(1, t))
        for h in horizons
    ]
    np.testing.assert_allclose(bounds.history_gradient(horizons, 0.7, slope), expected)
    running = bounds.gradient_bound(np.cumsum(bounds.history_influence(GAPS, 0.7, slope)), 2.0, 3.0)
    np.testing.assert_allclose(running, 6 * np.array(expected))


@pytest.mark.parametrize("slope", SLOPES)
def test_the_rate_that_the_paper_states_for_theorem_1_is_too_low(slope):
    gaps = np.array([40.0, 80.0])
    excess = bounds.history_influence(gaps, 1.0, slope) / bounds.history_influence_as_stated(
        gaps, 1.0, slope
    )
    assert excess[1] > 10 * excess[0]
    honest = bounds.summed_influence(gaps, 1.0, slope) / bounds.history_influence_as_stated(
        gaps, 1.0, slope
    )
    # With a bounded sum the ratio settles, except at 1, where the powers add up to the gap.
    assert honest[1] == pytest.approx(honest[0] * (2 if slope == 1 else 1), rel=0.05)


def test_recurrent_and_markov_models_share_a_rate():
    markov = bounds.markov_influence(GAPS, 6.0, 1.2)
    np.testing.assert_allclose(bounds.rnn_influence(GAPS, 2.0, 3.0, 2.4, 0.5), markov)
    assert markov[0] == 6


def test_attention():
    lengths = np.array([1.0, 2.0, 50.0])
    np.testing.assert_allclose(bounds.attention_influence(lengths, 2.0, 5.0, 0.1), [2, 2.3, 2.3])
    stated = bounds.attention_influence_as_stated(lengths, 2.0, 0.1)
    np.testing.assert_allclose(stated, [2.2, 4.8, 600])


@pytest.mark.parametrize("ratio", [0.0, 0.5, 1.0, 2.0])
def test_geometric_sum(ratio):
    expected = [sum(ratio**i for i in range(n)) for n in range(6)]
    np.testing.assert_allclose(bounds.geometric_sum(np.arange(6.0), ratio), expected)
