"""The steps of a reduction, one file each."""
