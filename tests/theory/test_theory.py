"""The paper's statements: each holds where its hypotheses do, and each check notices a break."""

import functools

import jax
import numpy as np
import pytest

from beeline.diagnostics import fit_growth, probe
from beeline.sequence import RNN
from beeline.theory import Check, Claim, bounds, check_corollary_21, statements
from beeline.theory.instances import Affine, BareCore, EqualSlopes

HORIZON = 12


@functools.cache
def run(statement, at=HORIZON):
    with jax.enable_x64(True):
        return getattr(statements, statement)(at, key=jax.random.key(0))


HOLDS = {
    "theorem_1": [
        "equal slopes",
        "random history",
        "random history, summed",
        "random history, influence",
        "random history, summed, influence",
        "last step only, influence",
    ],
    "theorem_2": ["transformer"],
    "corollary_21": ["tanh", "tanh, influence", "one dimension"],
    "corollary_22": [
        "random",
        "random, influence",
        "random as stated",
        "even weights",
        "steep scores, influence",
    ],
}
FAILS = {
    "theorem_1": ["slope exceeded", "slope exceeded, influence", "rate as stated, influence"],
    "theorem_2": ["states fed back", "no stop-gradient"],
    "corollary_21": ["slope exceeded", "slope exceeded, influence", "unbounded slope, influence"],
    "corollary_22": ["actions unbounded, influence", "steep scores as stated, influence"],
}
MET = {
    "theorem_1": ["equal slopes", "equal slopes, influence", "last step only, influence"],
    "corollary_21": ["one dimension", "one dimension, influence"],
    "corollary_22": ["even weights", "even weights, influence"],
}


def each(table):
    return [(name, label) for name, labels in table.items() for label in labels]


@pytest.mark.parametrize(("statement", "label"), each(HOLDS))
def test_bound_holds_where_its_hypotheses_do(statement, label):
    check = run(statement)[label]
    assert check.holds
    assert not check.broken
    assert (check.measured > 0).all()


@pytest.mark.parametrize(("statement", "label"), each(FAILS))
def test_check_notices_a_broken_hypothesis(statement, label):
    check = run(statement)[label]
    assert not check.holds
    assert check.tightness > 1.2


@pytest.mark.parametrize(("statement", "label"), each(MET))
def test_bound_is_met_with_equality_at_every_horizon(statement, label):
    check = run(statement)[label]
    np.testing.assert_allclose(check.measured, check.bound, rtol=1e-10)


def test_exceeded_constants_are_named():
    assert run("theorem_1")["slope exceeded"].broken == ("L_s",)
    assert run("corollary_22")["actions unbounded"].broken == ("alpha",)


def test_growth_in_the_worst_history_model_has_base_one_plus_the_slope():
    check = run("theorem_1")["equal slopes, influence"]
    fit = fit_growth({int(gap): [norm] for gap, norm in zip(check.at, check.measured, strict=True)})
    assert fit.law == "exponential"
    # The paper's base is the slope itself, 0.5, under which this would vanish.
    assert np.exp(fit.exponential.slope) == pytest.approx(1.5, rel=1e-9)


def test_growth_in_the_attention_layer_is_linear_where_the_paper_says_cubic():
    checks = run("corollary_22")
    linear, cubic = checks["even weights"], checks["even weights as stated"]
    np.testing.assert_allclose(linear.measured, linear.at - 1, rtol=1e-10)
    late = np.log(cubic.bound[-1] / cubic.bound[-2]) / np.log(cubic.at[-1] / cubic.at[-2])
    assert 2.5 < late < 3.5


@pytest.mark.slow
def test_proposition_1():
    checks = run("proposition_1", (2, 3, 20, 100))
    for label in ("unrolled", "direct"):
        assert checks[label].holds
    for label in ("another cell", "no stop-gradient"):
        assert checks[label].measured.min() > 1e-3


def test_remark_1():
    checks = run("remark_1", (1, 6))
    assert checks["forced"].holds
    # One step from the true state is forced either way.
    assert checks["free"].measured[0] < 1e-12
    assert checks["free"].measured[1] > 0.1


@pytest.mark.usefixtures("float64")
def test_a_step_of_the_paper_s_proofs_is_wrong_and_its_conclusion_is_not():
    # The proofs pull L_r out of a sum of vectors before they take norms of its terms. Here
    # ds_2/da_1 = 1 and ds_3/da_1 + ds_3/da_2 = -2 + 1 cancel, but the rewards' signs undo it.
    def reward(state, action, t):
        return jax.numpy.where(t == 1, 1.0, -1.0) * state[0]

    model = EqualSlopes(1.0, -2.0, memory=False)
    start, nothing = jax.numpy.zeros(1), jax.numpy.zeros((3, 1))
    measured = probe(Affine(jax.numpy.ones(1)), model, reward, start, nothing)
    gradient = float(measured.gradients[-1])
    signed = np.array([1.0, -2.0 + 1.0])
    assert gradient == pytest.approx(2)
    assert gradient > abs(signed.sum())
    sums = np.asarray(measured.influence).sum(axis=1)
    assert gradient <= bounds.gradient_bound(sums, 1.0, 1.0)[-1]


def test_checks_of_numbers_that_are_not_finite_fail():
    check = Check("", np.ones(1), np.array([np.nan]), np.ones(1), {"x": Claim(1.0, np.nan)})
    assert not check.holds
    assert check.broken == ("x",)


def test_corollary_21_is_about_one_layer():
    core = RNN(2, (3, 3), key=jax.random.key(0))
    start, nothing = jax.numpy.zeros(2), jax.numpy.zeros((2, 2))
    measured = probe(Affine(start), BareCore(core), statements.linear_reward, start, nothing)
    with pytest.raises(ValueError, match="the core has 2 layers"):
        check_corollary_21(measured, core, activation_slope=1.0)
