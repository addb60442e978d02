"""What can go wrong with a run, in one line each."""


class RunError(ValueError):
    """A run directory that cannot be used as asked; the message says why and what to do."""


class DivergedError(ArithmeticError):
    """Training met a number that is not finite.

    Attributes:
        quantity: The first such quantity.
        seed: The seed in which it appeared.
        iteration: The iteration in which it appeared, counted from 1.
    """

    def __init__(self, quantity: str, seed: int, iteration: int, kept: str = "") -> None:
        super().__init__(
            f"{quantity} of seed {seed} is not finite in iteration {iteration}: "
            f"try lower learning rates{kept}"
        )
        self.quantity = quantity
        self.seed = seed
        self.iteration = iteration


class Interrupted(KeyboardInterrupt):
    """The user stopped the training; the message says how far it got and what is kept."""
