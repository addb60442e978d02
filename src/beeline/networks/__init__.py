"""The layers that models and policies are made of, and the coordinates that they see."""
