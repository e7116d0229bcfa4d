#!/bin/sh
# Make a Debian in a folder and install TOROS into it with `make install`, for the tests that boot it.
#
# The Debian is made once and kept; TOROS is installed afresh each time. Nothing of it is in the
# repository: TOROS_ROOTFS names the folder, by default ~/.cache/toros-systemd.
set -eu
cd "$(dirname "$0")/../.."
folder=${TOROS_ROOTFS:-${XDG_CACHE_HOME:-$HOME/.cache}/toros-systemd}
suite=${TOROS_SUITE:-bookworm}

if [ "$(id -u)" != 0 ]; then
	echo "Only root can boot a container with systemd-nspawn." >&2
	exit 1
fi
missing=
command -v debootstrap >/dev/null || missing="$missing debootstrap"
command -v systemd-nspawn >/dev/null || missing="$missing systemd-container"
if [ -n "$missing" ]; then
	apt-get update -q
	# shellcheck disable=SC2086 # two words are two packages
	DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $missing
fi

mkdir -p "$folder"
if [ ! -e "$folder/base/.made" ]; then
	rm -rf "$folder/base"
	debootstrap --variant=minbase --include=systemd,systemd-sysv,dbus,python3 \
		"$suite" "$folder/base"
	touch "$folder/base/.made"
fi
rm -rf "$folder/guest"
cp -a "$folder/base" "$folder/guest"
# The environment in the guest is of the guest's Python: this machine needs the same release.
make install DESTDIR="$folder/guest" PYTHON=/usr/bin/python3
# The toy module, whose loop can be hung on order.
mkdir -p "$folder/guest/opt/toros-tests/tests"
cp -r tests/__init__.py tests/support "$folder/guest/opt/toros-tests/tests/"
echo "The guest is $folder/guest."
