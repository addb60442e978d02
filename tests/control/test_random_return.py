"""The uniform random policy's return, and the scale it anchors."""

import math

import jax
import numpy as np
import pytest

from beeline import control, envs
from beeline.control import normalized_return, random_return

# Mean and standard error over 1000 episodes, measured elsewhere with other random numbers.
KNOWN = {
    "cancer-treatment": {20: (-34.1209, 0.14), 100: (-33.7124, 0.057)},
    "bioreactor": {20: (0.995662, 0.0019), 100: (0.999007, 0.00082)},
    "mould-fungicide": {20: (-107.546, 0.35), 100: (-99.5365, 0.086)},
    "bacteria": {20: (-1.33059, 0.0093), 100: (-1.32709, 0.0038)},
    "harvest": {20: (1.49802, 0.044), 100: (3.06063, 0.014)},
    "invasive-plant": {20: (-21.6437, 0.04), 100: (-21.6741, 0.017)},
    "hiv-treatment": {20: (798.459, 0.096), 100: (808.754, 0.067)},
    "timber-harvest": {20: (950.913, 5.2), 100: (1082.05, 3.0)},
}


@pytest.mark.parametrize("name", sorted(KNOWN))
def test_agrees_with_the_known_mean(name):
    horizon = 20
    found = random_return(envs.make(name, horizon=horizon))
    mean, error = KNOWN[name][horizon]
    assert abs(found.mean - mean) <= 3.5 * math.hypot(error, found.standard_error)
    assert found.standard_error == pytest.approx(error, rel=0.15)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(KNOWN))
def test_agrees_with_the_known_mean_of_100_steps(name):
    found = random_return(envs.make(name, horizon=100))
    mean, error = KNOWN[name][100]
    assert abs(found.mean - mean) <= 3.5 * math.hypot(error, found.standard_error)


def test_agrees_with_an_exact_mean():
    # Two steps of the timber task: x doubles and a half in the first by the share u, so that the
    # mean return is 250 (1 - E u) + 250 (1 + 2.5 E u) (1 - E u) with E u = 1/2, independent.
    found = random_return(envs.make("timber-harvest", horizon=2), episodes=20000)
    assert abs(found.mean - (125 + 281.25)) <= 3.5 * found.standard_error


def test_the_same_unless_the_key_differs():
    env = envs.make("harvest", horizon=5)
    first, second = random_return(env, 100), random_return(env, 100)
    other = random_return(env, 100, key=jax.random.key(1))
    assert first == second
    assert first.mean != other.mean


def test_process_noise_is_played_too():
    quiet = random_return(envs.make("harvest", horizon=5), 100)
    noisy = random_return(envs.make("harvest", horizon=5, process_noise=0.5), 100)
    assert np.isfinite(noisy.mean)
    assert noisy.standard_error > 2 * quiet.standard_error


def test_normalized_return_is_0_for_random_and_1_for_optimal():
    assert normalized_return(-34.0, -34.0, -20.0) == 0.0
    assert normalized_return(-20.0, -34.0, -20.0) == 1.0
    assert normalized_return(-48.0, -34.0, -20.0) == -1.0


def test_wrong_arguments():
    with pytest.raises(ValueError, match="episodes must be at least 2, got 1"):
        random_return(envs.make("harvest", horizon=5), 1)


@pytest.mark.parametrize(
    ("random", "optimal"),
    [(3.0, 3.0), (4.0, 3.0), (-math.inf, 3.0), (0.0, math.inf), (math.nan, 3.0), (0.0, math.nan)],
)
def test_a_scale_without_two_ends(random, optimal):
    with pytest.raises(ValueError, match=f"above a finite random one, got {optimal} and {random}"):
        normalized_return(1.0, random, optimal)


def test_a_return_that_is_not_finite_stays_so():
    assert normalized_return(-math.inf, 0.0, 2.0) == -math.inf
    assert normalized_return(math.inf, 0.0, 2.0) == math.inf
    assert math.isnan(normalized_return(math.nan, 0.0, 2.0))


def test_public_names():
    assert set(control.__all__) == {
        "Adam",
        "CEM",
        "ClosedLoopReturn",
        "Constraints",
        "Controller",
        "Found",
        "Grid",
        "GridSolution",
        "LBFGS",
        "LinearFeedback",
        "MPC",
        "MPPI",
        "Optimum",
        "Plan",
        "RandomReturn",
        "Search",
        "closed_loop_return",
        "is_deterministic",
        "is_noisy",
        "lqr",
        "normalized_return",
        "plan",
        "random_return",
        "reference_return",
        "solve_grid",
        "solve_optimum",
    }
