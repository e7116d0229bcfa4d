"""Pure pixels: headers, frames, masters, calibrated images. No database, no daemon."""
