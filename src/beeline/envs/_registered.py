"""Tasks by name: the library's own, those that were registered, and those of installed packages.

Nothing here imports JAX, and what a name stands for is imported when it is made.
"""

import importlib
import importlib.metadata
import inspect
import pkgutil
import re
from collections.abc import Callable
from importlib.metadata import EntryPoint
from typing import Any, NamedTuple

from beeline._choices import choose, nearest
from beeline.envs._registry import ENTRIES, check_least_horizon

GROUP = "beeline.envs"
"""The entry points by which an installed package names its tasks."""

_NAME = re.compile(r"[A-Za-z0-9][\w.-]*")
_PATH = re.compile(r"[\w.]+:\w+")


class _Registered(NamedTuple):
    factory: Callable[..., Any] | str
    description: str
    least_horizon: int


_REGISTERED: dict[str, _Registered] = {}


def register(
    name: str,
    factory: Callable[..., Any] | str,
    *,
    description: str = "",
    least_horizon: int = 2,
) -> None:
    """Make a name for an environment of one's own, for as long as the process lasts.

    Python, the command line and configurations know it from then on. What is registered again
    replaces itself, so that a cell of a notebook can run twice.

    Args:
        name: The name, of letters, digits, ".", "_" and "-".
        factory: A class or function that takes `horizon=`, and its constants as further keywords;
            or `module:Name` of one, which is imported when it is first made.
        description: One line for lists of tasks; left out, the first line of the docstring.
        least_horizon: The fewest steps in an episode that it takes, at least 2.

    Raises:
        TypeError: If the factory is none, or the least horizon is not an integer.
        ValueError: If the name cannot be one or is taken, or the least horizon is below 2.
    """
    if not _NAME.fullmatch(name):
        raise ValueError(
            f"{name!r} cannot name a task: give letters, digits, '.', '_' and '-', such as "
            "'my-tank'"
        )
    if not (_PATH.fullmatch(factory) if isinstance(factory, str) else callable(factory)):
        raise TypeError(
            f"{factory!r} makes no environment: give a class or function that takes horizon=, or "
            "module:Name of one"
        )
    if not isinstance(least_horizon, int) or isinstance(least_horizon, bool):
        raise TypeError(f"least_horizon is {least_horizon!r}: give an integer of at least 2")
    if least_horizon < 2:
        raise ValueError(f"least_horizon is {least_horizon}: give an integer of at least 2")
    if name in ENTRIES:
        raise ValueError(f"{name!r} is a task of the library: register yours under another name")
    taken = [_REGISTERED[name].factory] if name in _REGISTERED else []
    taken += [entry.value for entry in _installed().get(name, {}).values()]
    for other in taken:
        if not _same(factory, other):
            raise ValueError(
                f"{name!r} is the name of {_path(other)} already: register {_path(factory)} under "
                "another name"
            )
    _REGISTERED[name] = _Registered(factory, description or _description(factory), least_horizon)


def names() -> tuple[str, ...]:
    """List the tasks that `make` knows.

    Returns:
        Their names, sorted: the library's own, those that were registered, and those of installed
        packages.
    """
    return tuple(descriptions())


def descriptions() -> dict[str, str]:
    """Say in one line each what the tasks are.

    Returns:
        A description by task name, sorted by name.
    """
    found = {
        name: f"Of the installed package {' and of '.join(entries)}."
        for name, entries in _installed().items()
    }
    found |= {name: one.description for name, one in _REGISTERED.items()}
    found |= {name: entry.description for name, entry in ENTRIES.items()}
    return dict(sorted(found.items()))


def check_task(name: str, horizon: int) -> None:
    """Refuse a task that is not there, or a horizon with which it means nothing, without making it.

    Args:
        name: The name.
        horizon: The number of steps in an episode.

    Raises:
        ValueError: If there is no such task, or the horizon is below its least.
    """
    if name in ENTRIES:
        check_least_horizon(name, horizon)
    elif name in _REGISTERED:
        check_registered(name, horizon)
    else:
        choose("task", name, dict.fromkeys(names()))


