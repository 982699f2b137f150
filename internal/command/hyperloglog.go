package command

import (
	"math"
	"math/rand/v2"

	"redoubt/internal/hll"
	"redoubt/internal/resp"
	"redoubt/storage"
)

// HyperLogLogs is the rows of the commands on HyperLogLogs.
var HyperLogLogs = []*Row{
	{Name: "pfadd", Arity: -2, Flags: Write | DenyOOM | Fast, ACL: CatHyperLogLog, Keys: OneKey(KeyRW | KeyInsert), Run: pfAdd,
		Doc: Doc{Summary: "Adds elements to a HyperLogLog and tells whether its estimate may have changed.", Since: "2.8.9", Group: "hyperloglog", Complexity: "O(1) for each element",
			Args: []Arg{key("key"), text("element").optional().multiple()}}},
	{Name: "pfcount", Arity: -2, Flags: ReadOnly | MayReplicate, ACL: CatHyperLogLog, Run: pfCount,
		Keys: []KeySpec{{Flags: KeyRW | KeyAccess, Begin: Begin{Index: 1}, Find: Find{Last: -1, Step: 1}, Notes: "RW as the count of one key is kept in its value, which goes to replicas"}},
		Doc: Doc{Summary: "Estimates how many different elements were added to one or several HyperLogLogs.", Since: "2.8.9", Group: "hyperloglog", Complexity: "O(1) for one key, mostly from what its value keeps; O(N) for N keys",
			Args: []Arg{key("key").multiple()}}},
	{Name: "pfmerge", Arity: -2, Flags: Write | DenyOOM, ACL: CatHyperLogLog, Keys: []KeySpec{KeyAt(1, KeyRW|KeyAccess|KeyInsert), KeysFrom(2, -1, 1, KeyRO|KeyAccess)[0]}, Run: pfMerge,
		Doc: Doc{Summary: "Adds what was added to HyperLogLogs to another one.", Since: "2.8.9", Group: "hyperloglog", Complexity: "O(N) where N is the number of keys",
			Args: []Arg{key("destkey"), key("sourcekey").spec(1).optional().multiple()}}},
	{Name: "pfdebug", Arity: 3, Flags: Write | DenyOOM | Admin, ACL: CatHyperLogLog, Keys: []KeySpec{KeyAt(2, KeyRW|KeyAccess)}, Run: pfDebug,
		Doc: Doc{Summary: "Shows what a HyperLogLog consists of.", Since: "2.8.9", Group: "hyperloglog", Complexity: "N/A", System: true,
			Args: []Arg{text("subcommand"), key("key")}}},
	{Name: "pfselftest", Arity: 1, Flags: Admin, ACL: CatHyperLogLog, Lock: LockNone, Run: pfSelfTest,
		Doc: Doc{Summary: "Tests the registers and the estimates of HyperLogLogs.", Since: "2.8.9", Group: "hyperloglog", Complexity: "N/A", System: true}},
}

// hyperLogLog is what e holds. It answers what is wrong with it if ok is false. Of
// one that is sparse not even that it is whole is known; see hll.Check.
func (c *Ctx) hyperLogLog(e storage.Entry) (v []byte, ok bool) {
	if e.Type() != storage.TypeString {
		c.Out.Error(resp.ErrWrongType)
		return nil, false
	}
	if v = e.Bytes(); !hll.Is(v) {
		c.Out.Error(resp.ErrNotHLL)
		return nil, false
	}
	return v, true
}

// pfAdd matches pfaddCommand, but for a corrupt value: it is refused before
// anything has changed.
func pfAdd(c *Ctx) {
	key := c.Args[1]
	e, found := c.Tx.Use(key)
	var v []byte
	changes := 0
	if found {
		var ok bool
		if v, ok = c.hyperLogLog(e); !ok {
			return
		}
	} else {
		v, changes = emptyHLL, 1
	}
	elements := c.Args[2:]
	switch {
	case hll.IsDense(v):
		changes = c.addDense(key, v, elements)
	case !hll.Check(v):
		c.Out.Error(resp.ErrCorruptHLL)
		return
	default:
		changes += c.addSparse(key, v, elements, changes > 0)
	}
	c.Out.Int(bit(changes > 0))
	if changes > 0 {
		c.Tx.CountAs(changes)
		c.Tx.Note(storage.ClassString, "pfadd", key)
	}
}

