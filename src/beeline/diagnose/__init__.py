"""What `beeline diagnose` does: tasks and runs by name, above the diagnostics of any model."""

from beeline.diagnose._diagnose import diagnose
from beeline.diagnose._subjects import Trained

__all__ = ["Trained", "diagnose"]