def check_registered(name: str, horizon: int) -> None:
    """Refuse a horizon that is below what was registered; of other names, nothing is known.

    Args:
        name: Any name.
        horizon: The number of steps in an episode.

    Raises:
        ValueError: If it is below the least.
    """
    least = _REGISTERED[name].least_horizon if name in _REGISTERED else 2
    if horizon < least:
        raise ValueError(f"horizon is {horizon}, but {name} takes at least {least}")


def factory_of(name: str) -> Any:
    """Find what makes a task.

    What is imported is what the library, a caller of `register` or an installed package named,
    never what the name spells: it may come from somebody else's file.

    Args:
        name: One of `names()`.

    Returns:
        A class or function, or an environment.

    Raises:
        ValueError: If there is no such task, or what it stands for cannot be imported.
    """
    choose("task", name, dict.fromkeys(names()))
    if name in ENTRIES:
        return imported(f"{ENTRIES[name].module}:{ENTRIES[name].class_name}")
    if name in _REGISTERED:
        factory = _REGISTERED[name].factory
        return imported(factory) if isinstance(factory, str) else factory
    packages = _installed()[name]
    if len(packages) > 1:
        paths = " or ".join(entry.value for entry in packages.values())
        raise ValueError(
            f"{name!r} is a task of the installed packages {' and '.join(packages)}: give {paths}"
        )
    ((package, entry),) = packages.items()
    try:
        return imported(entry.value)
    except ValueError as error:
        raise ValueError(
            f"the task {name!r} of the installed package {package} is broken: {error}"
        ) from error


def imported(path: str, *, folder: str | None = None) -> Any:
    """Import what `module:Name` spells.

    Args:
        path: The text.
        folder: Where else the module was expected, for the error.

    Returns:
        What the module calls so.

    Raises:
        ValueError: If there is no such module or name, or the module fails.
    """
    if not _PATH.fullmatch(path):
        raise ValueError(f"{path!r} names no environment: give module:Name, such as my_tasks:Tank")
    module_name, _, name = path.partition(":")
    try:
        module = importlib.import_module(module_name)
    except Exception as error:
        raise ValueError(_why_not(module_name, error, folder)) from error
    if hasattr(module, name):
        return getattr(module, name)
    public = {key: None for key in dir(module) if not key.startswith("_")}
    return choose(f"name in {module_name}", name, public)


def _why_not(module: str, error: Exception, folder: str | None) -> str:
    missing = error.name if isinstance(error, ModuleNotFoundError) else None
    if missing is None or not f"{module}.".startswith(f"{missing}."):
        kind = "" if isinstance(error, ModuleNotFoundError) else f"{type(error).__name__}: "
        return f"{module} cannot be imported: {kind}{error}"
    beside = [] if folder is None else [found.name for found in pkgutil.iter_modules([folder])]
    near = nearest(missing, beside)
    hint = f": did you mean {near!r}?" if near else ""
    where = "among" if folder is None else f"in {folder} or among"
    return f"there is no module {missing!r} {where} what is installed{hint}"


def _installed() -> dict[str, dict[str, EntryPoint]]:
    # By task and package. Of a package that is there twice, the first is the one that is imported.
    found: dict[str, dict[str, EntryPoint]] = {}
    for distribution in importlib.metadata.distributions():
        try:
            entries = distribution.entry_points.select(group=GROUP)
            package = distribution.name if entries else ""
        except Exception:
            # What one package writes down wrongly is no reason to have none of the others.
            continue
        for entry in entries:
            if _NAME.fullmatch(entry.name) and entry.name not in ENTRIES:
                found.setdefault(entry.name, {}).setdefault(package, entry)
    return found


def _same(one: Any, other: Any) -> bool:
    # A class that was defined anew, by running its cell or loading its module again, is the same.
    return one is other or ("<" not in _path(one) and _path(one) == _path(other))


def _path(factory: Any) -> str:
    if isinstance(factory, str):
        return factory
    name = getattr(factory, "__qualname__", repr(factory))
    return f"{getattr(factory, '__module__', '')}:{name}"


def _description(factory: Any) -> str:
    documented = inspect.isclass(factory) or inspect.isfunction(factory)
    line = (factory.__doc__ or "").strip().partition("\n")[0] if documented else ""
    # A dataclass without a docstring has its signature as one.
    return line if line and not line.startswith(f"{factory.__name__}(") else f"{_path(factory)}."
