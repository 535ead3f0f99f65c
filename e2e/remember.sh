# e2e/remember.sh: what test.sh keeps of parts that passed, in $XDG_CACHE_HOME/vmgpu/passed; sourced. A part whose files, tools and packages are
# all as they were is not run again: its log of then counts. Nothing is kept of a part in which a test failed or was skipped.
# shellcheck shell=bash disable=SC2154
passed_parts=$cache/passed

# What a part does not use, beside documents. When in doubt a path is not here.
on_a_played_node="node-daemon/ cli/ e2e/node/ e2e/bench/"
in_a_guest="cli/ e2e/scenarios/ e2e/bench/ e2e/corpus/"
declare -A unused=(
	[unit]="e2e/scenarios/ e2e/cluster/ e2e/tools/ e2e/bench/"
	[data]="$on_a_played_node e2e/scenarios/"
	[seeds]="e2e/node/ e2e/scenarios/"
	[kubelet]="controller/ cli/ e2e/node/ e2e/scenarios/"
	[supply]="cli/ e2e/scenarios/"
	[cluster]=$on_a_played_node [faults]=$on_a_played_node [oldetcd]=$on_a_played_node [neighbours]=$on_a_played_node
	[chart]="e2e/node/ e2e/bench/ e2e/corpus/"
	[played]="controller/ cli/ e2e/scenarios/ e2e/cluster/"
	[node]=$in_a_guest [hands]=$in_a_guest [eyes]=$in_a_guest [given]=$in_a_guest
)

# look_at_files FILE: the sum of each file of the tree that git does not ignore, and of what the machine has, go there
look_at_files() {
	git ls-files -coz --exclude-standard 2>/dev/null | xargs -0r sha256sum 2>/dev/null >"$1"
	[ -s "$1" ] || return 1
	{ dpkg-query -W && uname -srm && go version && nproc; } 2>/dev/null | sha256sum >>"$1"
}

# key PART: what its result depends on
key() {
	local path args=()
	for path in ${unused[$1]:-}; do args+=(-e "^[0-9a-f]*  $path"); done
	if [ ${#args[@]} = 0 ]; then cat "$looked_at"; else grep -v "${args[@]}" -e '\.md$' "$looked_at"; fi | sha256sum | cut -c1-32
}

# recall PART LOG: the log of when it passed like this, if it did
recall() {
	[ -n "$looked_at" ] || return 1
	cp -p "$passed_parts/$1-$(key "$1").log" "$2" 2>/dev/null
}

# remember PART LOG: if all of it passed, and nobody has changed a file meanwhile
remember() {
	local now
	[ -n "$looked_at" ] && ! grep -qE '^not ok |^ok .*# SKIP' "$2" || return 0
	now=$(mktemp)
	if look_at_files "$now" && [ "$(key "$1")" = "$(looked_at=$now key "$1")" ]; then
		mkdir -p "$passed_parts"
		cp "$2" "$passed_parts/.$1-$$" && mv "$passed_parts/.$1-$$" "$passed_parts/$1-$(key "$1").log"
		find "$passed_parts" -name "*.log" -mtime +30 -delete
	fi
	rm -f "$now"
}
