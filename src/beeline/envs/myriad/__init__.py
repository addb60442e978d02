"""Twenty control problems of the Myriad testbed: the eight of the paper, and the others."""

from beeline.envs.myriad.bacteria import Bacteria
from beeline.envs.myriad.bear_populations import BearPopulations
from beeline.envs.myriad.bioreactor import Bioreactor
from beeline.envs.myriad.cancer_treatment import CancerTreatment
from beeline.envs.myriad.cart_pole import MyriadCartPole
from beeline.envs.myriad.epidemic_seirn import EpidemicSEIRN
from beeline.envs.myriad.glucose import Glucose
from beeline.envs.myriad.harvest import Harvest
from beeline.envs.myriad.hiv_treatment import HIVTreatment
from beeline.envs.myriad.invasive_plant import InvasivePlant
from beeline.envs.myriad.mould_fungicide import MouldFungicide
from beeline.envs.myriad.mountain_car import MountainCar
from beeline.envs.myriad.pendulum import MyriadPendulum
from beeline.envs.myriad.predator_prey import PredatorPrey
from beeline.envs.myriad.rocket_landing import RocketLanding
from beeline.envs.myriad.simple_case import SimpleCase
from beeline.envs.myriad.simple_case_with_bounds import SimpleCaseWithBounds
from beeline.envs.myriad.timber_harvest import TimberHarvest
from beeline.envs.myriad.tumour import Tumour
from beeline.envs.myriad.van_der_pol import VanDerPol

__all__ = [
    "Bacteria",
    "BearPopulations",
    "Bioreactor",
    "CancerTreatment",
    "EpidemicSEIRN",
    "Glucose",
    "HIVTreatment",
    "Harvest",
    "InvasivePlant",
    "MouldFungicide",
    "MountainCar",
    "MyriadCartPole",
    "MyriadPendulum",
    "PredatorPrey",
    "RocketLanding",
    "SimpleCase",
    "SimpleCaseWithBounds",
    "TimberHarvest",
    "Tumour",
    "VanDerPol",
]
