"""A configuration for a simulator that is stepped on the host."""

import dataclasses

from beeline.config import BASELINES, Config
from beeline.envs._simulator import Simulator


def hosted(config: Config, env: Simulator) -> Config:
    """Let what nothing tells of a simulator be learned.

    Args:
        config: The run.
        env: The simulator.

    Returns:
        The run, its reward and its termination learned where they are not known.

    Raises:
        ValueError: If the model asks for an environment that programs can be traced through.
    """
    if config.model in BASELINES or config.model == "simulator":
        raise ValueError(
            f"the model {config.model!r} runs inside the environment, but {env.name} is stepped on "
            "the host: choose a world model that is learned, such as markov"
        )
    learned = {name: found for name, found in env.learned.items() if found == "learned"}
    return dataclasses.replace(config, **learned)
