#!/bin/bash
# supervise.sh NAME ARGUMENT...: runs a program again and again, as its pod would be, in the state folder of up.sh.
# virt-api and virt-controller end when an API they use comes or goes (CDI) or certain gates change.
set -u
name=$1
while :; do
	"$@" >>"log/$name" 2>&1 &
	echo $! >"pid/$name"
	wait $!
	sleep 1
done
