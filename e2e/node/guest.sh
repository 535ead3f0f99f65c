#!/bin/bash
# guest.sh STATE COMMAND...: runs a command in the guest that run.sh booted in STATE: same folder, stdout, stderr and exit
# code as if it ran here; no stdin. Up to four at once, more wait. If guest.sh is killed, so is the command; what is to
# stay runs in the background: guest.sh STATE sh -c 'program >/tmp/log 2>&1 &'. 255: the guest is gone.
case ${1:--h} in -h | --help) sed -n '2,${/^#/!q;s/^# \{0,1\}//p}' "$0" && exit 0 ;; esac
if [ $# -lt 2 ] || [ ! -x "$1/guest/gsh" ]; then
	echo "guest.sh: no guest in $1, or no command (--help)" >&2
	exit 255
fi
exec "$1/guest/gsh" run "$@"
