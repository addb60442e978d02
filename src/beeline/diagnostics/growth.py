"""Which law a gradient norm follows as the horizon grows.

Two laws compete for the norm n(H), both of them straight lines in log n:

- polynomial: log n = c + degree · log H;
- exponential: log n = c + rate · H.

Each is fitted by least squares to the logarithm of a mean of the samples at each horizon. The
geometric mean tells what is typical; the arithmetic mean, which the paper plots, follows the few
largest, and in a system that is chaotic from some starts only, the two obey different laws.

The law of lesser Akaike criterion, AIC = N log(RSS / N) + 2 p with N horizons and p = 3 parameters
(variance included), is preferred; by custom a margin under 2 decides nothing. If the slope's
confidence interval holds zero, there is no growth to speak of, and the norm is called bounded.

References:
    Paper, Theorem 1 and Corollaries 2.1 and 2.2 (the laws), Figure 4b (the measurement).
    Akaike 1974, "A new look at the statistical model identification".
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Shaped
from scipy import stats

_LEAST_RESIDUAL = 1e-20
"""Floor of the mean squared residual of log n, so that exact data has an AIC too."""

_FLAT = 1e-9
"""A slope under which a line is flat."""
_PARAMETERS = 3
"""Slope, intercept and variance."""


class LineFit(NamedTuple):
    """A line through log-norms; the slope is a rate per step or a degree."""

    slope: float
    low: float
    high: float
    intercept: float
    aic: float


class GrowthFit(NamedTuple):
    """Both laws side by side."""

    exponential: LineFit
    """`slope` is the rate per step; the norm grows by exp(slope) per step."""
    polynomial: LineFit
    """`slope` is the degree."""
    confidence: float
    used: int
    """Norms that were finite and above zero."""
    left_out: int
    """Norms that were not: underflow, overflow, or a gradient cut by clipping."""

    @property
    def best(self) -> LineFit:
        """Choose the line of lesser AIC.

        Returns:
            `exponential` or `polynomial`.
        """
        return min(self.exponential, self.polynomial, key=lambda line: line.aic)

    @property
    def law(self) -> str:
        """Name the law.

        Returns:
            "polynomial" or "exponential", or "bounded" if the better line may be flat.
        """
        # Exactly constant norms have a slope of rounding, and an interval as narrow.
        if self.best.low <= 0 <= self.best.high or abs(self.best.slope) < _FLAT:
            return "bounded"
        return "exponential" if self.best is self.exponential else "polynomial"

    @property
    def margin(self) -> float:
        """Say how clearly the better line won.

        Returns:
            The difference of the two AIC.
        """
        return abs(self.exponential.aic - self.polynomial.aic)

    def describe(self) -> str:
        """Put the result in words.

        Returns:
            One line.
        """
        exponential = self.best is self.exponential
        slope = "rate" if exponential else "degree"
        unit = " per step" if exponential else ""
        interval = f"[{self.best.low:.3g}, {self.best.high:.3g}]"
        margin = f"AIC margin {self.margin:.1f}"
        return f"{self.law}, {slope} {self.best.slope:.3g} {interval}{unit} ({margin})"

    def predict(self, horizons: Float[np.ndarray, " points"]) -> Float[np.ndarray, " points"]:
        """Evaluate the better line.

        Args:
            horizons: Where.

        Returns:
            The fitted norm.
        """
        x = horizons if self.best is self.exponential else np.log(horizons)
        return np.exp(self.best.intercept + self.best.slope * x)


def geometric_mean(norms: Float[np.ndarray, " sample"]) -> float:
    """The exponential of the mean logarithm.

    Args:
        norms: Norms above zero.

    Returns:
        Their geometric mean.
    """
    return float(np.exp(np.mean(np.log(norms))))


def fit_growth(
    norms: Mapping[int, Sequence[float] | Shaped[np.ndarray, " sample"]],
    *,
    mean: Callable[..., Any] = geometric_mean,
    confidence: float = 0.95,
) -> GrowthFit:
    """Fit the laws to norms measured at several horizons.

    The intervals are Student's t on the slope with two degrees of freedom fewer than horizons:
    they count the misfit of the law, not only the spread of the samples.

    Args:
        norms: Samples of the norm by horizon.
        mean: How to average the samples of a horizon; `np.mean` follows the largest.
        confidence: Coverage of the intervals, between 0 and 1.

    Returns:
        The fits.

    Raises:
        ValueError: If fewer than four horizons have a finite norm above zero, or the confidence
            is out of range.
    """
    if not 0 < confidence < 1:
        raise ValueError(f"confidence is {confidence}: give a number between 0 and 1")
    horizons, heights, used, left_out = [], [], 0, 0
    for horizon, samples in sorted(norms.items()):
        values = np.asarray(samples, dtype=float)
        good = values[np.isfinite(values) & (values > 0)]
        used, left_out = used + good.size, left_out + values.size - good.size
        if good.size:
            horizons.append(float(horizon))
            heights.append(math.log(float(mean(good))))
    if len(horizons) < 4:
        raise ValueError(
            f"a growth law needs finite, positive norms at four horizons or more, got them at "
            f"{[int(h) for h in horizons]}: give more horizons"
        )
    x, y = np.array(horizons), np.array(heights)
    return GrowthFit(
        exponential=_fit_line(x, y, confidence),
        polynomial=_fit_line(np.log(x), y, confidence),
        confidence=confidence,
        used=used,
        left_out=left_out,
    )


def _fit_line(
    x: Float[np.ndarray, " points"], y: Float[np.ndarray, " points"], confidence: float
) -> LineFit:
    centred = x - x.mean()
    slope = float(centred @ y / (centred @ centred))
    residuals = y - y.mean() - slope * centred
    freedom = len(x) - 2
    error = math.sqrt(residuals @ residuals / freedom / (centred @ centred))
    half = float(stats.t.ppf(0.5 + confidence / 2, freedom)) * error
    intercept = float(y.mean() - slope * x.mean())
    mean_square = max(float(residuals @ residuals) / len(x), _LEAST_RESIDUAL)
    aic = len(x) * math.log(mean_square) + 2 * _PARAMETERS
    return LineFit(slope, slope - half, slope + half, intercept, aic)
