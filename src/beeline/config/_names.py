"""Names that a configuration may hold, and what they stand for."""

REWARDS = {
    "known": "The task's own reward function, differentiable (the paper).",
    "learned": "A model of the rewards seen, fitted with the world model.",
}


TERMINATIONS = {
    "known": "The task's own termination, where it has one.",
    "learned": "A classifier of the steps seen, fitted with the world model.",
}


REFERENCES = {
    "optimum": "The best open-loop plan, where nothing is left to chance.",
    "none": "Nothing: returns are told as they are.",
}


SQUASHES = {
    "clip": "clip(x): reaches the edges of the box, and leaves a wrong one at full pace.",
    "tanh": "tanh(x): comes ever nearer to the edges, and its slope to zero (the paper).",
}


OPTIMISERS = {
    "muon": "Muon for matrices, all directions at the same pace; Nesterov's Adam for the rest.",
    "adam": "Adam (the paper).",
}


UNITS = {
    "state": "The spread of the state: the same, however short a step is (the paper).",
    "change": "The spread of the change in a step, over the warm-up.",
}


ACTIVATIONS = {
    "smooth": "SiLU in models and tanh in the critic: slopes without jumps; ReLU in the policy.",
    "relu": "ReLU, as with whole episodes (the paper).",
}


MODES = {
    "auto": "32 principal components of a state of more than 64 entries, else all entries.",
    "all": "All entries of the state.",
}


IMAGINATIONS = {
    "episodes": "Whole episodes, from where the task's start (the paper).",
    "windows": "Windows from any state seen, with a critic at their end.",
    "auto": "Windows where starts vary, chance moves the state, or gradients grow over an episode.",
}


CLOCKS = {
    "none": "No part sees the time.",
    "episode": "Models, the policy and the critic see the step's index in the episode.",
}


DISTURBANCES = {
    "none": "Nothing.",
    "seen": "What the model's predictions lacked of windows seen, drawn from the buffer.",
    "auto": "As seen, where the environment answers the same actions differently.",
}


NONFINITE = {
    "stop": "End the run at the first number that is not finite, and name it.",
    "skip": "Leave out the update or the episode it came up in, count it, and go on.",
    "restore": "Go on from the weights of before the iteration, at half the learning rates.",
}
