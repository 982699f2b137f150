#!/usr/bin/env bash
# Installs the Debian package that "make deb" has built, runs what is in it, upgrades, removes
# and purges it: beside Debian's Redis, and without. Then it boots systemd on it and tries the
# units: starts, a kill, a hang, a port that is taken, an upgrade and a removal under way.
#
#   scripts/deb.sh [PACKAGE]
#
# All of that happens in copies of this machine, of which nothing is left: overlays of its file
# system in memory, in namespaces of mounts, processes and networks. It needs root, dpkg and
# Debian's redis-server. Without them it is skipped, but fails if CI=true; where there is no
# systemd, only its part is skipped.
set -euo pipefail
cd "$(dirname "$0")/.."
limit=60 # seconds, for each wait

# skipped MESSAGE: what the script needs is not here.
skipped() {
	if [ "${CI:-}" = true ]; then
		echo "deb: $*" >&2
		exit 1
	fi
	echo "deb: skipped: $*"
	exit 0
}

if [ "${1:-}" != --inside ]; then
	package=${1:-$(ls -t bin/redoubt_*.deb 2>/dev/null | head -n 1)}
	[ "$(id -u)" = 0 ] || skipped "it needs root"
	command -v dpkg-deb unshare nsenter ip adduser redis-cli >/dev/null ||
		skipped "dpkg-deb, unshare, nsenter, ip, adduser or redis-cli is missing"
	[ -f "$package" ] || {
		echo "deb: there is no package: run 'make deb'" >&2
		exit 1
	}
	work=$(mktemp -d)
	# Cgroups of its own, for systemd: a process can be put into the namespace of the one it is in.
	groups=()
	for h in /sys/fs/cgroup/systemd /sys/fs/cgroup/unified /sys/fs/cgroup; do
		[ -w $h/cgroup.procs ] && mkdir "$h/redoubt-deb-$$" 2>/dev/null && groups+=("$h/redoubt-deb-$$")
	done
	gone() {
		for g in "${groups[@]}"; do
			for _ in $(seq 50); do
				find "$g" -depth -type d -exec rmdir {} + 2>/dev/null && break
				sleep 0.1
			done
		done
		rmdir "$work"
	}
	trap gone EXIT
	# The processes within end with unshare, whatever happens: --kill-child.
	(
		for g in "${groups[@]}"; do echo "$BASHPID" >"$g/cgroup.procs"; done
		exec timeout --foreground -s KILL 600 unshare --mount --pid --fork --kill-child=KILL --mount-proc --net --uts --ipc --cgroup --propagation private \
			bash "$0" --inside "$package" "$work"
	)
	exit
fi

package=$2
work=$3
ip link set lo up

say() { printf '\n=== %s\n' "$*"; }

fail() {
	echo "deb: $*" >&2
	[ ! -s "$root/root/services.log" ] || tail -n 40 "$root/root/services.log" >&2
	[ ! -s "$work/systemd.log" ] || tail -n 20 "$work/systemd.log" >&2
	exit 1
}

# copy makes a copy of the machine in $root, and gives it what a system has.
mount -t tmpfs -o mode=755 none "$work"
root=
copy() {
	local name=$1
	root=$work/$name/root
	mkdir -p "$work/$name/upper" "$work/$name/work" "$root"
	mount -t overlay overlay -o "lowerdir=/,upperdir=$work/$name/upper,workdir=$work/$name/work" "$root"
	mount -t tmpfs -o mode=755 none "$root/run"
	mount -t tmpfs -o mode=1777 none "$root/tmp"
	mount -t proc proc "$root/proc"
	mount -t tmpfs -o mode=755 none "$root/dev"
	local n
	for n in null zero full random urandom tty; do
		touch "$root/dev/$n"
		mount --bind "/dev/$n" "$root/dev/$n"
	done
	mkdir "$root/dev/shm" "$root/dev/pts"
	mount -t devpts -o newinstance,ptmxmode=0666 devpts "$root/dev/pts"
	mount -t tmpfs -o mode=1777 none "$root/dev/shm"
	ln -s pts/ptmx "$root/dev/ptmx"
	ln -s /proc/self/fd "$root/dev/fd"
	# Another Redoubt may be installed here.
	in_root dpkg --purge redoubt >/dev/null 2>&1 || true
	rm -f "$root/var/lib/man-db/auto-update" # what takes most of the time of an installation
	cp "$package" "$root/root/redoubt.deb"
	cp /usr/bin/redis-cli "$root/root/redis-cli"
	repack
}

