#!/bin/bash
# slot.sh STATE out|in: takes the card out of the slot 03:00 of the running guest, or puts another model in (V100). The
# guest is told as by a real slot and lets the card go in its own time, about two seconds; a card put in answers
# at once. An emulated A10 that was taken out cannot come back in the same boot.
set -euo pipefail
case ${1:--h} in -h | --help) sed -n '2,${/^#/!q;s/^# \{0,1\}//p}' "$0" && exit 0 ;; esac
case ${2:-} in
out) command='device_del card' ;;
in) command='device_add pci-testdev,id=card,bus=rp3' ;;
*) echo "slot.sh: out or in?" >&2 && exit 2 ;;
esac
exec "$1/guest/gsh" monitor "$1" "$command"
