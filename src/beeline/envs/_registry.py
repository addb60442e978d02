"""The library's own tasks by name. Nothing here imports JAX, so that listing them is quick."""

from typing import NamedTuple


class Entry(NamedTuple):
    """Where a task is made and what it is.

    Attributes:
        module: The module to import.
        class_name: An `Environment`, or a `ControlSystem` to be made into one.
        description: One line for a list of tasks.
        least_horizon: The fewest steps with which it means anything, its constants unchanged.
        because: Why it takes more than 2.
    """

    module: str
    class_name: str
    description: str
    least_horizon: int = 2
    because: str = ""


ENTRIES: dict[str, Entry] = {
    "bacteria": Entry(
        "beeline.envs.myriad.bacteria",
        "Bacteria",
        "Grow bacteria on a nutrient that makes a toxic by-product.",
    ),
    "bioreactor": Entry(
        "beeline.envs.myriad.bioreactor",
        "Bioreactor",
        "Feed bacteria that break a contaminant down.",
    ),
    "cancer-treatment": Entry(
        "beeline.envs.myriad.cancer_treatment",
        "CancerTreatment",
        "Treat a tumour with as little drug as will do.",
    ),
    "cart-pole": Entry(
        "beeline.envs.classic.cart_pole",
        "CartPole",
        "Swing a pole up by pushing the cart that it hangs from, and keep the cart in the middle.",
    ),
    "cart-pole-balance": Entry(
        "beeline.envs.classic.cart_pole_balance",
        "CartPoleBalance",
        "Hold a pole up by pushing the cart that it stands on, and keep the cart on its track.",
    ),
    "double-integrator": Entry(
        "beeline.envs.classic.linear",
        "DoubleIntegrator",
        "Hold a point still on a line, against noise.",
    ),
    "double-pendulum": Entry(
        "beeline.envs.double_pendulum",
        "DoublePendulum",
        "Choose the angle to drop a double pendulum from, so that it swings to a given state.",
    ),
    "harvest": Entry(
        "beeline.envs.myriad.harvest",
        "Harvest",
        "Harvest a population whose members grow with time.",
    ),
    "hiv-treatment": Entry(
        "beeline.envs.myriad.hiv_treatment",
        "HIVTreatment",
        "Keep healthy T cells many with as little HIV therapy as will do.",
    ),
    "invasive-plant": Entry(
        "beeline.envs.myriad.invasive_plant",
        "InvasivePlant",
        "Clear an invasive plant from five patches.",
        least_horizon=10,
        because="in steps of more than a year, radii fall below 0 and across a pole",
    ),
    "mould-fungicide": Entry(
        "beeline.envs.myriad.mould_fungicide",
        "MouldFungicide",
        "Hold a mould down with a fungicide.",
    ),
    "bear-populations": Entry(
        "beeline.envs.myriad.bear_populations",
        "BearPopulations",
        "Keep black bears out of town by hunting in a park and a forest.",
    ),
    "epidemic-seirn": Entry(
        "beeline.envs.myriad.epidemic_seirn",
        "EpidemicSEIRN",
        "Vaccinate against an epidemic as little as will do.",
    ),
    "glucose": Entry(
        "beeline.envs.myriad.glucose",
        "Glucose",
        "Bring blood sugar down to a wanted level with as little insulin as will do.",
    ),
    "mountain-car": Entry(
        "beeline.envs.myriad.mountain_car",
        "MountainCar",
        "Drive a weak car out of a valley and stop it on the hill.",
    ),
    "myriad-cart-pole": Entry(
        "beeline.envs.myriad.cart_pole",
        "MyriadCartPole",
        "Swing up a pole on a cart and stop a metre further on, with as little force as will do.",
    ),
    "myriad-pendulum": Entry(
        "beeline.envs.myriad.pendulum",
        "MyriadPendulum",
        "Swing a pendulum up with a weak motor and hold it upright.",
    ),
    "predator-prey": Entry(
        "beeline.envs.myriad.predator_prey",
        "PredatorPrey",
        "Spray a given amount of pesticide so that few of a pest are left at the end.",
    ),
    "rocket-landing": Entry(
        "beeline.envs.myriad.rocket_landing",
        "RocketLanding",
        "Turn a falling rocket upright and set it down, with little thrust.",
    ),
    "simple-case": Entry(
        "beeline.envs.myriad.simple_case",
        "SimpleCase",
        "Push a quantity up against its own quadratic decay.",
    ),
    "simple-case-with-bounds": Entry(
        "beeline.envs.myriad.simple_case_with_bounds",
        "SimpleCaseWithBounds",
        "Push a quantity up against its own quadratic decay, within bounds.",
    ),
    "tumour": Entry(
        "beeline.envs.myriad.tumour",
        "Tumour",
        "Shrink a tumour by starving it of blood, with a given amount of drug.",
    ),
    "van-der-pol": Entry(
        "beeline.envs.myriad.van_der_pol",
        "VanDerPol",
        "Bring a self-sustained oscillator to rest with as little force as will do.",
    ),
    "one-bounce": Entry(
        "beeline.envs.one_bounce",
        "OneBounce",
        "Push a block against a wall so that it comes to rest at a given place.",
        least_horizon=3,
        because="with fewer steps the block has not moved when it is rewarded",
    ),
    "pendulum": Entry(
        "beeline.envs.classic.pendulum",
        "Pendulum",
        "Swing a pendulum up with a weak motor, and hold it there.",
    ),
    "reaction-diffusion": Entry(
        "beeline.envs.classic.reaction_diffusion",
        "ReactionDiffusion",
        "Hold a field at 0 that grows by itself, by four actuators.",
    ),
    "biofilm-reactor": Entry(
        "beeline.envs.process.biofilm_reactor",
        "BiofilmReactor",
        "Hold the nitrite that leaves a nitrifying reactor at setpoints.",
    ),
    "crystallization": Entry(
        "beeline.envs.process.crystallization",
        "Crystallization",
        "Grow crystals of potassium sulphate of a given size and spread of sizes, by cooling.",
    ),
    "four-tank": Entry(
        "beeline.envs.process.four_tank",
        "FourTank",
        "Bring the levels of two tanks to setpoints, by two pumps that fill four.",
    ),
    "heat-exchanger": Entry(
        "beeline.envs.process.heat_exchanger",
        "HeatExchanger",
        "Cool what flows through a tube to setpoints, by what flows around it the other way.",
    ),
    "multistage-extraction": Entry(
        "beeline.envs.process.multistage_extraction",
        "MultistageExtraction",
        "Hold what is left of a solute after five stages of extraction at setpoints.",
        least_horizon=4,
        because="its setpoint takes four levels",
    ),
    "nonsmooth-control": Entry(
        "beeline.envs.process.nonsmooth_control",
        "NonsmoothControl",
        "Bring a damped oscillator to setpoints, by an input that is often best at its bounds.",
    ),
    "photobioreactor": Entry(
        "beeline.envs.process.photobioreactor",
        "Photobioreactor",
        "Have as much phycocyanin as can be at the end, by light on algae and nitrate fed to them.",
    ),
    "stirred-tank": Entry(
        "beeline.envs.process.stirred_tank",
        "StirredTank",
        "Hold the concentration in a stirred tank at setpoints, by the temperature of its jacket.",
        least_horizon=3,
        because="its setpoint takes three levels",
    ),
    "timber-harvest": Entry(
        "beeline.envs.myriad.timber_harvest",
        "TimberHarvest",
        "Re-invest income from timber at first, and take it out later.",
    ),
    "unstable-pole": Entry(
        "beeline.envs.classic.linear",
        "UnstablePole",
        "Hold a point at the top of a hill, against noise.",
    ),
}


def check_least_horizon(name: str, horizon: int) -> None:
    """Refuse a horizon with which a task means nothing, without making the task.

    Args:
        name: One of `ENTRIES`.
        horizon: The number of steps in an episode.

    Raises:
        ValueError: If it is below the task's least.
    """
    entry = ENTRIES[name]
    if horizon < entry.least_horizon:
        raise ValueError(
            f"horizon is {horizon}, but {name} takes at least {entry.least_horizon}: "
            f"{entry.because}"
        )
