"""Measure everything that theory.md says, print it, and draw its figures.

Run from the root of the repository: `python docs/make_theory_figures.py`.
"""

from pathlib import Path

import jax

from beeline.diagnostics import Table, fit_growth, save_figure
from beeline.theory import Check, Panel, check_figure, statements

FIGURES = Path(__file__).parent / "figures"
HORIZON = 40
HORIZONS = (2, 3, 5, 10, 20, 40)
STEPS, GAP, READ = "horizon H [steps]", "gap t - k [steps]", "actions read, t - 1"
Checks = dict[str, Check]


def main() -> None:
    """Measure, print and draw."""
    with jax.enable_x64(True):
        key = jax.random.key(0)
        checks = {
            "Theorem 1": statements.theorem_1(HORIZON, key=key),
            "Proposition 1": statements.proposition_1(HORIZONS, key=key),
            "Theorem 2": statements.theorem_2(HORIZON, key=key),
            "Corollary 2.1": statements.corollary_21(HORIZON, key=key),
            "Corollary 2.2": statements.corollary_22(HORIZON, key=key),
            "Remark 1": statements.remark_1(HORIZONS[:-1], key=key),
        }
    table = Table.of(
        [
            {
                "statement": statement,
                "instance": label,
                "holds": check.holds,
                "largest measured / promised": check.tightness,
                "last measured": float(check.measured[-1]),
                "last promised": float(check.bound[-1]),
                "constants exceeded": " ".join(check.broken) or "none",
                "growth": _growth(check) if len(check.at) > len(HORIZONS) else "",
            }
            for statement, by_label in checks.items()
            for label, check in by_label.items()
        ]
    )
    print(table.text())
    table.save(FIGURES / "theory_checks.csv")
    _draw_histories(checks["Theorem 1"])
    _draw_actions(checks["Theorem 2"])
    _draw_recurrence(checks["Corollary 2.1"])
    _draw_attention(checks["Corollary 2.2"])
    _draw_equalities(checks["Proposition 1"], checks["Remark 1"])


def _growth(check: Check) -> str:
    measured = {int(at): [norm] for at, norm in zip(check.at, check.measured, strict=True)}
    return fit_growth(measured).describe()


def _draw_histories(checks: Checks) -> None:
    holding = {
        "every past state counts the same": checks["equal slopes, influence"],
        "random attention over the history": checks["random history, influence"],
        "only the last step counts": checks["last step only, influence"],
    }
    wrong = {
        "L_a + L_s^(t-k), as stated": checks["rate as stated, influence"],
        "L_s claimed at 0.6 of its size": checks["slope exceeded, influence"],
    }
    panels = [
        Panel("where the hypotheses hold", GAP, holding),
        Panel("every past state counts the same", GAP, wrong),
    ]
    _save("theory_theorem_1", panels, "||ds_t / da_k||")


def _draw_actions(checks: Checks) -> None:
    titles = {
        "transformer": "transformer on actions",
        "states fed back": "Markov model, direct paths only",
        "no stop-gradient": "gradient through the policy's input",
    }
    panels = [Panel(text, STEPS, {"Theorem 2": checks[label]}) for label, text in titles.items()]
    _save("theory_theorem_2", panels)


def _draw_recurrence(checks: Checks) -> None:
    holding = {
        "one dimension, linear": checks["one dimension"],
        "tanh, ||W_x|| = 1.2": checks["tanh"],
    }
    steeper = {
        "one dimension, slope 1 claimed as 0.8": checks["slope exceeded, influence"],
        "sin(x²), slope claimed as 1": checks["unbounded slope, influence"],
    }
    panels = [
        Panel("where the hypotheses hold: policy gradient", STEPS, holding),
        Panel("steeper activations: ||ds_t / da_k||", GAP, steeper),
    ]
    _save("theory_corollary_21", panels)


def _draw_attention(checks: Checks) -> None:
    titles = {
        "even weights{}": ("even weights: policy gradient", STEPS),
        "steep scores{}, influence": ("steep scores: sum of ||ds_t / da_k||", READ),
        "actions unbounded{}, influence": (
            "actions beyond their bound: sum of ||ds_t / da_k||",
            READ,
        ),
    }
    panels = [
        Panel(
            title,
            along,
            {
                "cubic, as stated": checks[label.format(" as stated")],
                "linear, from the complete derivative": checks[label.format("")],
            },
        )
        for label, (title, along) in titles.items()
    ]
    _save("theory_corollary_22", panels)


def _draw_equalities(proposition: Checks, remark: Checks) -> None:
    panels = [
        Panel("Proposition 1", STEPS, proposition),
        Panel("Remark 1", "length of the episodes [steps]", remark),
    ]
    _save("theory_equalities", panels, "relative difference of the gradients")


def _save(name: str, panels: list[Panel], quantity: str = "norm") -> None:
    save_figure(check_figure(panels, quantity), FIGURES / f"{name}.png")


if __name__ == "__main__":
    main()
