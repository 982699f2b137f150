package replication

// NoID is the replication id of "no history", as INFO shows it.
const NoID = "0000000000000000000000000000000000000000"

// History names the histories a node's stream belongs to (spec §1, §6). ID is
// the current one. The bytes up to Second-1 also belong to ID2, the history
// before the last promotion or restart; ID2 is NoID and Second -1 if there was
// none.
type History struct {
	ID     string // 40 lower-case hexadecimal digits
	ID2    string
	Second Offset // first offset that is not part of ID2
}