// emptyHLL is a value that every new one is a copy of.
var emptyHLL = hll.New()

// roomKept is up to which length a handler's scratch stays for the next call.
const roomKept = 4 << 10

// addDense adds elements to a dense value where it lies, and counts those that
// have changed it. Until one does, v is not ours to change.
func (c *Ctx) addDense(key, v []byte, elements [][]byte) (changes int) {
	for _, element := range elements {
		register, count := hll.Locate(element)
		if hll.DenseCovers(v, register, count) {
			continue
		}
		if changes == 0 {
			v = c.Tx.GrowString(key, len(v))
			hll.Stale(v)
		}
		hll.DenseRaise(v, register, count)
		changes++
	}
	return changes
}

// addSparse adds elements to a copy of a value that was sparse, and stores it if
// it has changed or is new.
func (c *Ctx) addSparse(key, v []byte, elements [][]byte, isNew bool) (changes int) {
	edit := hll.Edit(v, c.room, c.Host.HLLSparseMax())
	for _, element := range elements {
		if edit.Raise(hll.Locate(element)) {
			changes++
		}
	}
	switch {
	case changes > 0:
		v = edit.Value()
		hll.Stale(v)
		c.storeHLL(key, v)
		if len(v) <= roomKept {
			c.room = v
		}
	case isNew:
		v = hll.New()
		hll.Stale(v)
		c.storeHLL(key, v)
	}
	return changes
}

func (c *Ctx) storeHLL(key, v []byte) { copy(c.Tx.ResizeString(key, len(v)), v) }

// pfCount matches pfcountCommand.
func pfCount(c *Ctx) {
	if len(c.Args) > 2 {
		if u, _, ok := c.union(c.Args[1:]); ok {
			c.Out.Int(int64(u.Count()))
		}
		return
	}
	key := c.Args[1]
	e, found := c.Tx.Find(key)
	if !found {
		c.Out.Int(0)
		return
	}
	v, ok := c.hyperLogLog(e)
	if !ok {
		return
	}
	n, cached := hll.Cached(v)
	if !cached {
		if n, ok = hll.Count(v); !ok {
			c.Out.Error(resp.ErrCorruptHLL)
			return
		}
		if c.keepsCounts() {
			hll.Cache(c.Tx.GrowString(key, len(v)), n)
		}
	}
	c.Out.Int(int64(n))
}

// keepsCounts reports whether PFCOUNT may write to the value what it has counted.
// That is a change of the data: not one for a replica to make, nor while a pause
// keeps the stream as it is.
func (c *Ctx) keepsCounts() bool {
	return c.Tx.Applying() || c.Tx.Role() == storage.RolePrimary && !c.Tx.ExpiryPaused()
}

// union is the registers of the HyperLogLogs at several keys; dense is whether
// one of them is. It answers what is wrong with one if ok is false.
func (c *Ctx) union(keys [][]byte) (u *hll.Union, dense, ok bool) {
	u = new(hll.Union)
	for _, key := range keys {
		e, found := c.Tx.Find(key)
		if !found {
			continue
		}
		v, ok := c.hyperLogLog(e)
		if !ok {
			return nil, false, false
		}
		dense = dense || hll.IsDense(v)
		if !u.Merge(v) {
			c.Out.Error(resp.ErrCorruptHLL)
			return nil, false, false
		}
	}
	return u, dense, true
}

// pfMerge matches pfmergeCommand: the result is dense if one of the values is.
func pfMerge(c *Ctx) {
	key := c.Args[1]
	u, dense, ok := c.union(c.Args[1:])
	if !ok {
		return
	}
	v := hll.New()
	if e, found := c.Tx.Peek(key); found {
		v = e.Bytes()
	}
	switch {
	case !dense:
		edit := hll.Edit(v, nil, c.Host.HLLSparseMax())
		for register, count := range u {
			if count > 0 {
				edit.Raise(register, count)
			}
		}
		c.storeHLL(key, edit.Value())
	case !hll.IsDense(v):
		c.storeHLL(key, hll.ToDense(v))
	}
	v = c.Tx.GrowString(key, 0)
	if dense {
		u.Store(v)
	}
	hll.Stale(v)
	c.Tx.CountAs(1)
	c.Tx.Note(storage.ClassString, "pfadd", key)
	c.Out.OK()
}

