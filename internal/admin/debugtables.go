package admin

import (
	"fmt"

	"redoubt/internal/command"
	"redoubt/internal/resp"
	"redoubt/storage"
)

// debugTables is DEBUG HTSTATS. It has the form of Redis's, with the figures of our
// tables: of all slots together, and with open addressing. What Redis calls a chain is
// keys of one home. Expiries have no table of their own.
func (*Commands) debugTables(x *command.Ctx, c Debugger) {
	db, ok := resp.ParseInt(x.Args[2])
	switch {
	case !ok:
		x.Out.Error(resp.ErrNotInteger)
		return
	case db < 0 || db >= int64(x.Host.Keyspace().Databases()):
		x.Out.Error(resp.ErrNoSuchDB)
		return
	}
	full := len(x.Args) > 3 && resp.EqualFold(x.Args[3], "full")
	debugUnit(x, c, func(tx *storage.Tx) {
		s := tx.TableStats(int(db))
		x.Out.Verbatim("txt", "[Dictionary HT]\n"+tableText(s, full)+"[Expires HT]\n"+expiriesText(s.Volatile))
	})
}

const (
	tableTitle = "Hash table 0 stats (main hash table):\n"
	emptyTable = tableTitle + "No stats available for empty dictionaries\n"
)

func tableText(s storage.TableStats, full bool) string {
	if s.Keys == 0 {
		return emptyTable
	}
	text := tableTitle + fmt.Sprintf(" table size: %d\n number of elements: %d\n", s.Cells, s.Keys)
	if full {
		text += fmt.Sprintf(" different slots: %d\n max chain length: %d\n avg chain length: %.02f\n",
			s.Homes, s.Longest, float64(s.Keys)/float64(s.Homes))
	}
	return text
}

func expiriesText(n int) string {
	if n == 0 {
		return emptyTable
	}
	return tableTitle + fmt.Sprintf(" table size: 0\n number of elements: %d\n", n)
}

// debugTableOf is DEBUG HTSTATS-KEY. No value is a hash table here: collections are
// trees.
func (*Commands) debugTableOf(x *command.Ctx, c Debugger) {
	debugUnit(x, c, func(tx *storage.Tx) {
		if _, ok := tx.Peek(x.Args[2]); ok {
			x.Out.Error(resp.ErrNotHashTable)
		} else {
			x.Out.Error(resp.ErrNoKey)
		}
	})
}
