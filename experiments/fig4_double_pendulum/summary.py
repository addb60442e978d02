"""What gradient ascent reached, in means and intervals."""

from typing import Any

import numpy as np

from experiments._results import mean


def ascent_summary(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Average the true return at the end of the ascents.

    Args:
        rows: One an ascent.

    Returns:
        A row a model and rate, with the interval over starts and seeds.
    """
    summary = []
    for name, rate in dict.fromkeys((row["model"], row["rate"]) for row in rows):
        mine = [row for row in rows if (row["model"], row["rate"]) == (name, rate)]
        ends = np.array([row["true_return_at_end"] for row in mine])
        reached = mean(ends)
        summary.append(
            {
                "model": name,
                "rate": rate,
                "ascents": len(mine),
                "true_return_at_start": float(
                    np.mean([row["true_return_at_start"] for row in mine])
                ),
                "true_return_at_end": reached.value,
                "low": reached.low,
                "high": reached.high,
                "median": float(np.median(ends)),
                "share_above_minus_1": float(np.mean(ends > -1)),
            }
        )
    return summary
