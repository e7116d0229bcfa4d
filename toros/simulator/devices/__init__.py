"""The devices of the simulated observatory, one file each."""
