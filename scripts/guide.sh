#!/usr/bin/env bash
# The operations guide, from one node to a cluster of six, with configuration files as a
# person writes them:
#
#   scripts/guide.sh                              all of it with Redoubt
#   SENTINEL=redis-sentinel scripts/guide.sh      the Sentinels are those of Redis
#   SERVER=redis-server scripts/guide.sh          the nodes are those of Redis
#
# SERVER and SENTINEL are programs that are called as redis-server and redis-sentinel
# are; by default they are bin/redoubt under these names. It needs redis-cli, and haproxy
# for its chapter, which is left out without it. Everything happens in a new directory
# and on 127.0.0.1, ports $BASE to $BASE+30 (BASE is 22100 by default; the cluster takes
# those 10,000 above as well, which should be below the ephemeral ports). All processes are
# ended when the script ends; the directory is kept if something fails.
set -euo pipefail
cd "$(dirname "$0")/.."

base=${BASE:-22100}
dir=$(mktemp -d "${TMPDIR:-/tmp}/guide.XXXXXX")
ln -s "$PWD/bin/redoubt" "$dir/redis-server"
ln -s "$PWD/bin/redoubt" "$dir/redis-sentinel"
server=$(command -v "${SERVER:-$dir/redis-server}")
sentinel=$(command -v "${SENTINEL:-$dir/redis-sentinel}")
unset REDISCLI_AUTH

chapter() { printf '\n== %s\n' "$*"; }
say() { printf '   %s\n' "$*"; }
fail() {
	printf 'FAILED: %s\n' "$*" >&2
	exit 1
}

# cli PORT COMMAND… runs redis-cli as whoever $as says: nobody, or options of redis-cli.
as=()
cli() {
	local port=$1
	shift
	timeout 10 redis-cli --no-auth-warning -h 127.0.0.1 -p "$port" "${as[@]}" "$@"
}

# until_ok WHAT COMMAND… waits up to a minute for the command to succeed.
until_ok() {
	local what=$1 deadline=$((SECONDS + 60))
	shift
	until "$@" 2>/dev/null; do
		[ "$SECONDS" -lt "$deadline" ] || fail "waited a minute in vain: $what"
		sleep 0.1
	done
	say "$what"
}

# replies PORT TEXT COMMAND… succeeds if the reply contains the text.
replies() {
	local port=$1 text=$2
	shift 2
	grep -q -e "$text" <<<"$(cli "$port" "$@" 2>&1)"
}

# must_reply is replies that ends the script otherwise.
must_reply() { replies "$@" || fail "port $1: ${*:3} did not answer '$2' but '$(cli "$1" "${@:3}" 2>&1)'"; }

pid_of() { cat "$dir/$1/$1.pid" 2>/dev/null; }

# running NAME succeeds if the process that NAME.pid names is alive.
running() {
	local pid
	pid=$(pid_of "$1") && [ -n "$pid" ] && [ -e "/proc/$pid" ] && ! grep -q '^State:[[:space:]]*Z' "/proc/$pid/status"
}

# start NAME starts the program of $dir/NAME/NAME.conf, which daemonizes.
start() {
	case $1 in
	sentinel*) "$sentinel" "$dir/$1/$1.conf" >"$dir/$1/start.out" 2>&1 ;;
	*) "$server" "$dir/$1/$1.conf" >"$dir/$1/start.out" 2>&1 ;;
	esac || fail "$1 did not start: $(cat "$dir/$1/start.out")"
}

# crash NAME ends a process as a fault would.
crash() {
	local pid
	pid=$(pid_of "$1")
	kill -SEGV "$pid"
	until_ok "$1 has crashed" bash -c "! [ -e /proc/$pid ]"
}

