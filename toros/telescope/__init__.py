"""The telescope daemon: scheduler, night, observation, calibration frames."""
