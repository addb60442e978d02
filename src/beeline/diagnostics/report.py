"""From measurements to tables, CSV files and figures."""

import math
import warnings
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from beeline._attempts import failure_of
from beeline._drawing import Figure
from beeline.diagnostics.diagnosis import TRUTH, Diagnosis
from beeline.diagnostics.figures import (
    alignment_figure,
    growth_figure,
    landscape_figure,
    path_figure,
    save_figure,
)
from beeline.diagnostics.growth import GrowthFit, LineFit, geometric_mean
from beeline.diagnostics.landscape import compare_landscapes
from beeline.diagnostics.tables import Table

_QUANTITIES = {
    "first-action": "||∂s_H / ∂a_1|| [state units per unit of action]",
    "policy-gradient": "norm of the policy gradient [return per unit of weight]",
}


class Report(NamedTuple):
    """What was measured, and where it was written."""

    diagnosis: Diagnosis
    tables: Mapping[str, Table]
    files: tuple[Path, ...]


def write(diagnosis: Diagnosis, out: Path) -> Report:
    """Write every table as CSV, every figure, and a summary in Markdown.

    Args:
        diagnosis: What was measured.
        out: The directory; made if there is none.

    Returns:
        The tables and the files.
    """
    out.mkdir(parents=True, exist_ok=True)
    tables = _tables(diagnosis)
    files = []
    for name, table in tables.items():
        files.append(out / f"{name.replace('-', '_')}.csv")
        table.save(files[-1])
    summary = out / "report.md"
    shown = {name: table for name, table in tables.items() if name in _SUMMARISED}
    text = "\n\n".join(f"## {_SUMMARISED[name]}\n\n{table.text()}" for name, table in shown.items())
    summary.write_text(f"# Gradient diagnostics\n\n{text}\n", encoding="utf-8")
    # Figures come last: drawing may fail where writing numbers does not.
    for name, figure in _figures(diagnosis).items():
        file = out / f"{name.replace('-', '_')}.png"
        failure = failure_of(partial(_draw, figure, file))
        if failure is None:
            files.append(file)
        else:
            warnings.warn(f"{file} is not drawn ({failure})", stacklevel=2)
    return Report(diagnosis, tables, (*files, summary))


_SUMMARISED = {
    "growth": "Gradient norms by horizon",
    "growth-laws": "Fitted growth laws",
    "path-shares": "Direct and circuitous influence of actions on the last state",
    "alignment": "Policy gradients against the true ones",
    "landscapes": "Return landscapes against the true ones",
}


def _tables(diagnosis: Diagnosis) -> dict[str, Table]:
    rows: dict[str, list[dict[str, Any]]] = {
        "growth": _growth_rows(diagnosis),
        "growth-laws": _law_rows(diagnosis),
        "path-shares": _share_rows(diagnosis),
        "paths": _path_rows(diagnosis),
        "alignment": _alignment_rows(diagnosis),
        "landscapes": _landscape_rows(diagnosis),
        "landscape-points": _point_rows(diagnosis),
    }
    return {name: Table.of(entries) for name, entries in rows.items() if entries}


def _growth_rows(diagnosis: Diagnosis) -> list[dict[str, Any]]:
    curves = _curves(diagnosis)
    return [
        {"quantity": quantity, "model": name, "horizon": horizon, **_spread(norms)}
        for quantity, by_model in curves.items()
        for name, by_horizon in by_model.items()
        for horizon, norms in by_horizon.items()
    ]


def _spread(norms: np.ndarray) -> dict[str, Any]:
    values = np.asarray(norms, dtype=float)
    good = values[np.isfinite(values) & (values > 0)]
    low, high = np.percentile(good, (10, 90)) if good.size else (np.nan, np.nan)
    return {
        "samples": values.size,
        "left_out": values.size - good.size,
        "mean": float(values.mean()),
        # Infinite norms have no spread.
        "deviation": float(values.std()) if np.isfinite(values).all() else math.nan,
        "geometric_mean": float(np.exp(np.log(good).mean())) if good.size else 0.0,
        "percentile_10": float(low),
        "percentile_90": float(high),
    }


