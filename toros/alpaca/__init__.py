"""The client side of the devices: ASCOM Alpaca with time-outs and read-back."""
