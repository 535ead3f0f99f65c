# SPDX-License-Identifier: Apache-2.0
# gpu_names.awk: api/gpu_names.tsv in, build/gen/gpu_names.inc out (tables that api/gpu_names.c includes).
#
# All strings lie in one pool and are named by their offset: pointers would cost a relocation each in a PIE.
# POSIX awk only (no sort function, no hexadecimal numbers), and no dependence on the locale: names are compared as
# strings of digits, two for each character.

function fail(why)
{
	printf "%s:%d: %s\n", FILENAME, FNR, why > "/dev/stderr"
	failed = 1
	exit 1
}

function hex(s,    i, v)
{
	if (s !~ /^[0-9a-f][0-9a-f][0-9a-f][0-9a-f]$/) {
		fail("not four hex digits: " s)
	}
	for (i = 1; i <= 4; i++) {
		v = v * 16 + index("0123456789abcdef", substr(s, i, 1)) - 1
	}
	return v
}

# Offset of s in the pool; equal strings are kept once.
function intern(s)
{
	if (!(s in offset)) {
		offset[s] = pool_size
		pool_size += length(s) + 1
		pool[++pooled] = s
	}
	return offset[s]
}

function check_name(n)
{
	if (n !~ /^[A-Z0-9][A-Z0-9_.-]*$/) {
		fail("not a name: " n)
	}
}

# The order of the index: by short name, canonical names before aliases, then by line.
function order(name, is_alias, entry,    i, key)
{
	for (i = 1; i <= length(name); i++) {
		key = key sprintf("%02d", index("-.0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_", substr(name, i, 1)) + 10)
	}
	return "x" key "00" is_alias sprintf("%05d", entry)
}

# Heap sort of sorted[1..n] by key.
function sift(i, n,    child, moved)
{
	moved = sorted[i]
	while ((child = 2 * i) <= n) {
		if (child < n && key[sorted[child]] < key[sorted[child + 1]]) {
			child++
		}
		if (key[moved] >= key[sorted[child]]) {
			break
		}
		sorted[i] = sorted[child]
		i = child
	}
	sorted[i] = moved
}

function sort(n,    i, last)
{
	for (i = int(n / 2); i >= 1; i--) {
		sift(i, n)
	}
	for (i = n; i > 1; i--) {
		last = sorted[i]
		sorted[i] = sorted[1]
		sorted[1] = last
		sift(1, i - 1)
	}
}

# "AD102GL [L40S]" is a chip and a model; other words are all model.
function split_words(words,    at)
{
	chip = ""
	model = words
	if (words ~ /^[^][]+ \[[^][]+\]$/) {
		at = index(words, " [")
		chip = substr(words, 1, at - 1)
		model = substr(words, at + 2, length(words) - at - 2)
		sub(/ +$/, "", model)
	}
}

BEGIN {
	FS = "\t"
	rows = aliases = cards = vendors = 0
	intern("")
}

/^#/ || /^$/ {
	next
}

/^= / {
	vendor = hex(substr($1, 3))
	if (vendor <= last_vendor) {
		fail("vendors are not in order")
	}
	last_vendor = vendor
	last_device = -1
	prefix = $2
	vendor_id[++vendors] = vendor
	vendor_prefix[vendors] = prefix
	vendor_first[vendors] = rows
	next
}

$1 ~ /:/ {
	if (split($1, id, ":") != 3 || hex(id[1]) != last_device || $2 != last_name) {
		fail("a card must follow the line of its device, with the same name")
	}
	card_row[++cards] = rows - 1
	card_subsystem[cards] = hex(id[2]) * 65536 + hex(id[3])
	split_words($3)
	card_chip[cards] = chip
	card_model[cards] = model
	next
}

{
	if (NF < 3 || NF > 4) {
		fail("not device, name, words and perhaps aliases, with one tab between")
	}
	if (hex($1) <= last_device) {
		fail("devices are not in order")
	}
	check_name($2)
	if (length($2) > 63 || $2 !~ /[A-Z0-9]$/) {
		fail("no valid resource name: " $2)
	}
	last_device = hex($1)
	last_name = $2
	split_words($3)
	row_device[rows] = last_device
	row_chip[rows] = chip
	row_model[rows] = model
	row_name[rows] = prefix "/" $2
	row_short[rows] = $2
	n = split($4, alias, " ")
	for (i = 1; i <= n; i++) {
		check_name(alias[i])
		alias_row[aliases] = rows
		alias_name[aliases] = prefix "/" alias[i]
		alias_short[aliases] = alias[i]
		aliases++
	}
	rows++
}

END {
	if (failed) {
		exit 1
	}
	# Chips and models first, so that their offsets fit in 16 bits.
	for (i = 0; i < rows; i++) {
		intern(row_chip[i])
	}
	for (i = 0; i < rows; i++) {
		intern(row_model[i])
	}
	for (i = 1; i <= cards; i++) {
		intern(card_chip[i])
		intern(card_model[i])
	}
	if (pool_size > 65535) {
		fail("the words of all devices do not fit in 64 KiB")
	}
	print "/* Made from api/gpu_names.tsv by api/gpu_names.awk. */"
	print "static const struct row rows[] = {"
	for (i = 0; i < rows; i++) {
		printf "\t{%d, %d, %d, %d},\n", row_device[i], intern(row_chip[i]), intern(row_model[i]), intern(row_name[i])
		key[i] = order(row_short[i], 0, i)
	}
	print "};"
	print "static const struct alias aliases[] = {"
	for (i = 0; i < aliases; i++) {
		printf "\t{%d, %d},\n", alias_row[i], intern(alias_name[i])
		key[rows + i] = order(alias_short[i], 1, i)
	}
	print "};"
	print "static const struct card cards[] = {"
	for (i = 1; i <= cards; i++) {
		printf "\t{%d, %d, %d, %.0f},\n", card_row[i], intern(card_chip[i]), intern(card_model[i]), card_subsystem[i]
	}
	print "};"
	print "static const struct vendor vendors[] = {"
	vendor_first[vendors + 1] = rows
	for (i = 1; i <= vendors; i++) {
		printf "\t{%d, %d, %d, \"%s\"},\n", vendor_id[i], vendor_first[i], vendor_first[i + 1] - vendor_first[i], vendor_prefix[i]
	}
	print "};"
	n = rows + aliases
	for (i = 1; i <= n; i++) {
		sorted[i] = i - 1
	}
	sort(n)
	print "static const uint16_t by_name[] = {"
	for (i = 1; i <= n; i++) {
		printf "%s%d,%s", (i % 16 == 1 ? "\t" : " "), sorted[i], (i % 16 == 0 || i == n ? "\n" : "")
	}
	print "};"
	print "static const char pool[] ="
	for (i = 1; i <= pooled; i++) {
		gsub(/["\\]/, "\\\\&", pool[i])
		printf "\t\"%s\\0\"\n", pool[i]
	}
	print "\t;"
}