in_root() { chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive "$@"; }

# repack makes newer.deb of the package: a later version, whose redoubt.conf differs.
repack() {
	local at=$root/root/repacked
	dpkg-deb -R "$root/root/redoubt.deb" "$at"
	sed -i 's/^\(Version: .*\)/\1+newer/' "$at/DEBIAN/control"
	echo "# a line of the newer version" >>"$at/etc/redoubt/redoubt.conf"
	dpkg-deb --root-owner-group -Znone -b "$at" "$root/root/newer.deb" >/dev/null
	rm -r "$at"
}

# holds WHAT COMMAND… fails unless the command succeeds.
holds() {
	local what=$1
	shift
	"$@" >"$work/said" 2>&1 || {
		cat "$work/said" >&2
		fail "it does not hold that $what"
	}
}

# await WHAT COMMAND… repeats the command until it succeeds.
await() {
	local what=$1 until=$((SECONDS + limit))
	shift
	until "$@" >"$work/said" 2>&1; do
		[ "$SECONDS" -lt "$until" ] || {
			cat "$work/said" >&2
			fail "waited in vain until $what"
		}
		sleep 0.2
	done
}

not() { ! "$@"; }
is() { [ "$1" = "$2" ] || { echo "it is '$1', not '$2'"; return 1; }; }
owned() { is "$(in_root stat -c '%U:%G %a' "$1")" "$2"; }
names="redis-server redis-sentinel redis-check-rdb redis-check-aof"

# links says where the names of Redis lead.
links() { for n in $names; do printf '%s %s\n' "$n" "$(readlink "$root/usr/bin/$n" || echo -)"; done; }

# run_node runs the node as the unit would, until the tests are over: run_node TESTS….
run_node() {
	local command pid
	command=$(sed -n 's/^ExecStart=//p' "$root/lib/systemd/system/redoubt.service")
	# shellcheck disable=SC2086 # the words of the unit
	chroot --userspec=redoubt:redoubt "$root" env -i $command >"$work/node.log" 2>&1 &
	pid=$!
	await "the node serves" in_root redoubt health
	"$@"
	kill "$pid"
	wait "$pid" || fail "the node ended with status $?: $(tail -n 5 "$work/node.log")"
}

# call COMMAND… has the node carry out a command, by the client that the machine has.
call() { in_root /root/redis-cli -e -p "${port:-6379}" "$@"; }

say "beside Debian's Redis"
copy beside
if ! in_root dpkg-query -S /usr/bin/redis-server >/dev/null 2>&1; then
	skipped "Debian's redis-server is not installed"
fi
before=$(links)
holds "the package is installed" in_root dpkg -i /root/redoubt.deb
holds "Debian's files are what they were" is "$(links)" "$before"
holds "Debian's files are whole" in_root dpkg --verify redis-server redis-sentinel redis-tools
holds "Redoubt has the names in a directory of its own" grep -q "v=.*malloc=go" <(in_root /usr/lib/redoubt/bin/redis-server --version)
holds "the configuration is the service's" owned /etc/redoubt/redoubt.conf "redoubt:redoubt 640"
holds "the data are the service's" owned /var/lib/redoubt "redoubt:redoubt 750"
writes() {
	holds "it takes writes" call set k v
	holds "CONFIG REWRITE works" call config rewrite
}
run_node writes
holds "the journal is the service's" is "$(in_root stat -c %U /var/lib/redoubt/appendonlydir)" redoubt
holds "all of it is removed" in_root dpkg --purge redoubt
holds "Debian's files are what they were" is "$(links)" "$before"
for path in /etc/redoubt /var/lib/redoubt /var/log/redoubt /usr/lib/redoubt /usr/bin/redoubt; do
	holds "$path is gone" not test -e "$root$path"
done
holds "the user is gone" not in_root getent passwd redoubt
holds "nothing of the package is left" not in_root dpkg -s redoubt

say "without it"
copy alone
holds "Debian's Redis is removed" in_root dpkg --purge --force-depends redis-server redis-sentinel redis-tools redis
holds "the package is installed" in_root dpkg -i /root/redoubt.deb
for n in $names; do
	holds "$n is Redoubt's" is "$(in_root readlink -f /usr/bin/$n)" /usr/bin/redoubt
done
holds "redis-server is Redoubt's" grep -q "malloc=go" <(in_root redis-server --version)

