"""The hot loops of the reduction, compiled by numba: stack, calibration, cosmic rays, checksum.

Every kernel releases the interpreter's lock, so that threads work on tiles side by side, and has a
plain reference in the tests that it must equal. Nothing here knows of files.

- `rules`: how frames are combined, and the code that the kernels take
- `stacking`: a tile of N frames into one, through `integers` (16-bit counts) or `floats`
- `column`: the same for one pixel, by every rule; the vectorised kernels leave it what is odd
- `sorting`: sorts all pixels of a tile at once
- `decoding`: bytes of a FITS image into numbers
"""
