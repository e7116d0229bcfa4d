"""Pure pixels: headers → frames → masters → calibrated images. No database, no daemon.

A notebook can use this room alone::

    from toros.imaging.headers import find_fits, read_exposure
    from toros.imaging.masters import make_master_bias
    from toros.imaging.calibrate import calibrate_light
"""
