# SPDX-License-Identifier: Apache-2.0
# nvfake_types.awk: nvfake_types.tsv in, the table that nvfake.c includes out.
#
# What no source says is filled in as follows. Most on a GPU: that of a type of the same size (and GPU instance) on the same card, which
# holds wherever both are known; else as many as fit in the largest type of the card, at most 32. Framebuffer: the size in the name.
# Heads, resolution, frame limit: those of the other types of the series.

function or_else(value, other) { return value == "-" ? other : value }

# The letter after the last number of the name: A, B, C, Q.
function series(name,    s)
{
	s = name
	sub(/.*[0-9]/, "", s)
	return substr(s == "" ? "B" : s, 1, 1)
}

function most(i,    k, n)
{
	k = device[i] " " size[i] " " instance[i]
	if (max[i] != "-") {
		return max[i]
	}
	if (k in same) {
		return same[k]
	}
	n = int(largest[device[i] " " instance[i]] / size[i])
	return n > 32 ? 32 : n
}

BEGIN { FS = "\t" }

/^#/ || /^$/ { next }

{
	if (NF != 11) {
		printf "%s:%d: not eleven columns\n", FILENAME, FNR >"/dev/stderr"
		exit 1
	}
	i = ++rows
	device[i] = $1; id[i] = $2; max[i] = $3; size[i] = $4; fb[i] = or_else($5, $4 * 1024)
	s = series($10)
	heads[i] = or_else($6, s == "Q" || s == "B" ? 4 : 1)
	split(or_else($7, s == "A" ? "1280x1024" : s == "B" ? "5120x2880" : s == "C" ? "4096x2160" : $4 < 2 ? "5120x2880" : "7680x4320"), xy, "x")
	x[i] = xy[1]; y[i] = xy[2]
	limit[i] = or_else($8, s == "B" ? 45 : 60)
	instance[i] = or_else($9, "")
	name[i] = $10
	if ($3 != "-") {
		same[$1 " " $4 " " instance[i]] = $3
	}
	k = $1 " " instance[i]
	if (size[i] > largest[k]) {
		largest[k] = size[i] + 0
	}
}

END {
	print "/* Made from nvfake_types.tsv by nvfake_types.awk. */"
	print "static const struct rm_type rm_types[] = {"
	for (i = 1; i <= rows; i++) {
		printf "\t{0x%s, %d, %d, %d, %d, %d, %d, %d, %d, \"%s\", \"%s\"},\n", device[i], id[i], most(i), size[i], fb[i], heads[i], limit[i], x[i], y[i], instance[i], name[i]
	}
	print "};"
}
