package server

import "testing"

// The names of encodings follow the settings at start, of CONFIG SET and of
// DEBUG. A collection keeps the name it has until it is changed.
func TestEncodingsFollowTheSettings(t *testing.T) {
	n := startNode(t, "--hash-max-ziplist-entries", "1")
	c := n.dial()
	for _, step := range []struct{ line, reply string }{
		{"HSET h a 1", "1"},
		{"OBJECT ENCODING h", "listpack"},
		{"HSET h b 1", "1"},
		{"OBJECT ENCODING h", "hashtable"},
		{"CONFIG SET hash-max-listpack-entries 2 set-max-intset-entries 1", "OK"},
		{"HSET h2 a 1 b 2", "2"},
		{"OBJECT ENCODING h2", "listpack"},
		{"OBJECT ENCODING h", "hashtable"},
		{"SADD s 1", "1"},
		{"OBJECT ENCODING s", "intset"},
		{"SADD s 2", "1"},
		{"OBJECT ENCODING s", "hashtable"},
		{"CONFIG SET hash-max-listpack-value 2", "OK"},
		{"HSET h3 a xxx", "1"},
		{"OBJECT ENCODING h3", "hashtable"},
		{"SADD s3 a", "1"},
		{"CONFIG SET set-max-listpack-value 2 set-max-listpack-entries 2", "OK"},
		{"OBJECT ENCODING s3", "listpack"},
		{"SADD s3 aaa", "1"},
		{"OBJECT ENCODING s3", "hashtable"},
		{"RPUSH l 1 2 3", "3"},
		{"OBJECT ENCODING l", "listpack"},
		{"CONFIG SET list-max-listpack-size 3", "OK"},
		{"RPUSH l 4", "4"},
		{"OBJECT ENCODING l", "quicklist"},
		{"RPUSH replaced 1 2 3", "3"},
		{"OBJECT ENCODING replaced", "listpack"},
		{"LSET replaced 0 4", "OK"},
		{"OBJECT ENCODING replaced", "quicklist"},
		{"LTRIM replaced 0 0", "OK"},
		{"OBJECT ENCODING replaced", "listpack"},
		{"CONFIG SET list-max-ziplist-size -2", "OK"},
		{"DEBUG QUICKLIST-PACKED-THRESHOLD 3b", "OK"},
		{"RPUSH l2 ab", "1"},
		{"OBJECT ENCODING l2", "listpack"},
		{"RPUSH l2 abc", "2"},
		{"OBJECT ENCODING l2", "listpack"}, // the threshold is about nodes of quicklists
		{"CONFIG SET list-max-ziplist-size -1", "OK"},
		{"RPUSH l3 abc", "1"},
		{"OBJECT ENCODING l3", "listpack"},
		{"DEBUG QUICKLIST-PACKED-THRESHOLD 0", "OK"},
		{"RPUSH l4 abc", "1"},
		{"OBJECT ENCODING l4", "listpack"},
		{"DEBUG QUICKLIST-PACKED-THRESHOLD 4gb", "error: ERR argument must be a memory value bigger than 1 and smaller than 4gb"},
		{"DEBUG QUICKLIST-PACKED-THRESHOLD x", "error: ERR argument must be a memory value bigger than 1 and smaller than 4gb"},
		{"DEBUG LISTPACK h2", "Listpack structure printed on stdout"},
		{"DEBUG LISTPACK h", "error: ERR Not a listpack encoded object."},
		{"DEBUG LISTPACK none", "error: ERR no such key"},
		{"MULTI", "OK"},
		{"CONFIG SET hash-max-listpack-entries 0", "QUEUED"},
		{"HSET h4 a 1", "QUEUED"},
		{"OBJECT ENCODING h4", "QUEUED"},
		{"EXEC", "[OK 1 hashtable]"},
	} {
		c.want(step.line, step.reply)
	}
}
