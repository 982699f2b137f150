#!/bin/sh
# Runs the fuzz targets of the packages named, or every one of the module, for FUZZTIME each, one after the other.
set -eu
cd "$(dirname "$0")/.."
go=${GO:-go}
out=$(mktemp)
trap 'rm -f "$out"' EXIT
packages() {
	if [ $# -gt 0 ]; then
		printf '%s\n' "$@"
	else
		grep -rlE '^func Fuzz[A-Z]' --include='*_test.go' . | xargs -n1 dirname | sort -u
	fi
}
# An input that reaches something new is made smaller for up to a minute unless a limit is given: that takes all of a
# short run.
#
# The coordinator of a run may report that the time is over as its error, "context deadline exceeded" and nothing else
# (golang.org/issue/75804): that is a target which has run its time. An input that fails is always written to testdata,
# and the output says so.
fuzz() {
	if $go test "$1" -run '^$' -fuzz "^$2\$" -fuzztime "${FUZZTIME:-20s}" -fuzzminimizetime 100x >"$out" 2>&1; then
		cat "$out"
		return
	fi
	cat "$out"
	grep -q '^ *context deadline exceeded$' "$out" &&
		! grep -qE 'Failing input written|panic:|fatal error:|_test\.go:' "$out"
}
packages "$@" | while read -r pkg; do
	for target in $(grep -hoE '^func Fuzz[A-Za-z0-9_]+' "$pkg"/*_test.go | sed 's/func //' | sort -u); do
		echo "== $pkg $target"
		fuzz "$pkg" "$target"
	done
done