echo "# a line of the administrator" >>"$root/etc/redoubt/redoubt.conf"
echo "# a line of the Sentinel" >>"$root/etc/redoubt/sentinel.conf"
holds "the same package is installed again" in_root dpkg -i /root/redoubt.deb
holds "the administrator's lines stay" grep -q "a line of the administrator" "$root/etc/redoubt/redoubt.conf"
run_node holds "it takes writes" call set k v
holds "a newer one is installed" in_root dpkg --force-confold -i /root/newer.deb
holds "the administrator's lines stay" grep -q "a line of the administrator" "$root/etc/redoubt/redoubt.conf"
holds "the Sentinel's lines stay" grep -q "a line of the Sentinel" "$root/etc/redoubt/sentinel.conf"
holds "the new file lies beside" grep -q "a line of the newer version" "$root/etc/redoubt/redoubt.conf.dpkg-dist"
holds "the links stay" is "$(in_root readlink -f /usr/bin/redis-server)" /usr/bin/redoubt

# A package that brings /usr/bin/redis-server, as a link like Debian's, and redis-sentinel as a file.
mkdir -p "$root/root/other/DEBIAN" "$root/root/other/usr/bin"
printf 'Package: other-redis\nVersion: 1\nArchitecture: all\nMaintainer: nobody <nobody@localhost>\nDescription: a test\n' >"$root/root/other/DEBIAN/control"
ln -s redis-sentinel "$root/root/other/usr/bin/redis-server"
printf '#!/bin/sh\necho other\n' >"$root/root/other/usr/bin/redis-sentinel"
chmod 755 "$root/root/other/usr/bin/redis-sentinel"
dpkg-deb --root-owner-group -Znone -b "$root/root/other" "$root/root/other.deb" >/dev/null
others() { for n in redis-server redis-sentinel; do is "$(in_root $n)" other; done; }
holds "another package can bring the names" in_root dpkg -i /root/other.deb
holds "then they are its" others
holds "Redoubt is installed again" in_root dpkg --force-confold -i /root/newer.deb
holds "and leaves them to it" others
holds "Redoubt is removed" in_root dpkg -r redoubt
holds "and leaves them to it" others
holds "the program is gone" not test -e "$root/usr/bin/redoubt"
holds "the other names are gone" not test -L "$root/usr/bin/redis-check-rdb"
holds "configuration and data stay" test -s "$root/etc/redoubt/redoubt.conf" -a -d "$root/var/lib/redoubt/appendonlydir"
holds "the other package is removed" in_root dpkg -P other-redis
holds "Redoubt comes back" in_root dpkg -i /root/newer.deb
holds "with its configuration" grep -q "a line of the administrator" "$root/etc/redoubt/redoubt.conf"
value() { is "$(call get k)" v; }
kept() { holds "and its data" value; }
run_node kept
holds "all of it is removed" in_root dpkg --purge redoubt
holds "no alternative is left" not in_root update-alternatives --query redis-server

say "under systemd"
if [ ! -x /lib/systemd/systemd ]; then
	echo "deb: there is no systemd; its part is skipped"
	exit 0
fi
copy booted
rm -f "$root/usr/sbin/policy-rc.d"
holds "the package is installed" in_root dpkg -i /root/redoubt.deb
holds "the units are right" in_root systemd-analyze verify /lib/systemd/system/redoubt.service \
	/lib/systemd/system/redoubt-sentinel.service redoubt@x.service redoubt-cluster@7000.service
for unit in redoubt.service redoubt@.service redoubt-cluster@.service redoubt-sentinel.service; do
	holds "$unit may do little" in_root systemd-analyze security --offline=true --threshold=20 "$unit"
done

# A system that does nothing but wait for what it is told.
mkdir -p "$root/etc/systemd/system/service.d" "$root/etc/systemd/system/redoubt.service.d"
cat >"$root/etc/systemd/system/waits.target" <<'UNIT'
[Unit]
DefaultDependencies=no
UNIT
# There is no journal here, and no network to wait for.
printf '[Service]\nStandardOutput=append:/root/services.log\nStandardError=append:/root/services.log\n' \
	>"$root/etc/systemd/system/service.d/log.conf"
printf '[Service]\nWatchdogSec=3\n' >"$root/etc/systemd/system/redoubt.service.d/watchdog.conf"
for wait in systemd-networkd-wait-online networking NetworkManager-wait-online ifupdown-wait-online; do
	ln -sf /dev/null "$root/etc/systemd/system/$wait.service"
