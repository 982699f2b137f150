package filecheck

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"redoubt/internal/reason"
	"redoubt/internal/version"
	"redoubt/storage/rdb"
)

// RDB is redis-check-rdb. name is that of the program, args what follows it. It
// returns the exit code: 0 if the file is sound.
func RDB(out, errs io.Writer, name string, args []string) int {
	if len(args) != 1 {
		fmt.Fprintf(errs, "Usage: %s <rdb-file-name>\n", name)
		return 1
	}
	if args[0] == "-v" || args[0] == "--version" {
		fmt.Fprintf(out, "redis-check-rdb %s\n", version.Redis)
		return 0
	}
	f, err := os.Open(args[0])
	if err != nil {
		checkingRDB(out, args[0])
		fmt.Fprintf(errs, "Cannot open file %s: %s\n", args[0], reason.System(err))
		return 1
	}
	defer f.Close()
	if _, ok := inspect(out, f, args[0]); !ok {
		return 1
	}
	return 0
}

func checkingRDB(out io.Writer, name string) {
	fmt.Fprintf(out, "[offset 0] Checking RDB file %s\n", name)
}

// inspect prints what an RDB file is like, and returns where it ends.
func inspect(out io.Writer, in io.Reader, name string) (end int64, ok bool) {
	checkingRDB(out, name)
	i, err := rdb.Inspect(bufio.NewReaderSize(in, 1<<20), time.Now().UnixMilli(), func(s rdb.Sight) {
		if s.Aux {
			fmt.Fprintf(out, "[offset %d] AUX FIELD %s = '%s'\n", s.Offset, s.Name, s.Val)
		} else {
			fmt.Fprintf(out, "[offset %d] Selecting DB ID %d\n", s.Offset, s.DB)
		}
	})
	if err != nil {
		fmt.Fprintf(out, "--- RDB ERROR DETECTED ---\n[offset %d] %s\n", i.Offset, wrong(i, err))
		fmt.Fprintf(out, "[additional info] While doing: %s\n", i.Doing)
		if i.Key != nil {
			fmt.Fprintf(out, "[additional info] Reading key '%s'\n", i.Key)
		}
		if i.Encoding >= 0 {
			fmt.Fprintf(out, "[additional info] Reading type %d (%s)\n", i.Encoding, encodingName(i.Encoding))
		}
		count(out, i)
		return 0, false
	}
	switch {
	case i.Summed:
		fmt.Fprintf(out, "[offset %d] Checksum OK\n", i.Offset)
	case i.Version >= 5:
		fmt.Fprintf(out, "[offset %d] RDB file was saved with checksum disabled: no check performed.\n", i.Offset)
	}
	fmt.Fprintf(out, "[offset %d] \\o/ RDB looks OK! \\o/\n", i.Offset)
	count(out, i)
	return i.Offset, true
}

// wrong says what is wrong with a file, in Redis's words where it has some.
func wrong(i rdb.Inspection, err error) string {
	switch {
	case i.Ended:
		return "Unexpected EOF reading RDB file"
	case errors.Is(err, rdb.ErrVersion):
		return fmt.Sprintf("Can't handle RDB format version %d", i.Version)
	case i.Doing == rdb.AtStart:
		return "Wrong signature trying to load DB from file"
	case i.Doing == rdb.AtChecksum:
		return "RDB CRC error"
	case i.Doing == rdb.AtType:
		return "Invalid object type: " + err.Error()
	}
	return err.Error()
}

func count(out io.Writer, i rdb.Inspection) {
	fmt.Fprintf(out, "[info] %d keys read\n[info] %d expires\n[info] %d already expired\n", i.Keys, i.Expires, i.AlreadyExpired)
}

// encodingNames are redis-check-rdb's names of the type bytes of values.
var encodingNames = [...]string{
	"string", "list-linked", "set-hashtable", "zset-v1", "hash-hashtable", "zset-v2", "module-pre-release", "module-value", "",
	"hash-zipmap", "list-ziplist", "set-intset", "zset-ziplist", "hash-ziplist", "quicklist", "stream", "hash-listpack",
	"zset-listpack", "quicklist-v2", "stream-v2", "set-listpack", "stream-v3",
}

func encodingName(encoding int) string {
	if encoding < len(encodingNames) {
		return encodingNames[encoding]
	}
	return "unknown"
}
