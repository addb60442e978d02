"""The tasks by the names that Gymnasium has for them.

Gymnasium looks for no plugins since version 1.0, and importing it takes longer than importing this
package: so it is told of the tasks as soon as both are imported, whichever comes first.
"""

import sys
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType
from typing import Any

from beeline.envs._registry import ENTRIES

PREFIX = "gymnasium:"
"""What the name of a simulator of Gymnasium's begins with here."""

_PACKAGE = "gymnasium"


def gymnasium_name(task: str) -> str:
    """Translate a task's name.

    Args:
        task: One of `beeline.envs.names()`.

    Returns:
        Its name in Gymnasium, such as "beeline/CancerTreatment-v0".
    """
    return f"beeline/{ENTRIES[task].class_name}-v0"


def register_tasks() -> None:
    """Tell Gymnasium of the tasks, now or once it is imported."""
    if _PACKAGE in sys.modules:
        _register()
    else:
        sys.meta_path.insert(0, _AfterImport())


class _AfterImport(MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Any, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        # Asked for the package, which may be no more than a question whether it is there.
        spec = PathFinder.find_spec(fullname, path) if fullname == _PACKAGE else None
        if spec is not None and spec.loader is not None:
            execute = spec.loader.exec_module

            def execute_and_register(module: ModuleType) -> None:
                sys.meta_path.remove(self)
                execute(module)
                _register()

            spec.loader.exec_module = execute_and_register
        return spec


def _register() -> None:
    from gymnasium.envs.registration import register, registry

    for task in ENTRIES:
        if gymnasium_name(task) not in registry:
            register(
                gymnasium_name(task),
                entry_point="beeline.envs.gymnasium:GymnasiumTask",
                kwargs={"task": task},
            )
