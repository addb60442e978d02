"""Names that a configuration may hold, and what they stand for."""

MODELS = {
    "transformer-awm": "Transformer over the initial state and the actions (the paper's method).",
    "ssm-awm": "Diagonal state-space model over the initial state and the actions.",
    "lstm-awm": "LSTM over the initial state and the actions.",
    "gru-awm": "GRU over the initial state and the actions.",
    "rnn-awm": "Vanilla recurrent network over the initial state and the actions (Eq. 4).",
    "attention-awm": "One softmax self-attention layer over them, nothing added (Eq. 5).",
    "transformer-history": "Transformer over states and actions, its predictions fed back.",
    "lstm-history": "LSTM over states and actions, its predictions fed back.",
    "ssm-history": "State-space model over states and actions, its predictions fed back.",
    "markov": "One-step network on state and action, unrolled.",
    "simulator": "The true dynamics, differentiated through; nothing is learned of them.",
}

BASELINES = {
    "sac": "Soft actor-critic by Stable-Baselines3, without a world model.",
    "online-dt": "Online decision transformer: asks for a return, imitates what it has seen.",
}


REWARDS = {
    "known": "The task's own reward function, differentiable (the paper).",
    "learned": "A model of the rewards seen, fitted with the world model.",
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


NONFINITE = {
    "stop": "End the run at the first number that is not finite, and name it.",
    "skip": "Leave out the update or the episode it came up in, count it, and go on.",
    "restore": "Go on from the weights of before the iteration, at half the learning rates.",
}
