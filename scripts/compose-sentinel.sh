#!/usr/bin/env bash
# Brings up the deployment of docker/sentinel.yaml, kills its primary under "redoubt check",
# and waits until a replica has taken over, HAProxy leads there, and the killed one is its
# replica. Prints the verdict: acknowledged writes may be lost only from a second before the
# kill until a primary was elected. Takes everything down again.
#
# It needs a Docker engine, Compose in either form, and the images of "make image". Without
# an engine it is skipped, but fails if CI=true; without the image of HAProxy, that part is
# skipped, but for CI=true where haproxy is installed. Every wait is bounded; the whole takes
# less than a minute.
set -euo pipefail

name=compose-sentinel
export COMPOSE_PROJECT_NAME=redoubt-sentinel
export REDOUBT_PORT=${REDOUBT_PORT:-26390}
network=redoubt-sentinel
checker=redoubt-sentinel-check
sentinels=10.77.84.21:26379,10.77.84.22:26379,10.77.84.23:26379
. "$(dirname "$0")/compose-common.sh"

compose+=(-f "$here/docker/sentinel.yaml")
need_images redoubt:local redoubt-sentinel:local
proxy=
if docker image inspect redoubt-haproxy:local >/dev/null 2>&1; then
	proxy=1
	compose+=(--profile haproxy)
elif command -v haproxy >/dev/null; then
	absent "there is no image of HAProxy, although it is installed: run 'make image'"
else
	say "haproxy is not installed; its part is left out"
fi

trap down EXIT
trap 'exit 130' INT TERM

# ask ADDRESS COMMAND… is the reply, line by line, by the inline protocol.
ask() {
	local host=${1%:*} port=${1##*:}
	shift
	timeout 5 bash -c '
		exec 3<>"/dev/tcp/$0/$1" || exit 1
		printf "%s\r\nQUIT\r\n" "$2" >&3
		cat <&3' "$host" "$port" "$*" 2>/dev/null | tr -d '\r'
}

# primary is the address that the Sentinels tell, where all three tell the same.
primary() {
	local told
	told=$(for s in ${sentinels//,/ }; do ask "$s" sentinel get-master-addr-by-name mymaster | sed -n 3p; done | sort | uniq -c)
	[ "$(wc -l <<<"$told")" = 1 ] && awk '$1 == 3 { print $2 }' <<<"$told"
}

# replicas ADDRESS is how many replicas are in sync with a node.
replicas() { ask "$1:6379" info replication | grep -c 'state=online' || true; }

# whole: a primary with two replicas, of which the Sentinels know, and they of each other.
whole() {
	local at
	at=$(primary) && [ -n "$at" ] && [ "$(replicas "$at")" = 2 ] &&
		for s in ${sentinels//,/ }; do
			ask "$s" info sentinel | grep -q 'status=ok,.*slaves=2,sentinels=3' || return 1
		done
}

elsewhere() { at=$(primary) && [ -n "$at" ] && [ "$at" != "$1" ]; }
leads() { [ -z "$proxy" ] || [ "$(ask "127.0.0.1:$REDOUBT_PORT" set by-proxy "$1" | head -n 1)" = +OK ]; }
has() { [ -z "$proxy" ] || ask "$1:6379" get by-proxy | grep -qx "$2"; }

say "up"
timeout $((2 * limit)) "${compose[@]}" up -d >"$out/up" 2>&1 || {
	cat "$out/up" >&2
	fail "the deployment does not come up"
}
await "the deployment to be whole" whole
first=$(primary)
await "HAProxy to lead to $first" leads 1
has "$first" 1 || fail "HAProxy leads elsewhere"

say "the primary $first is killed"
box=$(docker ps -q --filter network=$network | while read -r id; do
	[ "$(docker inspect -f '{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}' "$id")" != "$first" ] || echo "$id"
done)
docker run -d --name "$checker" --network "$network" redoubt:local \
	check --sentinel "mymaster@$sentinels" --duration 0 --json --rate 1000 --keys 4096 >/dev/null
await "the check to get going" progressing
fault=$(now)
docker update --restart no "$box" >/dev/null # or the engine is quicker than the Sentinels
docker kill --signal KILL "$box" >/dev/null
await "a replica to take over" elsewhere "$first"
echo "the primary is $at"
await "HAProxy to lead to $at" leads 2
await "the new primary to have it" has "$at" 2
docker start "$box" >/dev/null
await "the deployment to be whole again" whole
elsewhere "$first" || fail "the killed primary is one again"
docker kill --signal INT "$checker" >/dev/null
timeout "$limit" docker wait "$checker" >/dev/null || fail "the check does not end"
docker logs "$checker" >"$out/report.json" 2>"$out/progress"
tail -n 1 "$out/progress"
# down-after-milliseconds, and an election.
docker run --rm -i redoubt:local check verdict --fault "$first@$fault" --node-timeout 5s <"$out/report.json" || fail "the verdict"
