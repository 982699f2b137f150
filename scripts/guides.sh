#!/usr/bin/env bash
# The operations guide three times, side by side: with Redoubt alone, with the Sentinels
# of Redis over our nodes, and with our Sentinels over nodes of Redis. What a run prints
# is shown if it fails.
set -euo pipefail
cd "$(dirname "$0")/.."

dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
play() { scripts/guide.sh >"$dir/$1" 2>&1; }

BASE=22100 play ours & ours=$!
BASE=22200 SENTINEL=redis-sentinel play sentinels-of-redis & sentinels=$!
BASE=22300 SERVER=redis-server play nodes-of-redis & nodes=$!

failed=
wait "$ours" || failed="$failed ours"
wait "$sentinels" || failed="$failed sentinels-of-redis"
wait "$nodes" || failed="$failed nodes-of-redis"
for name in $failed; do
	printf '\n== the guide, %s, failed:\n' "$name" >&2
	cat "$dir/$name" >&2
done
[ -z "$failed" ]
printf 'The guide works: with Redoubt alone, with the Sentinels of Redis, and with its nodes.\n'
