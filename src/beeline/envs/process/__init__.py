"""Tasks of process control, after PC-Gym: reactors, tanks, columns and exchangers."""

from beeline.envs.process.biofilm_reactor import BiofilmReactor
from beeline.envs.process.crystallization import Crystallization
from beeline.envs.process.four_tank import FourTank
from beeline.envs.process.heat_exchanger import HeatExchanger
from beeline.envs.process.multistage_extraction import MultistageExtraction
from beeline.envs.process.nonsmooth_control import NonsmoothControl
from beeline.envs.process.photobioreactor import Photobioreactor
from beeline.envs.process.stirred_tank import StirredTank

__all__ = [
    "BiofilmReactor",
    "Crystallization",
    "FourTank",
    "HeatExchanger",
    "MultistageExtraction",
    "NonsmoothControl",
    "Photobioreactor",
    "StirredTank",
]
