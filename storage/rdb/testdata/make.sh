#!/bin/sh
# Makes the golden files of this directory with a real redis-server (made with
# 7.0.15). The tests know what is in them: change both together.
# Usage: sh make.sh PORT
set -eu
port=$1
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cli() { redis-cli -p "$port" "$@" >/dev/null; }

# make NAME OPTIONS...: a server, the commands of standard input, a SAVE.
make() {
	name=$1
	shift
	(cd "$work" && exec redis-server --port "$port" --save '' --dbfilename "$name" "$@" >/dev/null) &
	until redis-cli -p "$port" ping 2>/dev/null | grep -q PONG; do sleep 0.1; done
	redis-cli -p "$port" >/dev/null
	cli save
	redis-cli -p "$port" shutdown nosave || true
	wait
	mv "$work/$name" "$here/$name"
}

strings() {
	cat <<'COMMANDS'
set plain hello
set empty ""
set int8 -128
set int16 32767
set int32 -2147483648
set int64 12345678901
set leading-zero 007
set minus-zero -0
set eleven 12345678901
set binary "\x00\xff\r\n\x80"
setrange zeroes 299 "\x00"
set text "to be or not to be, that is the question; to be or not to be, that is no question"
set expires soon PXAT 4102444800123
setrange long 19999 end
set 12 int-key
set a-key-which-is-long-enough-to-be-compressed-compressed-compressed-compressed x
select 3
set other db
select 15
set last db PXAT 4102444800000
COMMANDS
}

strings | make strings.rdb
strings | make strings-plain.rdb --rdbcompression no --rdbchecksum no
echo 'set k v' | make idle.rdb --maxmemory-policy allkeys-lru
echo 'set k v' | make freq.rdb --maxmemory-policy allkeys-lfu
printf 'set a 1\nhset a-hash f v\n' | make hash.rdb
cat <<'COMMANDS' | make function.rdb
function load "#!lua name=lib\nredis.register_function('f', function() return 1 end)"
set k v
COMMANDS
: | make empty.rdb
