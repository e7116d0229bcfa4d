#!/bin/sh
# Put a configuration file in place, and never lose what an admin wrote.
#
# usage: install_config.sh SHIPPED PLACE KEPT
#   SHIPPED  the file of this version
#   PLACE    where it belongs
#   KEPT     the shipped file of the version before, kept to tell whether PLACE was edited
set -eu
shipped=$1 place=$2 kept=$3

if [ ! -e "$place" ] || { [ -e "$kept" ] && cmp -s "$kept" "$place"; }; then
	install -D -m 644 "$shipped" "$place"
	rm -f "$place.new"
elif ! cmp -s "$shipped" "$place" && ! { [ -e "$kept" ] && cmp -s "$kept" "$shipped"; }; then
	install -D -m 644 "$shipped" "$place.new"
	echo "$place was edited and is kept; the shipped one of this version is $place.new"
fi
install -D -m 644 "$shipped" "$kept"
