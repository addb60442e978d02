"""How a policy is to keep what its environment declares."""

from beeline.envs._constraints import Constraints
from beeline.training import PolicyImprovement
from beeline.training.pricing import Pricing


def pricing_of(improvement: PolicyImprovement) -> Pricing | None:
    """Set up how constraints are kept.

    Args:
        improvement: How the policy is improved.

    Returns:
        How their multipliers are raised; None where there are none.

    Raises:
        ValueError: If one is none, or is about whole episodes where windows are imagined.
    """
    env, windows = improvement.env, improvement.windows
    constraints = Constraints.of(env)
    if constraints is None:
        return None
    constraints.check(env.state_dim, env.action_dim, env.horizon)
    if constraints.of_episodes and windows is not None:
        kind = constraints.of_episodes[0]
        raise ValueError(
            f"the constraint {kind!r} of {env.name} is about whole episodes, but windows are "
            "imagined: take imagination = episodes, or let the state carry what was used and "
            "bound it at each step"
        )
    return Pricing(
        improvement.optimiser,
        improvement.batch_size,
        improvement,
        env_steps_per_update=improvement.env_steps_per_update,
    )
