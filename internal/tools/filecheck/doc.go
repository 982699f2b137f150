// Package filecheck is redis-check-rdb and redis-check-aof: it reads RDB files and
// append-only files of Redis, says whether they are sound, and shortens an append-only
// file by what cannot be read. The lines that it prints are those of Redis's tools,
// because scripts read them; what is wrong inside of a value is said in words of its
// own. It takes the files that this server writes and reads, and so a little more
// than Redis's tools: RDB files of Valkey 9, and of later versions of Redis.
package filecheck
