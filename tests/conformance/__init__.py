"""What any ASCOM Alpaca server must do; `pytest tests/conformance --alpaca http://host:port`."""
