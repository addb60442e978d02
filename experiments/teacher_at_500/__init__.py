"""What imagined episodes add at 500 steps."""
