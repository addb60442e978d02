"""Returns as the command line tells them."""

from typing import Any


def print_returns(result: dict[str, Any], kind: str) -> None:
    """Print the returns of a run's policies, and what they are compared with.

    Args:
        result: Seeds, returns and their scale, as `beeline evaluate --json` prints them.
        kind: What they are compared with, `optimum` or `reference`.
    """
    best = result["optimal_return"]
    known = "" if best is None else f"{kind:<9} {best:.6g}, "
    random = result["random_return"]
    if known or random is not None:
        print(known + ("" if random is None else f"random {random:.6g}"))
    for seed, return_, normalized in zip(
        result["seeds"], result["return"], result["normalized_return"], strict=True
    ):
        if return_ is None:
            print(f"seed {seed:<4} return not finite")
        else:
            share = "" if normalized is None else f", {normalized:.2%} of the way to the {kind}"
            print(f"seed {seed:<4} return {return_:.6g}{share}")
    for seed, error, worst in zip(
        result["seeds"], result.get("standard_error", ()), result.get("worst", ()), strict=False
    ):
        if error is not None and worst is not None:
            print(
                f"seed {seed:<4} mean of {result['episodes']} episodes, "
                f"standard error {error:.2g}, worst {worst:.6g}"
            )
    _print_violations(result)
    if "episodes" in result and "simulator_steps" in result:
        print(f"simulator {result['simulator_steps']} steps for each seed")


def _print_violations(result: dict[str, Any]) -> None:
    for position, seed in enumerate(result["seeds"] if "violation" in result else ()):
        violation, steps = result["violation"][position], result.get("violated_steps")
        if violation is None:
            continue
        told = "keeps the constraints"
        if violation > 0:
            share = "" if steps is None else f", in {steps[position]:.2%} of the steps"
            told = f"breaks the constraints by {violation:.3g} at most{share}"
        print(f"seed {seed:<4} {told}")


def print_simulator(summary: dict[str, Any]) -> None:
    """Print what a simulator was asked for.

    Args:
        summary: That of the run.
    """
    learned, measured = summary["simulator_steps"], summary["simulator_evaluation_steps"]
    print(f"simulator {sum(learned)} steps to learn from, {sum(measured)} to measure policies")
    failures = max(summary["simulator_failures"])
    if failures:
        print(f"simulator went wrong {failures} times; those episodes are counted and not kept")
