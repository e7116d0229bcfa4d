"""The alert daemon: notices, sky maps, galaxy catalogue, targets."""
