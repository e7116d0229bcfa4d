"""Where notices come from by themselves, one file each."""
