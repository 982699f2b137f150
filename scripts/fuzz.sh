#!/bin/sh
# Runs the fuzz targets of the packages named, or every one of the module, for FUZZTIME each, one after the other.
set -eu
cd "$(dirname "$0")/.."
go=${GO:-go}
packages() {
	if [ $# -gt 0 ]; then
		printf '%s\n' "$@"
	else
		grep -rlE '^func Fuzz[A-Z]' --include='*_test.go' . | xargs -n1 dirname | sort -u
	fi
}
# An input that reaches something new is made smaller for up to a minute unless a limit is given: that takes all of a
# short run, and one that ends meanwhile fails with "context deadline exceeded".
packages "$@" | while read -r pkg; do
	for target in $(grep -hoE '^func Fuzz[A-Za-z0-9_]+' "$pkg"/*_test.go | sed 's/func //' | sort -u); do
		echo "== $pkg $target"
		$go test "$pkg" -run '^$' -fuzz "^$target\$" -fuzztime "${FUZZTIME:-20s}" -fuzzminimizetime 100x
	done
done