done
rm -rf "$root"/etc/systemd/system/*.wants "$root"/lib/systemd/system/*.wants "$root/etc/machine-id" "$root/etc/fstab"
echo 0123456789abcdef0123456789abcdef >"$root/etc/machine-id"

umount "$root/proc"
: >"$work/systemd.log"
unshare --pid --fork --kill-child=KILL --mount --propagation private bash -c '
	set -e
	mount -t proc proc "$0/proc"
	mount -t sysfs -o ro sysfs "$0/sys"
	mount -t tmpfs -o mode=755 none "$0/sys/fs/cgroup"
	if [ -d /sys/fs/cgroup/systemd ]; then
		mkdir "$0/sys/fs/cgroup/systemd" "$0/sys/fs/cgroup/unified"
		mount -t cgroup -o none,name=systemd cgroup "$0/sys/fs/cgroup/systemd"
		mount -t cgroup2 cgroup2 "$0/sys/fs/cgroup/unified"
	else
		mount -t cgroup2 cgroup2 "$0/sys/fs/cgroup"
	fi
	touch "$0/dev/console"
	mount --bind "$1" "$0/dev/console"
	cd "$0"
	pivot_root . mnt
	umount -l /mnt
	exec env -i container=redoubt-deb PATH=/usr/sbin:/usr/bin:/sbin:/bin \
		/lib/systemd/systemd --unit=waits.target --log-target=console --show-status=no
' "$root" "$work/systemd.log" </dev/null &
unshared=$!
booted() { system=$(cat "/proc/$unshared/task/$unshared/children" | tr -d ' ') && [ "$(cat "/proc/$system/comm")" = systemd ]; }
await "systemd runs" booted

in_root() { nsenter --target "$system" --mount --pid --cgroup --root --wd env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive "$@"; }
await "systemd answers" in_root systemctl list-units
shows() { in_root systemctl show --value -p "$1" "${2:-redoubt}"; }
start() { holds "$1 starts" in_root timeout -s KILL $limit systemctl start "$1"; }

start redoubt
holds "it is told that the node serves" is "$(shows StatusText)" "Ready to accept connections"
holds "it runs as its user" is "$(in_root ps -o user= -p "$(shows MainPID)")" redoubt
holds "INFO says who supervises" grep -q process_supervised:systemd <(call info server)
holds "it takes writes" call set k v
holds "CONFIG REWRITE works" call config rewrite
again() { [ "$(shows NRestarts)" -ge "$1" ] && in_root redoubt health && value; }
in_root kill -KILL "$(shows MainPID)"
await "a node that is killed is started again, with its data" again 1
in_root kill -STOP "$(shows MainPID)"
await "a node that hangs is started again, with its data" again 2
holds "it was the watchdog" grep -q "SIGABRT" "$root/root/services.log"
holds "it stops" in_root timeout -s KILL $limit systemctl stop redoubt
holds "in good order" is "$(shows Result)" success

start redoubt
in_root cp -p /etc/redoubt/redoubt.conf /etc/redoubt/redoubt-busy.conf
in_root sed 's/^port .*/port 6390/' /etc/redoubt/redoubt.conf >"$root/root/other.conf"
in_root install -o redoubt -g redoubt -m 640 /root/other.conf /etc/redoubt/redoubt-other.conf
holds "an instance on a port that is taken does not start" not in_root timeout -s KILL $limit systemctl start redoubt@busy
in_root systemctl stop redoubt@busy
start redoubt@other
holds "an instance serves" in_root redoubt health --port 6390
holds "it has data of its own" in_root test -d /var/lib/redoubt/other/appendonlydir
start redoubt-cluster@7000
holds "a node of a cluster serves" grep -q "cluster_enabled:1" <(port=7000 call info cluster)
start redoubt-sentinel
holds "a Sentinel serves" in_root redoubt health --port 26379
holds "it has written its file" grep -q "^sentinel myid" "$root/etc/redoubt/sentinel.conf"

main=$(shows MainPID)
holds "the package is upgraded" in_root dpkg --force-confold -i /root/newer.deb
holds "the service is another process" not is "$(shows MainPID)" "$main"
holds "with its data" value
holds "the instance goes on" is "$(shows ActiveState redoubt@other)" active
holds "the package is removed" in_root dpkg --purge redoubt
for unit in redoubt redoubt@other redoubt-cluster@7000 redoubt-sentinel; do
	holds "$unit has ended" not is "$(shows ActiveState $unit)" active
done
holds "nothing runs any more" not in_root pgrep -u redoubt
printf '\ndeb: all of it holds\n'
