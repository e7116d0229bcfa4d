"""Measurements, as ratios taken side by side in one run. They are no tests."""
