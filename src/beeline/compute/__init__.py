"""Cores, devices, memory and threads."""
