#!/bin/sh
# The toros command, in the environment that `make install` made.
exec /usr/local/lib/toros/bin/python -I -m toros "$@"
