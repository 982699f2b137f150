# What compose-lab.sh and compose-sentinel.sh have in common. They set name, network and
# checker (a container), source this file, and add the file of their deployment to $compose.

here=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
limit=60 # seconds, for each wait
out=$(mktemp -d)

say() { printf '\n=== %s\n' "$*"; }

# absent MESSAGE: what the script needs is not here.
absent() {
	rm -rf "$out"
	if [ "${CI:-}" = true ]; then
		echo "$name: $*" >&2
		exit 1
	fi
	echo "$name: skipped: $*"
	exit 0
}

command -v docker >/dev/null || absent "there is no docker command"
timeout 20 docker info >/dev/null 2>&1 || absent "the docker engine does not answer"
if docker compose version >/dev/null 2>&1; then
	compose=(docker compose)
elif command -v docker-compose >/dev/null; then
	compose=(docker-compose)
else
	absent "there is neither 'docker compose' nor docker-compose"
fi

# need_images IMAGE… ends the script if one is missing.
need_images() {
	local image
	for image; do
		docker image inspect "$image" >/dev/null 2>&1 || {
			echo "$name: there is no image $image: run 'make image'" >&2
			exit 1
		}
	done
}

down() {
	docker rm -f "$checker" >/dev/null 2>&1 || true
	timeout "$limit" "${compose[@]}" down -v --timeout 5 >/dev/null 2>&1 || true
	rm -rf "$out"
}

# fail MESSAGE prints it with the ends of the logs.
fail() {
	echo "$name: $*" >&2
	timeout "$limit" "${compose[@]}" logs --tail 15 >&2 || true
	exit 1
}

# await WHAT COMMAND… repeats the command until it succeeds.
await() {
	local what=$1 until=$((SECONDS + limit))
	shift
	until "$@"; do
		[ "$SECONDS" -lt "$until" ] || fail "waited in vain for $what"
		sleep 0.3
	done
}

progressing() { [ "$(docker logs "$checker" 2>&1 >/dev/null | wc -l)" -ge 3 ]; }

now() { date -u +%Y-%m-%dT%H:%M:%S.%NZ; }