// pfDebug matches pfdebugCommand. GETREG and TODENSE leave the value dense, which
// goes to replicas.
func pfDebug(c *Ctx) {
	sub, key := c.Args[1], c.Args[2]
	e, found := c.Tx.Use(key)
	if !found {
		c.Out.Error(resp.ErrNoSuchHLL)
		return
	}
	v, ok := c.hyperLogLog(e)
	if !ok {
		return
	}
	dense := hll.IsDense(v)
	switch {
	case is(sub, "ENCODING") && dense:
		c.Out.Simple("dense")
	case is(sub, "ENCODING"):
		c.Out.Simple("sparse")
	case is(sub, "DECODE") && dense:
		c.Out.Error(resp.ErrHLLNotSparse)
	case is(sub, "DECODE"):
		c.Out.Bulk(hll.Runs(v))
	case !is(sub, "GETREG") && !is(sub, "TODENSE"):
		c.Out.Error(resp.ErrUnknownPFDebug(sub))
	case !hll.Check(v):
		c.Out.Error(resp.ErrCorruptHLL)
	default:
		if !dense {
			v = hll.ToDense(v)
			c.storeHLL(key, v)
		}
		if is(sub, "TODENSE") {
			c.Out.Int(bit(!dense))
			return
		}
		c.Out.Array(hll.Registers)
		for i := range hll.Registers {
			c.Out.Int(int64(hll.Get(v, i)))
		}
	}
}

// selfTestElements is up to how many elements PFSELFTEST adds. Redis adds ten
// times as many, for which an event loop would stand still for a second.
const selfTestElements = 1_000_000

// pfSelfTest matches pfselftestCommand: registers keep what they are given, dense
// and sparse values count the same, and not far from the truth.
func pfSelfTest(c *Ctx) {
	for range 100 {
		dense := hll.ToDense(hll.New())
		var want [hll.Registers]byte
		for i := range want {
			want[i] = byte(rand.Uint32N(64))
			hll.DenseRaise(dense, i, want[i])
		}
		for i := range want {
			if got := hll.Get(dense, i); got != int(want[i]) {
				c.Out.Error(resp.ErrTestFailed("Register %d should be %d but is %d", i, want[i], got))
				return
			}
		}
	}
	dense := hll.ToDense(hll.New())
	edit := hll.Edit(hll.New(), nil, c.Host.HLLSparseMax())
	seed, checkpoint := rand.Uint64(), 1
	for n := 1; n <= selfTestElements; n++ {
		var element [8]byte
		for i, x := 0, uint64(n)^seed; i < 8; i, x = i+1, x>>8 {
			element[i] = byte(x)
		}
		register, count := hll.Locate(element[:])
		hll.DenseRaise(dense, register, count)
		edit.Raise(register, count)
		if n != checkpoint {
			continue
		}
		got, _ := hll.Count(dense)
		switch other, ok := hll.Count(edit.Value()); {
		case !ok || other != got:
			c.Out.Error(resp.ErrTestFailed("dense/sparse disagree"))
			return
		case n < c.Host.HLLSparseMax()/2 && hll.IsDense(edit.Value()):
			c.Out.Error(resp.ErrTestFailed("sparse encoding not used"))
			return
		}
		// A few times the standard error, so that it never is by chance.
		most := math.Ceil(1.04 / math.Sqrt(hll.Registers) * 6 * float64(n))
		if off := math.Abs(float64(n) - float64(got)); off > most {
			c.Out.Error(resp.ErrTestFailed("Too big error. card:%d abserr:%.0f", n, off))
			return
		}
		checkpoint *= 10
	}
	c.Out.OK()
}
