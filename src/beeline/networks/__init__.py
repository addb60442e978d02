"""The layers of models and policies, and the coordinates of their inputs."""
