"""`toros night`: the main job, a whole night from the alert to the calibrated images."""
