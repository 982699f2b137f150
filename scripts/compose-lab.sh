#!/usr/bin/env bash
# Brings the Compose lab up and hurts it under "redoubt check": one primary is
# killed, one paused, one cut off from the network, each healed again. Prints
# the verdict on each: acknowledged writes may be lost only in the shard that
# failed over, and only between a second before the fault and node-timeout plus
# a second after it. Takes everything down again. Exit 0 if all verdicts are
# good.
#
# It needs a Docker engine, Compose in either form, and the image
# redoubt:local ("make image"). Without an engine it is skipped, but fails if
# CI=true. Every wait is bounded; the whole takes about two minutes.
set -euo pipefail

name=compose-lab
export COMPOSE_PROJECT_NAME=redoubt-lab
export REDOUBT_LAB_NET=${REDOUBT_LAB_NET:-10.77.83}
export REDOUBT_LAB_NODE_TIMEOUT=${REDOUBT_LAB_NODE_TIMEOUT:-3000}
image=redoubt:local
network=redoubt-lab
checker=redoubt-lab-check
. "$(dirname "$0")/compose-common.sh"

compose+=(-f "$here/docker/compose.yaml")
need_images "$image"

trap down EXIT
trap 'exit 130' INT TERM

# tool ARG… runs a tool in a container of the network.
tool() { timeout "$limit" docker run --rm -i --network "$network" "$image" "$@"; }

nodes() { for i in 1 2 3 4 5 6; do echo "$REDOUBT_LAB_NET.1$i:6379"; done; }

# container IP prints the name of the container at an address.
container() { timeout "$limit" "${compose[@]}" ps -q "node${1##*.1}"; }

# other IP prints the address of a node that is not at IP.
other() { nodes | grep -v "^$1:" | head -n 1; }

# primaries IP prints the addresses of primaries with a replica, as a node
# other than that at IP sees them.
primaries() { tool cluster info "$(other "$1")" 2>/dev/null | sed -n 's/^\([^ ]*\):6379 (.* [1-9][0-9]* slaves\.$/\1/p'; }

deposed() { ! primaries "$1" | grep -qx "$1" && [ "$(primaries "$1" | wc -l)" -ge 2 ]; }

# whole: all six nodes are there, agree, and every primary has its replica.
whole() {
	tool cluster check "$(nodes | head -n 1)" >"$out/whole" 2>&1 &&
		[ "$(grep -c '^[MS]: ' "$out/whole")" = 6 ] &&
		[ "$(primaries none | wc -l)" = 3 ] &&
		! tool cluster call "$(nodes | head -n 1)" info replication 2>/dev/null | grep -q 'master_link_status:down'
}

# trial NAME HURT HEAL: runs the check, hurts a primary in the middle with
# "HURT container ip", heals it with "HEAL container ip" when its replica has
# taken over, and judges.
bad=0
trial() {
	local name=$1 hurt=$2 heal=$3 ip box at
	ip=$(primaries none | head -n 1)
	[ -n "$ip" ] || fail "no primary has a replica"
	box=$(container "$ip")
	say "$name: the primary $ip"
	docker run -d --name "$checker" --network "$network" "$image" \
		check --nodes "$(nodes | paste -sd, -)" --duration 0 --json --rate 1000 --keys 4096 >/dev/null
	await "the check to get going" progressing
	at=$(now)
	"$hurt" "$box" "$ip"
	await "the replica of $ip to take over" deposed "$ip"
	"$heal" "$box" "$ip"
	await "the cluster to be whole again" whole
	docker kill --signal INT "$checker" >/dev/null
	timeout "$limit" docker wait "$checker" >/dev/null || fail "the check does not end"
	docker logs "$checker" >"$out/report.json" 2>"$out/progress"
	docker rm "$checker" >/dev/null
	tail -n 1 "$out/progress"
	tool check verdict --fault "$ip@$at" --node-timeout "${REDOUBT_LAB_NODE_TIMEOUT}ms" <"$out/report.json" || bad=$((bad + 1))
}

kill_it() { docker kill --signal KILL "$1" >/dev/null; }
start_it() { docker start "$1" >/dev/null; }
pause_it() { docker pause "$1" >/dev/null; }
unpause_it() { docker unpause "$1" >/dev/null; }
cut_it() { docker network disconnect "$network" "$1"; }
join_it() { docker network connect --ip "$2" "$network" "$1"; }

say "up"
timeout $((2 * limit)) "${compose[@]}" up -d >"$out/up" 2>&1 || {
	cat "$out/up" >&2
	fail "the lab does not come up"
}
await "the cluster to be whole" whole

trial "killed" kill_it start_it
trial "paused" pause_it unpause_it
trial "cut off" cut_it join_it

say "$((3 - bad)) of 3 verdicts are good"
[ "$bad" = 0 ]
