#!/usr/bin/env bash
# Builds redoubt_VERSION_ARCH.deb in DIR (bin by default) of bin/redoubt, by dpkg-deb alone:
#
#   packaging/deb/build.sh [DIR]
#
# VERSION is that of the package. Without it, it is made of the version of the program as
# git describes it: a tag v1.2.3 gives 1.2.3, a commit after it 1.2.3+git4.abcdef, one
# without a tag 0~git20260102.abcdef. Two builds of one commit are the same byte for byte.
set -euo pipefail
cd "$(dirname "$0")/../.."
out=${1:-bin}
program=${PROGRAM:-bin/redoubt}

# version prints the version of the package.
version() {
	local described hash
	if described=$(git describe --tags --match 'v[0-9]*' 2>/dev/null); then
		described=${described#v}
		sed -E 's/-([0-9]+)-g([0-9a-f]+)$/+git\1.\2/; s/-/~/g' <<<"$described"
	elif hash=$(git rev-parse --short HEAD 2>/dev/null); then
		echo "0~git$(git log -1 --date=format:%Y%m%d --format=%cd).$hash"
	else
		echo 0~unknown
	fi
}

command -v dpkg-deb >/dev/null || {
	echo "build.sh: there is no dpkg-deb" >&2
	exit 1
}
[ -x "$program" ] || {
	echo "build.sh: there is no $program: run 'make build'" >&2
	exit 1
}
# The units let the service execute this one file, without the libraries of the system.
if readelf -l "$program" 2>/dev/null | grep -q INTERP; then
	echo "build.sh: $program is not a static program: run 'make build'" >&2
	exit 1
fi
version=${VERSION:-$(version)}
arch=$(dpkg --print-architecture)
export SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 0)}

root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
chmod 755 "$root"
from=packaging/deb
doc=$root/usr/share/doc/redoubt

put() { install -D -m "$1" "$2" "$root$3"; }
put 755 "$program" /usr/bin/redoubt
for name in redis-server redis-sentinel redis-check-rdb redis-check-aof; do
	mkdir -p "$root/usr/lib/redoubt/bin"
	ln -s ../../../bin/redoubt "$root/usr/lib/redoubt/bin/$name"
done
for unit in packaging/systemd/*.service; do
	put 644 "$unit" "/lib/systemd/system/$(basename "$unit")"
done
put 640 $from/redoubt.conf /etc/redoubt/redoubt.conf
put 640 $from/cluster.conf /etc/redoubt/cluster.conf
put 644 $from/sentinel.conf /usr/share/redoubt/sentinel.conf
put 644 $from/redoubt.logrotate /etc/logrotate.d/redoubt
put 644 $from/redoubt.1 /usr/share/man/man1/redoubt.1
put 644 $from/copyright /usr/share/doc/redoubt/copyright
sed 's/^$/./; s/^/ /' LICENSE | sed -n '/Redistribution/,$p' >>"$doc/copyright"
for page in service config commands compatibility durability security sentinel; do
	put 644 "docs/$page.md" "/usr/share/doc/redoubt/$page.md"
done
cat >"$doc/changelog.Debian" <<END
redoubt ($version) unstable; urgency=medium

  * The program as of this version; its history is in the repository.

 -- The Redoubt authors <redoubt@localhost>  $(date -u -R -d "@$SOURCE_DATE_EPOCH")
END
gzip -9n "$doc/changelog.Debian" "$root/usr/share/man/man1/redoubt.1"

mkdir "$root/DEBIAN"
cat >"$root/DEBIAN/control" <<END
Package: redoubt
Version: $version
Architecture: $arch
Maintainer: The Redoubt authors <redoubt@localhost>
Installed-Size: $(du -sk --exclude=DEBIAN "$root" | cut -f1)
Depends: adduser
Recommends: redis-tools
Suggests: haproxy, logrotate
Section: database
Priority: optional
Description: sharded, durable in-memory datastore, compatible with Redis
 Redoubt speaks the protocols of Redis Cluster and of Sentinel: to clients, to
 replicas, to other nodes. A redis-server can be a member of the same cluster, a
 replica, or a primary. Acknowledged writes survive the end of the process, and
 snapshots are written without a fork.
 .
 The package has a node, a Sentinel and their tools in one static program, and
 units of systemd for them, none of which is enabled by the installation.
END
printf '%s\n' /etc/logrotate.d/redoubt /etc/redoubt/cluster.conf /etc/redoubt/redoubt.conf >"$root/DEBIAN/conffiles"
for script in postinst prerm postrm; do
	install -m 755 "$from/$script" "$root/DEBIAN/$script"
done
(cd "$root" && find usr lib etc -type f ! -path 'etc/*' -printf '%p\0' | sort -z | xargs -0 md5sum >DEBIAN/md5sums)
find "$root" -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +

mkdir -p "$out"
package=$out/redoubt_${version}_$arch.deb
dpkg-deb --root-owner-group -Zxz -z1 --build "$root" "$package" >/dev/null
echo "$package"