def _law_rows(diagnosis: Diagnosis) -> list[dict[str, Any]]:
    curves = _curves(diagnosis)
    return [
        {"quantity": quantity, "model": name, "mean": average, **_law(fits.get(name))}
        for average, mean in (("geometric", geometric_mean), ("arithmetic", np.mean))
        for quantity, fits in diagnosis.fits_to(mean).items()
        for name in curves[quantity]
        if fits
    ]


def _law(fit: GrowthFit | None) -> dict[str, Any]:
    # A model whose gradient vanished at most horizons is listed too: that is a finding.
    line = LineFit(math.nan, math.nan, math.nan, math.nan, math.nan)
    exponential, polynomial = (line, line) if fit is None else (fit.exponential, fit.polynomial)
    return {
        "law": "none: norms at fewer than four horizons" if fit is None else fit.law,
        "aic_margin": math.nan if fit is None else fit.margin,
        "rate_per_step": exponential.slope,
        "rate_low": exponential.low,
        "rate_high": exponential.high,
        "degree": polynomial.slope,
        "degree_low": polynomial.low,
        "degree_high": polynomial.high,
        "confidence": math.nan if fit is None else fit.confidence,
    }


def _curves(diagnosis: Diagnosis) -> dict[str, Mapping[str, Mapping[int, np.ndarray]]]:
    return {
        "first-action": diagnosis.first_action_norms,
        "policy-gradient": diagnosis.policy_gradient_norms,
    }


def _share_rows(diagnosis: Diagnosis) -> list[dict[str, Any]]:
    rows = []
    for name, paths in diagnosis.maps.items():
        last = {part: float(np.sum(values[-1])) for part, values in paths._asdict().items()}
        rows.append({"model": name, "horizon": diagnosis.map_horizon, **last})
    return rows


def _path_rows(diagnosis: Diagnosis) -> list[dict[str, Any]]:
    return [
        {"model": name, "t": t, "k": k}
        | {part: float(values[t, k]) for part, values in paths._asdict().items()}
        for name, paths in diagnosis.maps.items()
        for t in range(len(paths.total))
        for k in range(t + 1)
    ]


def _alignment_rows(diagnosis: Diagnosis) -> list[dict[str, Any]]:
    return [
        {
            "model": name,
            "horizon": horizon,
            "cosine": float(alignment.cosine),
            "standard_error": float(alignment.deviation),
            "norm_ratio": float(alignment.norm_ratio),
            "mean_sample_cosine": float(jnp.mean(alignment.sample_cosines)),
            "deviation_sample_cosine": float(jnp.std(alignment.sample_cosines)),
        }
        for name, by_horizon in diagnosis.alignments.items()
        for horizon, alignment in by_horizon.items()
    ]


def _landscape_rows(diagnosis: Diagnosis) -> list[dict[str, Any]]:
    return [
        {"along": landscape.along, "model": name, "horizon": diagnosis.landscape_horizon}
        | compare_landscapes(returns, landscape.returns[TRUTH])._asdict()
        for landscape in diagnosis.landscapes
        for name, returns in landscape.returns.items()
    ]


def _point_rows(diagnosis: Diagnosis) -> list[dict[str, Any]]:
    return [
        {"along": landscape.along, "model": name, "at": float(at), "return": float(value)}
        for landscape in diagnosis.landscapes
        for name, returns in landscape.returns.items()
        for at, value in zip(landscape.at, returns, strict=True)
    ]


def _draw(figure: Callable[[], Figure], file: Path) -> None:
    file.unlink(missing_ok=True)
    save_figure(figure(), file)


def _figures(diagnosis: Diagnosis) -> dict[str, Callable[[], Figure]]:
    curves = _curves(diagnosis)
    figures: dict[str, Callable[[], Figure]] = {
        f"growth-{name}": partial(growth_figure, curves[name], fits, _QUANTITIES[name])
        for name, fits in diagnosis.fits.items()
    }
    figures["paths"] = partial(path_figure, diagnosis.maps)
    if diagnosis.alignments:
        figures["alignment"] = partial(alignment_figure, diagnosis.alignments)
    for name, landscape in zip(("first-action", "policy"), diagnosis.landscapes, strict=True):
        models = {n: r for n, r in landscape.returns.items() if n != TRUTH}
        figures[f"landscape-{name}"] = partial(
            landscape_figure, landscape.at, landscape.returns[TRUTH], models, landscape.along
        )
    return figures
