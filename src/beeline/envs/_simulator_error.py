"""What goes wrong with a simulator, in one line."""


class SimulatorError(RuntimeError):
    """A simulator that cannot be used, or went wrong; the message says how in one line."""
