"""The command that plans in the world model of a run."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from beeline._choices import choose
from beeline.cli._commands import Plan
from beeline.cli._environments import handed_over
from beeline.cli._factories import own_of
from beeline.cli._messages import say, warnings_in_one_line
from beeline.cli._mistakes import CommandError, mistakes

if TYPE_CHECKING:
    from beeline.control import Constraints
    from beeline.run._planning import PlanReport

_SEARCHES = {
    "lbfgs": ("LBFGS", "along gradients, by projected L-BFGS"),
    "adam": ("Adam", "along gradients, by projected Adam"),
    "cem": ("CEM", "by trying plans: the cross-entropy method"),
    "mppi": ("MPPI", "by trying plans: path integrals"),
}
_FAR = 0.5
"""Distance of a start from those that a model knows, in standard deviations, to be warned of."""


def plan_in(command: Plan, constants: Mapping[str, str]) -> int:
    """Plan, print the plan and draw it.

    Args:
        command: What to plan.
        constants: Constants of the environment.

    Returns:
        The exit code.

    Raises:
        CommandError: If there is no such run or plan.
    """
    with mistakes():
        name, _ = choose("method", command.method, _SEARCHES)
        state = None if command.state is None else _numbers(command.state)
    from beeline import control, run
    from beeline.run._planning import PlanReport

    constraints = None if command.constraints is None else _constraints(command.constraints)

    env = handed_over(command.run, command.env, constants)
    out = command.run if command.out is None else command.out
    if not out.expanduser().is_dir() and command.out is not None:
        raise CommandError(f"there is no folder {out}: make it, or change --out")
    try:
        with warnings_in_one_line():
            loaded = run.load(command.run, env=env, **own_of(command))
            found = loaded.plan(
                state,
                command.horizon,
                first=command.first,
                seed=command.seed,
                search=getattr(control, name)(),
                starts=command.starts,
                constraints=constraints,
            )
    except run.RunError as error:
        raise CommandError(str(error)) from None
    report = PlanReport.of(loaded.env, found, command.first)
    files = report.write(out.expanduser())
    print(report.json() if command.json else _told(report, files))
    if not found.feasible:
        broken = ", ".join(f"{kind} by {value:.3g}" for kind, value in found.violations.items())
        say(f"no plan was found that keeps the constraints: this one breaks {broken}")
    return 0 if found.feasible else 1


def _constraints(named: str) -> "Constraints":
    from beeline.control import Constraints
    from beeline.envs._given import given_factory

    with mistakes():
        if ":" not in named:
            raise ValueError(f"constraints is {named!r}: give module:name of a Constraints")
        found = given_factory(named)
        if not isinstance(found, Constraints):
            kind = type(found).__name__
            raise TypeError(f"{named} is a {kind}: let it be a beeline.control.Constraints")
    return found


def _numbers(text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise ValueError(
            f"state is {text!r}: give numbers with commas between, such as --state 0.1,0.2"
        ) from None


def _told(report: "PlanReport", files: tuple[Path, ...]) -> str:
    rows, found = report.rows(), report.summary()
    # A field of many entries is in the files.
    shown = list(rows[0]) if len(rows[0]) <= 14 else ["step", "reward"]
    table = [shown, *([f"{row[name]:.6g}" for name in shown] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = [
        "  ".join(cell.rjust(width) for cell, width in zip(cells, widths, strict=True))
        for cells in table
    ]
    distance, real = found["distance"], found["real_rewards"]
    far = "" if distance <= _FAR else ": its plan may not hold there"
    lines += [
        "",
        f"start     {distance:.2g} standard deviations from the nearest that the model was fitted "
        f"on{far}",
        f"rewards   {found['predicted_rewards']:.6g} predicted"
        + ("" if real is None else f", {real:.6g} in the environment"),
    ]
    return "\n".join([*lines, *(f"plan      {file}" for file in files)])
