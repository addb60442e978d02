"""Keep the numbers in prose those of the CSV files that they come from.

A number in a page of Markdown stands between two comments, which readers do not see:

    <!-- figure: fig5a_horizons "{iqm:.3f} [{low:.3f}, {high:.3f}]" horizon=500 line=rnn-awm
    -->0.912 [0.826, 0.943]<!-- /figure -->

First the file: the `summary.csv` of an experiment by its folder, or a path from the root of the
checkout. Then a template, with `{column}` as the file has it and `{column:format}` as a number.
Then conditions that choose rows: `column=text`, `column<number`, `column>=number`. What several
rows give stands in a list, or in cells of a table if the comment begins with `cells` in the place
of `figure`; `{count}` is how many rows there are. The command writes the numbers of today, and a
test refuses a page whose numbers are others.
"""

import argparse
import re
import shlex
from collections.abc import Callable
from pathlib import Path

from beeline.storage.atomic import replacing
from experiments._results import load

ROOT = Path(__file__).parents[1]
PAGES = ("README.md", "docs/*.md", "experiments/*/README.md")

_FIGURE = re.compile(r"(<!-- (figure|cells): (.*?)\s*-->).*?(<!-- /figure -->)", re.DOTALL)
_BETWEEN = {"figure": ", ", "cells": " | "}
_COLUMN = re.compile(r"\{([^{}:]+):?([^{}]*)\}")
_CONDITION = re.compile(r"(.+?)(>=|<|=)(.*)")
_HOLDS: dict[str, Callable[[str, str], bool]] = {
    "=": lambda value, asked: value == asked,
    "<": lambda value, asked: value != "" and float(value) < float(asked),
    ">=": lambda value, asked: value != "" and float(value) >= float(asked),
}

Row = dict[str, str]


class ClaimError(ValueError):
    """A figure that no row of its file gives; the message says which in one line."""


def main() -> None:
    """Write today's numbers into the pages; mistakes end the process in one line."""
    parser = argparse.ArgumentParser(prog="python -m experiments.claims", description=__doc__)
    parser.parse_args()
    try:
        changed = {page: text for page, text in renewed().items() if text != _read(page)}
    except ClaimError as error:
        parser.exit(2, f"{parser.prog}: {error}\n")
    for page, text in changed.items():
        with replacing(page) as file:
            file.write(text.encode())
        print(f"{page.relative_to(ROOT)} has new numbers")
    print(f"{len(changed)} pages changed")


def renewed(root: Path = ROOT) -> dict[Path, str]:
    """Write the numbers of today into every page.

    Args:
        root: The root of the checkout.

    Returns:
        What each page should say.
    """
    pages = sorted(page for pattern in PAGES for page in root.glob(pattern))
    return {page: with_figures(_read(page), root) for page in pages}


def with_figures(text: str, root: Path = ROOT) -> str:
    """Write the numbers of today into a text.

    Args:
        text: A page.
        root: The root of the checkout, where the files are.

    Returns:
        The same with each figure as its file has it.
    """

    def renew(found: re.Match[str]) -> str:
        return f"{found[1]}{figure(found[3], root, _BETWEEN[found[2]])}{found[4]}"

    return _FIGURE.sub(renew, text)


def figure(claim: str, root: Path = ROOT, between: str = ", ") -> str:
    """Look a figure up.

    Args:
        claim: What stands in its first comment: the file, the template and the conditions.
        root: The root of the checkout.
        between: What stands between those of several rows.

    Returns:
        What belongs between the comments.

    Raises:
        ClaimError: If the file, the column or a row is not there.
    """
    name, template, *conditions = shlex.split(claim)
    file = root / (name if "/" in name else f"experiments/{name}/results/summary.csv")
    try:
        rows = [row for row in load(file) if all(_holds(row, one) for one in conditions)]
        said = [_filled(template, row | {"count": str(len(rows))}) for row in rows]
    except (OSError, KeyError, ValueError) as error:
        raise ClaimError(f"{claim}: {type(error).__name__}: {error}") from None
    if not rows:
        raise ClaimError(f"{claim}: no row of {file} is so")
    return said[0] if "{count" in template else between.join(said)


def _holds(row: Row, condition: str) -> bool:
    parts = _CONDITION.fullmatch(condition)
    if parts is None:
        raise ValueError(f"{condition!r} is no condition: give column=text or column<number")
    column, relation, asked = parts.groups()
    return _HOLDS[relation](row[column], asked)


def _filled(template: str, row: Row) -> str:
    # Not by `str.format`, for names of columns have dots in them.
    def value(found: re.Match[str]) -> str:
        text = row[found[1]]
        return format(float(text), found[2]) if found[2] else text

    return _COLUMN.sub(value, template)


def _read(page: Path) -> str:
    return page.read_text(encoding="utf-8")


if __name__ == "__main__":
    main()
