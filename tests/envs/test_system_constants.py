"""Constants with which a control system means nothing, refused where they enter."""

import dataclasses
import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from beeline import envs
from beeline.envs._system_checks import check_system

INF = math.inf


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"duration": -1.0}, "harvest: duration must be above 0, got -1.0"),
        ({"duration": INF}, "harvest: duration must be finite, got inf"),
        ({"m": math.nan}, "harvest: m must be finite, got nan"),
        ({"x_0": (math.nan,)}, "harvest: x_0 must be finite, got nan"),
        ({"x_0": (0.4, 0.4)}, "harvest: x_0 must have 1 entries, got"),
        ({"x_0": (-0.1,)}, "harvest: x_0 must lie within state_bounds, got -0.1 in"),
        ({"state_bounds": ((1.0, 0.0),)}, "state_bounds must go from a lower to a hig"),
        ({"state_bounds": ((0.0, math.nan),)}, "state_bounds must go from a lower to"),
        ({"state_bounds": ((0.0, 1.0),) * 2}, "must have 1 .* pairs, got"),
        ({"control_bounds": ((1.0, 1.0),)}, "control_bounds must go, finite, from a"),
        ({"control_bounds": ((0.0, INF),)}, "control_bounds must go, finite, from a"),
    ],
)
def test_constants_that_mean_nothing(options, message):
    with pytest.raises(ValueError, match=message):
        envs.make("harvest", horizon=20, **options)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("invasive-plant", {"epsilon": 0.0}, "invasive-plant: epsilon must be above 0, got 0.0"),
        ("hiv-treatment", {"t_max": -1500.0}, "hiv-treatment: t_max must be above 0, got -1500.0"),
        ("bear-populations", {"k": 0.0}, "bear-populations: k must be above 0, got 0.0"),
        ("myriad-cart-pole", {"m_2": -0.3}, "myriad-cart-pole: m_2 must be above 0, got -0.3"),
        ("myriad-pendulum", {"length": 0.0}, "myriad-pendulum: length must be above 0, got 0.0"),
        ("rocket-landing", {"m": 0.0}, "rocket-landing: m must be above 0, got 0.0"),
        (
            "cancer-treatment",
            {"state_bounds": ((0.0, 1.0),)},
            "cancer-treatment: state_bounds must be above 0, got 0.0",
        ),
    ],
)
def test_constants_that_are_divided_by_or_have_a_logarithm(name, options, message):
    with pytest.raises(ValueError, match=message):
        envs.make(name, horizon=20, **options)


@dataclasses.dataclass
class Rough:
    """Constants of a system, of any type: those of a real one have theirs checked in tests."""

    m: Any = 0.2
    x_0: Any = (0.4,)
    duration: Any = 10.0
    state_bounds: Any = ((0.0, 1.0),)
    control_bounds: Any = ((0.0, 1.0),)
    name = "rough"
    state_names = control_names = ("entry",)
    positive = ("m",)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"m": "0.2"}, "rough: m must be a number, got '0.2'"),
        ({"m": True}, "rough: m must be a number, got True"),
        ({"m": [1.0, 2.0]}, r"rough: m must be a number, got \[1.0, 2.0\]"),
        ({"duration": None}, "rough: duration must be a number, got None"),
        ({"x_0": [0.4]}, r"rough: x_0 must be a tuple of numbers, got \[0.4\]"),
        ({"state_bounds": [0.0, 1.0]}, "rough: state_bounds must be a tuple of pairs, got"),
        ({"control_bounds": (0.0, 1.0)}, "rough: control_bounds must be a tuple of pairs, got"),
    ],
)
def test_constants_of_the_wrong_kind(options, message):
    with pytest.raises(TypeError, match=message):
        check_system(Rough(**options))


def test_constants_may_be_arrays_and_traced():
    check_system(Rough(m=np.float32(0.2), duration=3))

    def positive(m):
        check_system(Rough(m=m))
        return m

    assert jax.jit(positive)(-1.0) == -1.0
    with pytest.raises(ValueError, match=r"rough: m must be above 0, got -1\.0"):
        positive(jnp.asarray(-1.0))
