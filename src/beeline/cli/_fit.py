"""The command `beeline fit`: a world model of logged data."""

import re
import time
from typing import TYPE_CHECKING

from beeline._choices import choose
from beeline.cli._commands import Fit
from beeline.cli._logged import read_logged
from beeline.cli._messages import warnings_in_one_line
from beeline.cli._mistakes import CommandError, mistakes
from beeline.config import MODELS

if TYPE_CHECKING:
    from beeline.data import Episodes
    from beeline.forecast import Fitted


def fit(command: Fit) -> int:
    """Fit a world model to logged data, print how wrong it is, and save it.

    Args:
        command: What to fit to what.

    Returns:
        The exit code, 0.

    Raises:
        CommandError: If the data, an option or the directory cannot be used.
    """
    with mistakes():
        choose("model", command.model, dict.fromkeys(MODELS.keys() - {"simulator"}))
    # Importing it imports JAX.
    from beeline import forecast
    from beeline.data import DataError
    from beeline.forecast._directory import claim
    from beeline.run._compiling import compile_cache, require_devices
    from beeline.run._errors import RunError
    from beeline.run.directory.layout import expand

    try:
        require_devices()
        data = expand(command.data)
        slug = re.sub(r"[^\w.-]", "-", data.stem)
        out = expand(command.out or f"fits/{slug}-{command.model}-seed{command.seed}")
        episodes = read_logged(command, data)
        claim(out, overwrite=command.overwrite)
        began = time.perf_counter()
        with warnings_in_one_line(), compile_cache():
            fitted = forecast.fit_episodes(
                episodes,
                command.model,
                window=command.window,
                ahead=command.ahead,
                held_out=command.held_out,
                share=command.believe,
                updates=command.updates,
                seed=command.seed,
            )
        files = forecast.save(fitted, out)
    except (DataError, RunError) as error:
        raise CommandError(str(error)) from None
    _print(command, episodes, fitted, time.perf_counter() - began)
    print(f"model     {out}")
    print(f"figure    {files[-1]}")
    return 0


def _print(command: Fit, episodes: "Episodes", fitted: "Fitted", seconds: float) -> None:
    from beeline.forecast._errors import rows_to_tell

    errors, held = fitted.errors, fitted.held
    ahead, believed = len(errors.model), fitted.forecaster.believed
    count = f"{len(episodes)} episode{'s' * (len(episodes) > 1)}"
    print(f"data      {count}, {episodes.steps} steps in all; held out: {held.what}")
    length = fitted.forecaster.config.windows.length
    print(
        f"fitted    {command.model} to windows of {length} steps, {command.updates} updates, "
        f"in {seconds:.1f} s\n"
    )
    print(errors.table(rows_to_tell(ahead)).text())
    print("\nHeld-out errors, root mean square, in standard deviations of each state.")
    much = f"an error of at most {fitted.share:g}"
    took = ""
    if episodes.dt is not None:
        unit = command.step or "step"
        took = f" ({believed * episodes.dt:g} in units of {unit})"
    if believed == ahead:
        print(f"believed  {believed} steps ahead{took} at least, the farthest measured: {much}")
    else:
        print(f"believed  {believed} steps ahead{took}: {much}")
    better = errors.beats_persistence()
    if better is None:
        print("          nowhere better than persistence")
    else:
        print(f"          better than persistence from step {better[0]} to {better[1]}")
