"""What an environment breaks of its contract, as data and as text."""

from dataclasses import dataclass
from typing import final


@final
@dataclass(frozen=True)
class Violation:
    """One broken rule."""

    rule: str
    """Which rule, in a word or two."""
    what: str
    """What was found, and what is asked."""
    given: str = ""
    """The input that shows it; empty for what needs none."""

    def __str__(self) -> str:
        """Put it in one line.

        Returns:
            The rule, what was found, and the input.
        """
        return f"{self.rule}: {self.what}" + (f"; given {self.given}" if self.given else "")


@final
@dataclass(frozen=True)
class CheckReport:
    """What `check` found."""

    name: str
    """The environment."""
    violations: tuple[Violation, ...]
    """Every broken rule, each with one input that shows it."""

    @property
    def ok(self) -> bool:
        """Whether every rule holds, as far as was looked.

        Returns:
            True if there is no violation.
        """
        return not self.violations

    def __str__(self) -> str:
        """Put it in lines.

        Returns:
            A line for the environment and one for each violation.
        """
        count = len(self.violations)
        head = "keeps the contract" if self.ok else f"breaks the contract in {count} way(s)"
        return "\n".join([f"{self.name} {head}", *(f"  {one}" for one in self.violations)])


class ContractError(ValueError):
    """An environment that breaks its contract; the message is the report."""
