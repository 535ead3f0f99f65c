# values.awk: the table of a chart's README from its values.yaml: a row for each value that has a comment right above it. Every value, a list or
# a map too, stands in one line.
/^ *# / {
	sub(/^ *# /, "")
	comment = comment (comment == "" ? "" : " ") $0
	next
}
/^ *$/ { comment = "" }
/^ *[A-Za-z]+:/ {
	match($0, /^ */)
	depth = RLENGTH / 2
	name[depth] = substr($0, RLENGTH + 1, index($0, ":") - RLENGTH - 1)
	path = name[0]
	for (i = 1; i <= depth; i++) path = path "." name[i]
	if (comment != "") printf "| `%s` | `%s` | %s |\n", path, substr($0, index($0, ":") + 2), comment
	comment = ""
}
