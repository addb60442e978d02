"""When actions models are worth it: one dial a task."""
