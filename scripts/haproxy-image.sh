#!/usr/bin/env bash
# Builds redoubt-haproxy:local FROM scratch out of the haproxy that is installed here, with
# the libraries that it needs. Nothing is pulled. Without haproxy, or without a Docker
# engine, it is skipped.
set -euo pipefail

program=$(command -v haproxy) || {
	echo "haproxy-image: skipped: haproxy is not installed"
	exit 0
}
context=$(mktemp -d)
trap 'rm -rf "$context"' EXIT
# The loader looks for libraries where they are here.
ldd "$program" | grep -o '/[^ ]*' | while read -r library; do
	install -D "$library" "$context/root$library"
done
install -D "$program" "$context/root/usr/sbin/haproxy"
cat >"$context/Dockerfile" <<'END'
FROM scratch
COPY root /
USER 10001:10001
EXPOSE 6379
STOPSIGNAL SIGUSR1
ENTRYPOINT ["/usr/sbin/haproxy", "-W", "-db", "-f", "/etc/haproxy/haproxy.cfg"]
END
docker build -q -t redoubt-haproxy:local "$context"
