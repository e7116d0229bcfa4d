"""An observatory in software: an ASCOM Alpaca device server with a sky and weather."""
