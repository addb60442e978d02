"""What baselines share: a policy, and whatever else they learn on."""

from collections.abc import Collection, Iterator
from typing import Any, NamedTuple

import numpy as np
from typing_extensions import override

from beeline.config import Config
from beeline.envs import Environment
from beeline.training.algorithm import Algorithm, Fault
from beeline.training.faults import inexact_leaves, leaf_names
from beeline.training.record import MEASURED_IN


class BaselineState(NamedTuple):
    """Everything that a run needs to continue; every array has a leading axis of seeds."""

    policy: Any
    """What there is to use of it."""
    learner: Any
    """What it takes beside the policy to learn on; None in runs of before that was kept."""

    @property
    def model(self) -> None:
        """A baseline has no world model.

        Returns:
            None.
        """
        return None


class Baseline(Algorithm):
    """Learns without a world model."""

    def __init__(self, config: Config, env: Environment, evaluation_episodes: int = 1) -> None:
        """Set it up; nothing is computed yet.

        Args:
            config: The run.
            env: Its environment.
            evaluation_episodes: Episodes that a policy is measured in.
        """
        self.config = config
        self.env, self.evaluation_episodes = env, evaluation_episodes
        self.iterations = config.iterations

    def __reduce__(self) -> tuple[Any, tuple[Config, Environment, int]]:
        # Compiled programs and live learners stay behind: a copy prepares its own.
        return type(self), (self.config, self.env, self.evaluation_episodes)

    @override
    def saved_skeleton(self, names: Collection[str]) -> BaselineState:
        # Once, what there is to use of a baseline was all that was kept.
        whole = any(name.startswith("learner.") for name in names)
        return self.skeleton() if whole else self.skeleton()._replace(learner=None)

    @override
    def can_go_on(self, state: BaselineState) -> bool:
        return state.learner is not None

    @override
    def faults(self, record: Any, found: Any, state: BaselineState) -> Iterator[Fault]:
        arrays = dict(zip(leaf_names(state), inexact_leaves(state), strict=True))
        for seed in range(len(record.return_)):
            for name, values in (record._asdict() | arrays).items():
                counted = name not in MEASURED_IN or getattr(record, MEASURED_IN[name])[seed] > 0
                if counted and not np.isfinite(values[seed]).all():
                    yield Fault(name.rstrip("_"), seed)
                    break
