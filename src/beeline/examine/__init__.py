"""What `beeline.diagnose` does: environments and runs, above the diagnostics of any model."""

from beeline.examine._diagnose import diagnose
from beeline.examine._subjects import Trained

__all__ = ["Trained", "diagnose"]
