# SPDX-License-Identifier: Apache-2.0
# vgpu_types.awk: node-daemon/vgpu_types.tsv in, build/gen/vgpu_types.inc out (rows that node-daemon/vgpu.c includes, a card's
# rows together). POSIX awk.

function fail(why)
{
	printf "%s:%d: %s\n", FILENAME, FNR, why > "/dev/stderr"
	failed = 1
	exit 1
}

BEGIN {
	FS = "\t"
	print "/* Made from node-daemon/vgpu_types.tsv. */"
	print "static const struct vgpu_known rows[] = {"
}

/^#/ {
	next
}

NF != 5 {
	fail("not five columns")
}

$1 !~ /^[0-9a-f][0-9a-f][0-9a-f][0-9a-f]$/ || $2 !~ /^[0-9]+$/ || $3 !~ /^[A-Za-z0-9 .-]+$/ || length($3) > 41 || $4 !~ /^[1-9][0-9]*$/ || $5 !~ /^[0-9]+$/ {
	fail("not a row")
}

$1 < last {
	fail("cards must be in ascending order")
}

{
	last = $1
	printf "\t{0x%s, %d, %d, %d, \"%s\"},\n", $1, $2, $5, $4, $3
}

END {
	if (failed) {
		exit 1
	}
	print "};"
}
