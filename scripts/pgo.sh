#!/usr/bin/env bash
# Makes cmd/redoubt/default.pgo anew: a profile of a node alone and of a cluster of one node, the journal on, under
# redis-benchmark, merged. The machine should have nothing else to do. It takes three minutes.
set -euo pipefail
set -f # XADD has an asterisk
cd "$(dirname "$0")/.."
export PROFILE_FOR="${PROFILE_FOR:-60s}"
seconds=${PROFILE_FOR%s}
work=$(mktemp -d)
trap 'kill $(jobs -p) 2>/dev/null || true; rm -rf "$work"' EXIT
go build -trimpath -pgo=off -tags profile -o "$work/redoubt" ./cmd/redoubt

# load sends every kind of command in turn, at each depth of pipeline, for as long as the profile takes.
load() {
	local bench=(redis-benchmark -p "$1" -c 50 -q -r 100000) end=$((SECONDS + seconds + 1)) p
	local key='key:__rand_int__' e='element:__rand_int__'
	while [ $SECONDS -lt $end ]; do
		for p in 1 16 64; do
			local n=$((p == 1 ? 20000 : 150000))
			for t in "set $key xxxxxxxxxxxxxxxx" "get $key" "incr counter:__rand_int__" "lpush list $e" "rpop list" "lrange list 0 99" \
				"hset hash $e xxxxxxxx" "hget hash $e" "hset hash:$key field xxxxxxxx" "sadd set $e" "spop set" "sadd set:$key $e" \
				"zadd zset __rand_int__ $e" "zrank zset $e" "zrange zset 0 9" "zpopmin zset" "zadd zset:$key __rand_int__ $e" \
				"rpush list:$key $e" "lpop list:$key" \
				"xadd stream * sensor $e value __rand_int__ unit degree" "xreadgroup group group consumer count 1 streams stream >" \
				"xack stream group __rand_int__-0" "pfadd hll $e" "bitcount key:000000000001"; do
				[ $SECONDS -lt $end ] || return 0
				# shellcheck disable=SC2086
				"${bench[@]}" -P "$p" -n "$n" $t >/dev/null
			done
			[ "$2" = no ] || continue
			"${bench[@]}" -P "$p" -n $((n / 10)) -t mset >/dev/null
		done
	done
}

port=21987
for cluster in no yes; do
	dir="$work/$cluster" && mkdir "$dir"
	PROFILE="$work/$cluster.pprof" "$work/redoubt" server --port $port --dir "$dir" --cluster-enabled $cluster --save '' >"$dir/log" &
	until redis-cli -p $port ping >/dev/null 2>&1; do sleep 0.1; done
	[ $cluster = no ] || redis-cli -p $port cluster addslotsrange 0 16383 >/dev/null
	until redis-cli -p $port set ready yes 2>/dev/null | grep -q OK; do sleep 0.1; done
	redis-cli -p $port xgroup create stream group 0 mkstream >/dev/null
	load $port $cluster
	redis-cli -p $port shutdown nosave || true
	wait
	port=$((port + 1))
done
go tool pprof -proto -output "$work/merged" "$work/no.pprof" "$work/yes.pprof" >/dev/null
mv "$work/merged" cmd/redoubt/default.pgo
go tool pprof -top -nodecount 5 cmd/redoubt/default.pgo
