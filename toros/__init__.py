"""TOROS: a robotic observatory that hunts the light of gravitational-wave events."""

__version__ = "0.1.0"
