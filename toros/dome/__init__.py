"""The dome daemon: dome, weather, safety."""