# stop NAME… ends processes in an orderly way. redis-server refuses, and forgets the signal, as long as it writes its
# first append-only file ("Writing initial AOF. Can't exit."), as a replica does after a full resync: it is told again
# every three seconds.
stop() {
	local name told
	for name; do
		tell "$name"
	done
	for name; do
		told=$SECONDS
		until_ok "$name has stopped" has_stopped "$name"
	done
}
tell() { ! running "$1" || kill "$(pid_of "$1")" 2>/dev/null || true; }
has_stopped() {
	running "$1" || return 0
	if [ $((SECONDS - told)) -ge 3 ]; then
		told=$SECONDS
		tell "$1"
	fi
	return 1
}

cleanup() {
	local status=$? pidfile pid
	for pidfile in "$dir"/*/*.pid; do
		if pid=$(cat "$pidfile" 2>/dev/null) && [ -n "$pid" ]; then
			kill -9 "$pid" 2>/dev/null || true
		fi
	done
	if [ "$status" = 0 ]; then
		rm -rf "$dir"
	else
		printf 'The files are in %s\n' "$dir" >&2
	fi
}
trap cleanup EXIT

# node NAME PORT writes the file of a node; what follows on the standard input is added.
node() {
	mkdir -p "$dir/$1"
	cat - >"$dir/$1/$1.conf" <<-END
		bind 127.0.0.1
		port $2
		dir $dir/$1
		pidfile $dir/$1/$1.pid
		logfile $dir/$1/$1.log
		daemonize yes
		appendonly yes
		$(cat)
	END
}

# sentinel_node NAME PORT MASTER_PORT likewise for a Sentinel.
sentinel_node() {
	mkdir -p "$dir/$1"
	cat - >"$dir/$1/$1.conf" <<-END
		bind 127.0.0.1
		port $2
		dir $dir/$1
		pidfile $dir/$1/$1.pid
		logfile $dir/$1/$1.log
		daemonize yes
		sentinel monitor mymaster 127.0.0.1 $3 2
		sentinel down-after-milliseconds mymaster 2000
		sentinel failover-timeout mymaster 10000
		sentinel parallel-syncs mymaster 1
		$(cat)
	END
}

# master_port is where Sentinels say that the master is.
sentinel_auth=()
master_port() {
	timeout 10 redis-cli --no-auth-warning -h 127.0.0.1 -p $((base + 11)) "${sentinel_auth[@]}" \
		sentinel get-master-addr-by-name mymaster | tail -1
}

# port_of NAME is the port of a node outside the cluster, name_at PORT its name.
port_of() {
	case $1 in
	one) echo "$base" ;;
	two) echo $((base + 1)) ;;
	three) echo $((base + 2)) ;;
	esac
}
name_at() {
	case $1 in
	"$base") echo one ;;
	$((base + 1))) echo two ;;
	*) echo three ;;
	esac
}

failed_over() { [ "$(master_port)" != "$1" ] && replies "$(master_port)" role:master info replication; }
replicas_are() { [ "$(cli "$1" info replication | grep -c '^slave[0-9]*:.*state=online')" = "$2" ]; }
sentinels_know() {
	local port
	for port in $((base + 11)) $((base + 12)) $((base + 13)); do
		replies_sentinel "$port" '^OK 3 usable' sentinel ckquorum mymaster || return 1
		[ "$(timeout 10 redis-cli --no-auth-warning -h 127.0.0.1 -p "$port" "${sentinel_auth[@]}" --raw sentinel replicas mymaster | grep -c '^runid$')" = 2 ] || return 1
	done
}
replies_sentinel() {
	grep -q -e "$2" <<<"$(timeout 10 redis-cli --no-auth-warning -h 127.0.0.1 -p "$1" "${sentinel_auth[@]}" "${@:3}" 2>&1)"
}

# fail_over crashes the master, waits for another, and starts it again as a replica.
fail_over() {
	local old new
	until_ok "all Sentinels know each other and the replicas" sentinels_know
	old=$(master_port)
	cli "$old" set before "$1" >/dev/null
	[ "$(cli "$old" wait 2 5000)" = 2 ] || fail "the replicas are not in step"
	crash "$(name_at "$old")"
	until_ok "another node is the master" failed_over "$old"
	new=$(master_port)
	must_reply "$new" "^$1\$" get before
	cli "$new" set after "$1" >/dev/null
	start "$(name_at "$old")"
	until_ok "the old master is a replica" replies "$old" role:slave info replication
	until_ok "which has what was written meanwhile" replies "$old" "^$1\$" get after
	until_ok "the master has two replicas" replicas_are "$new" 2
}

# deployment SENTINEL_LINES NODE_LINES starts three nodes, two of which are replicas of
# the first, and three Sentinels, all of them new and with these lines in their files.
deployment() {
	local name i replicaof=
	rm -rf "$dir"/one "$dir"/two "$dir"/three "$dir"/sentinel?
	for name in one two three; do
		node "$name" "$(port_of "$name")" <<<"$replicaof$2"
		start "$name"
		replicaof="replicaof 127.0.0.1 $base"
	done
	for i in 1 2 3; do
		sentinel_node "sentinel$i" $((base + 10 + i)) "$base" <<<"$1"
		start "sentinel$i"
	done
}

chapter "One node"
node one "$base" </dev/null
start one
until_ok "it answers" replies "$base" PONG ping
cli "$base" set greeting hello >/dev/null
stop one
start one
until_ok "it is there again" replies "$base" PONG ping
must_reply "$base" '^hello$' get greeting
crash one
start one
until_ok "and after a crash" replies "$base" '^hello$' get greeting

chapter "Two replicas"
for n in two three; do
	node $n "$(port_of $n)" <<<"slaveof 127.0.0.1 $base"
	start $n
done
until_ok "both are online" replicas_are "$base" 2
until_ok "a replica has the data" replies $((base + 1)) '^hello$' get greeting
must_reply $((base + 1)) READONLY set greeting other

chapter "Three Sentinels"
for i in 1 2 3; do
	sentinel_node "sentinel$i" $((base + 10 + i)) "$base" </dev/null
	start "sentinel$i"
done
fail_over first

if command -v haproxy >/dev/null; then
	chapter "HAProxy"
	mkdir -p "$dir/haproxy"
	cat >"$dir/haproxy/haproxy.cfg" <<-END
		defaults
		    mode tcp
		    timeout connect 2s
		    timeout client 60s
		    timeout server 60s
		frontend redis
		    bind 127.0.0.1:$((base + 20))
		    default_backend master
		backend master
		    option tcp-check
		    tcp-check connect
		    tcp-check send PING\r\n
		    tcp-check expect string +PONG
		    tcp-check send info\ replication\r\n
		    tcp-check expect string role:master
		    tcp-check send QUIT\r\n
		    tcp-check expect string +OK
		    server one 127.0.0.1:$base check inter 500ms on-marked-down shutdown-sessions
		    server two 127.0.0.1:$((base + 1)) check inter 500ms on-marked-down shutdown-sessions
		    server three 127.0.0.1:$((base + 2)) check inter 500ms on-marked-down shutdown-sessions
	END
	haproxy -q -D -f "$dir/haproxy/haproxy.cfg" -p "$dir/haproxy/haproxy.pid"
	until_ok "the proxy leads to the master" replies $((base + 20)) '^OK$' set by-proxy 1
	fail_over second
	until_ok "the proxy leads to the new one" replies $((base + 20)) '^OK$' set by-proxy 2
	until_ok "which has the value" replies "$(master_port)" '^2$' get by-proxy
	stop haproxy
elif [ "${CI:-}" = true ]; then
	fail "haproxy is not installed"
else
	say "haproxy is not installed; its chapter is left out"
fi
stop sentinel1 sentinel2 sentinel3 one two three

chapter "Passwords"
deployment '
	sentinel auth-pass mymaster of-clients
	requirepass of-sentinels' '
	requirepass of-clients
	masterauth of-clients'
until_ok "without a password there is no access" replies "$base" NOAUTH get x
until_ok "nor to a Sentinel" replies $((base + 11)) NOAUTH sentinel masters
as=(--pass of-clients)
sentinel_auth=(--pass of-sentinels)
until_ok "the replicas have theirs" replicas_are "$base" 2
fail_over third

chapter "Users"
stop sentinel1 sentinel2 sentinel3 one two three
deployment '
	sentinel auth-user mymaster watcher
	sentinel auth-pass mymaster of-watcher
	user default off
	user sentinel on >of-sentinel allchannels +@all
	sentinel sentinel-user sentinel
	sentinel sentinel-pass of-sentinel' '
	user default off
	user admin on >of-admin ~* &* +@all
	user app on >of-app ~app:* resetchannels &app:* +@all -@dangerous -@admin
	user replica on >of-replica resetchannels +psync +replconf +ping
	user watcher on >of-watcher allchannels +multi +exec +slaveof +replicaof +ping +subscribe +publish +info +role +config|rewrite +client|setname +client|kill +script|kill
	masteruser replica
	masterauth of-replica'
sentinel_auth=(--user sentinel --pass of-sentinel)
as=(--user app --pass of-app)
until_ok "the application writes its keys" replies "$base" '^OK$' set app:1 v
must_reply "$base" NOPERM set other v
must_reply "$base" NOPERM config get dir
must_reply "$base" NOPERM flushall
as=(--user admin --pass of-admin)
must_reply "$base" '^app$' --raw acl users
until_ok "the replicas have a user of their own" replicas_are "$base" 2
fail_over fourth
stop sentinel1 sentinel2 sentinel3 one two three
as=()

chapter "A cluster of six"
nodes=()
for i in 1 2 3 4 5 6; do
	node "cluster$i" $((base + i)) <<-END
		cluster-enabled yes
		cluster-config-file nodes.conf
		cluster-node-timeout 3000
	END
	start "cluster$i"
	nodes+=("127.0.0.1:$((base + i))")
done
for i in 1 2 3 4 5 6; do
	until_ok "node $i answers" replies $((base + i)) PONG ping
done
redis-cli --cluster create "${nodes[@]}" --cluster-replicas 1 --cluster-yes >"$dir/create.out" ||
	fail "the cluster could not be made: $(tail -5 "$dir/create.out")"
checked() { redis-cli --cluster check "127.0.0.1:$1" >"$dir/check.out" 2>&1 && grep -q 'All 16384 slots covered' "$dir/check.out"; }
cluster_set() { [ "$(timeout 10 redis-cli -c -h 127.0.0.1 -p "$1" set "$2" "$3")" = OK ]; }
cluster_get() { [ "$(timeout 10 redis-cli -c -h 127.0.0.1 -p "$1" get "$2")" = "$3" ]; }
until_ok "all slots are covered" checked $((base + 1))
for i in 1 2 3 4 5 6; do
	until_ok "node $i says so" replies $((base + i)) cluster_state:ok cluster info
done
for i in $(seq 1 50); do
	cluster_set $((base + 1 + i % 6)) "key:$i" "$i" || fail "key:$i was not written"
done
in_step() { [ "$(cli $((base + 1)) wait 1 1000)" = 1 ]; }
until_ok "the replica of the first node is in step" in_step
crash cluster1
until_ok "its replica has taken over" cluster_set $((base + 2)) key:1 1
for i in $(seq 1 50); do
	until_ok "key:$i is there" cluster_get $((base + 2)) "key:$i" "$i"
done | tail -1
start cluster1
until_ok "the crashed node is a replica" replies $((base + 1)) role:slave info replication
until_ok "all slots are covered, all nodes agree" checked $((base + 2))
stop cluster1 cluster2 cluster3 cluster4 cluster5 cluster6

printf '\nThe guide works.\n'
