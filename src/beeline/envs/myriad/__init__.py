"""Eight control problems from biology and economics, as the Myriad testbed states them."""

from beeline.envs.myriad.bacteria import Bacteria
from beeline.envs.myriad.bioreactor import Bioreactor
from beeline.envs.myriad.cancer_treatment import CancerTreatment
from beeline.envs.myriad.harvest import Harvest
from beeline.envs.myriad.hiv_treatment import HIVTreatment
from beeline.envs.myriad.invasive_plant import InvasivePlant
from beeline.envs.myriad.mould_fungicide import MouldFungicide
from beeline.envs.myriad.timber_harvest import TimberHarvest

__all__ = [
    "Bacteria",
    "Bioreactor",
    "CancerTreatment",
    "HIVTreatment",
    "Harvest",
    "InvasivePlant",
    "MouldFungicide",
    "TimberHarvest",
]
