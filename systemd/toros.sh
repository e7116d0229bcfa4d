#!/bin/sh
# The toros command, in the environment that `make install` made.

# systemd hands each module its secrets; who types a command reads the originals, if he may.
: "${CREDENTIALS_DIRECTORY:=/etc/toros/credentials}"
export CREDENTIALS_DIRECTORY
exec /usr/local/lib/toros/bin/python -I -m toros "$@"
