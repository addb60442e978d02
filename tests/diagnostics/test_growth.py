"""Growth laws, on norms whose law is known."""

import numpy as np
import pytest

from beeline.diagnostics import fit_growth

HORIZONS = (5, 10, 20, 40, 80)


def noisy(law, seed, samples=30, spread=0.3):
    noise = np.random.default_rng(seed)
    return {h: law(h) * np.exp(spread * noise.normal(size=samples)) for h in HORIZONS}


@pytest.mark.parametrize("rate", [0.2, -0.1])
def test_exponential(rate):
    fit = fit_growth(noisy(lambda h: 3 * np.exp(rate * h), 0))
    assert fit.law == "exponential"
    assert fit.margin > 10
    assert fit.exponential.low < rate < fit.exponential.high
    assert fit.exponential.slope == pytest.approx(rate, abs=0.01)
    assert "exponential, rate" in fit.describe()


@pytest.mark.parametrize("degree", [1, 3])
def test_polynomial(degree):
    fit = fit_growth(noisy(lambda h: 0.1 * h**degree, 1))
    assert fit.law == "polynomial"
    assert fit.margin > 10
    assert fit.polynomial.low < degree < fit.polynomial.high
    assert "polynomial, degree" in fit.describe()


def test_bounded():
    laws = [fit_growth(noisy(lambda h: 2.0, seed)).law for seed in range(40)]
    assert laws.count("bounded") >= 34
    assert fit_growth({h: [2.0] for h in HORIZONS}).describe().startswith("bounded")


def test_exact_data_is_fitted_exactly():
    fit = fit_growth({h: [np.exp(0.3 * h)] for h in HORIZONS})
    assert fit.exponential.slope == pytest.approx(0.3, rel=1e-9)
    assert fit.exponential.high - fit.exponential.low < 1e-8
    np.testing.assert_allclose(fit.predict(np.array([7.0])), np.exp(2.1))


def test_intervals_cover_as_often_as_they_say():
    hits = 0
    for seed in range(200):
        fit = fit_growth(noisy(lambda h: h**2.0, seed, samples=3), confidence=0.8)
        hits += fit.polynomial.low < 2 < fit.polynomial.high
    # 160 expected, with a standard deviation of 5.7.
    assert 140 <= hits <= 180


def test_norms_that_have_no_logarithm_are_left_out_and_counted():
    norms = noisy(lambda h: 1.0 * h, 2)
    norms[5] = np.append(norms[5], [0.0, np.inf, np.nan])
    fit = fit_growth(norms)
    assert fit.left_out == 3
    assert fit.used == 150


def test_the_mean_follows_the_largest_samples_and_the_geometric_mean_what_is_typical():
    # Chaotic from one start in three, and calm from the others.
    norms = {h: [1.0, 1.0, np.exp(0.6 * h)] for h in HORIZONS}
    assert fit_growth(norms).exponential.slope == pytest.approx(0.2)
    assert fit_growth(norms, mean=np.mean).exponential.slope == pytest.approx(0.6, abs=0.02)


def test_refusals():
    with pytest.raises(ValueError, match=r"four horizons.*\[5, 10\].*more horizons"):
        fit_growth({5: [1.0], 10: [2.0], 20: [0.0], 40: [np.inf]})
    with pytest.raises(ValueError, match=r"confidence is 1\.0"):
        fit_growth({h: [1.0] for h in HORIZONS}, confidence=1.0)
