package command

import (
	"bytes"
	"slices"
	"strings"

	"redoubt/internal/resp"
	"redoubt/storage"
)

// Sorting is the rows of SORT. A BY or GET with a pattern reads keys that the
// elements name, in any slot, which needs the world lock; without one the slots of
// the keys suffice.
var Sorting = []*Row{
	{Name: "sort", Arity: -2, Flags: Write | DenyOOM | MovableKeys, ACL: CatSet | CatSortedSet | CatList | CatDangerous, Run: sortAny, LockFor: sortLock,
		Keys: []KeySpec{KeyAt(1, KeyRO|KeyAccess), sortPatternKeys, {Flags: KeyOW | KeyUpdate, Notes: "The key behind STORE, which may stand anywhere among the options"}}, FindKeys: sortKeys,
		Doc: Doc{Summary: "Sorts the elements of a list, a set or a sorted set, and returns or stores them.", Since: "1.0.0", Group: "generic", Complexity: sortComplexity,
			Args: append(sortArgs(), key("destination").spec(2).after("STORE").optional())}},
	{Name: "sort_ro", Arity: -2, Flags: ReadOnly | MovableKeys, ACL: CatSet | CatSortedSet | CatList | CatDangerous, Run: sortReadOnly, LockFor: sortLock,
		Keys: []KeySpec{KeyAt(1, KeyRO|KeyAccess), sortPatternKeys}, FindKeys: sortReadOnlyKeys,
		Doc: Doc{Summary: "Sorts the elements of a list, a set or a sorted set and returns them.", Since: "7.0.0", Group: "generic", Complexity: sortComplexity,
			Args: sortArgs()}},
}

const sortComplexity = "O(N+M*log(M)) where N is the number of elements and M that of those returned; O(N) without sorting"

var sortPatternKeys = KeySpec{Flags: KeyRO | KeyAccess, Notes: "The keys that the patterns of BY and GET make of the elements"}

func sortArgs() []Arg {
	return []Arg{
		key("key"),
		pattern("by-pattern").spec(1).after("BY").optional(),
		rangeLimit,
		pattern("get-pattern").spec(1).after("GET").optional().multiple().repeated(),
		oneOf("order", word("ASC"), word("DESC")).optional(),
		word("ALPHA").named("sorting").optional(),
	}
}

// sortKeys finds the key of SORT and the last one behind a STORE, as
// sortGetKeys.
func sortKeys(dst []int, args [][]byte) (_ []int, ok bool) {
	if len(args) < 2 {
		return dst, false
	}
	dst = append(dst, 1)
	store := 0
	for i := 2; i < len(args); i += 1 + sortOperands(args[i]) {
		if is(args[i], "STORE") && i+1 < len(args) {
			store = i + 1
		}
	}
	if store > 0 {
		dst = append(dst, store)
	}
	return dst, true
}

func sortReadOnlyKeys(dst []int, args [][]byte) (_ []int, ok bool) {
	return append(dst, 1), len(args) > 1
}

// sortOperands is how many arguments belong to an option of SORT.
func sortOperands(option []byte) int {
	switch {
	case is(option, "LIMIT"):
		return 2
	case is(option, "BY"), is(option, "GET"), is(option, "STORE"):
		return 1
	}
	return 0
}

func sortLock(args [][]byte) Lock {
	for i := 2; i+1 < len(args); i += 1 + sortOperands(args[i]) {
		if (is(args[i], "BY") || is(args[i], "GET")) && bytes.IndexByte(args[i+1], '*') >= 0 {
			return LockWorld
		}
	}
	return LockKeys
}

// sortOptions are the arguments of SORT behind the key.
type sortOptions struct {
	descending, alpha bool

	by       []byte // a pattern; nil: the elements themselves are compared
	unsorted bool   // BY something constant
	get      [][]byte

	offset, count int64
	store         []byte
	stores        bool

	unordered bool // the elements come in no order that means anything
}

// parse reads them, or answers what is wrong.
func (o *sortOptions) parse(c *Ctx, args [][]byte, readOnly bool) (ok bool) {
	o.count = -1
	for i := 0; i < len(args); i++ {
		a, left := args[i], len(args)-i-1
		switch {
		case is(a, "ASC"):
			o.descending = false
		case is(a, "DESC"):
			o.descending = true
		case is(a, "ALPHA"):
			o.alpha = true
		case is(a, "LIMIT") && left >= 2:
			if o.offset, ok = c.integer(args[i+1]); !ok {
				return false
			}
			if o.count, ok = c.integer(args[i+2]); !ok {
				return false
			}
		case is(a, "STORE") && left >= 1 && !readOnly:
			o.store, o.stores = args[i+1], true
		case is(a, "BY") && left >= 1:
			if bytes.IndexByte(args[i+1], '*') < 0 {
				o.unsorted = true
			} else if c.Host.ClusterEnabled() {
				c.Out.Error(resp.ErrSortByCluster)
				return false
			} else if !c.readsAllKeys() {
				c.Out.Error(resp.ErrSortByDenied)
				return false
			}
			o.by = args[i+1]
		case is(a, "GET") && left >= 1:
			if c.Host.ClusterEnabled() {
				c.Out.Error(resp.ErrSortGetCluster)
				return false
			}
			if !c.readsAllKeys() {
				c.Out.Error(resp.ErrSortGetDenied)
				return false
			}
			o.get = append(o.get, args[i+1])
		default:
			c.Out.Error(resp.ErrSyntax)
			return false
		}
		i += sortOperands(a)
	}
	return true
}

// readsAllKeys reports whether the caller may read the keys that patterns make of
// elements.
func (c *Ctx) readsAllKeys() bool {
	r, ok := c.Caller.(Restricted)
	return !ok || r.ReadsAllKeys(c.Row, c.Args)
}

func sortAny(c *Ctx)      { sortCommand(c, false) }
func sortReadOnly(c *Ctx) { sortCommand(c, true) }

// sortCommand matches sortCommandGeneric. What SORT stores is propagated as the
// command itself: a replica has the same elements and comes to the same order.
func sortCommand(c *Ctx, readOnly bool) {
	var o sortOptions
	if !o.parse(c, c.Args[2:], readOnly) {
		return
	}
	e, found := c.Tx.Find(c.Args[1])
	if found && e.Type() != storage.TypeList && e.Type() != storage.TypeSet && e.Type() != storage.TypeZSet {
		c.Out.Error(resp.ErrWrongType)
		return
	}
	var items []sortItem
	if found {
		_, scripted := c.Caller.(Scripted)
		if o.unordered = e.Type() == storage.TypeSet; o.unordered && o.unsorted && (o.stores || scripted) {
			// A replica may find them in another order, and scripts expect one.
			o.unsorted, o.alpha, o.by = false, true, nil
		}
		items = o.load(e)
	}
	if !o.unsorted {
		if !o.weigh(c, items) {
			c.Out.Error(resp.ErrSortScore)
			return
		}
		slices.SortStableFunc(items, o.compare)
		items = o.window(items)
	}
	if o.stores {
		o.storeResult(c, items)
	} else {
		o.reply(c, items)
	}
}

// sortItem is an element with what it is sorted by.
type sortItem struct {
	element []byte
	score   float64
	text    []byte // what BY names, under ALPHA; nil if there is no such key
}

// limits is the stretch that LIMIT leaves of n elements.
func (o *sortOptions) limits(n int) (from, count int) {
	from = int(min(max(o.offset, 0), int64(n)))
	count = n - from
	if o.count >= 0 {
		count = int(min(o.count, int64(count)))
	}
	return from, count
}

func (o *sortOptions) window(items []sortItem) []sortItem {
	from, n := o.limits(len(items))
	return items[from : from+n]
}

// load copies the elements: all of them if they are to be sorted, otherwise those
// that LIMIT leaves. A list and a sorted set that are not sorted have an order,
// which DESC reverses.
func (o *sortOptions) load(e storage.Entry) (items []sortItem) {
	var elements copies
	add := func(element []byte) { elements.add(element) }
	switch e.Type() {
	case storage.TypeSet:
		s := e.Set()
		s.Each(func(member []byte) bool { add(member); return true })
	case storage.TypeList:
		l := e.List()
		o.walk(l.Len(), l.Ascend, l.Descend, add)
	case storage.TypeZSet:
		z := e.ZSet()
		ascend := func(i int, f func([]byte) bool) { z.Ascend(i, func(m []byte, _ float64) bool { return f(m) }) }
		descend := func(i int, f func([]byte) bool) { z.Descend(i, func(m []byte, _ float64) bool { return f(m) }) }
		o.walk(z.Len(), ascend, descend, add)
	}
	for element := range elements.all {
		items = append(items, sortItem{element: element})
	}
	if o.unsorted && e.Type() == storage.TypeSet {
		return o.window(items)
	}
	return items
}

type walker func(from int, f func(element []byte) bool)

// walk calls add for n elements in their own order, or for what LIMIT leaves of
// them if they stay in it.
func (o *sortOptions) walk(n int, ascend, descend walker, add func([]byte)) {
	from, count := 0, n
	if o.unsorted {
		from, count = o.limits(n)
	}
	if count == 0 {
		return
	}
	each := func(element []byte) bool {
		add(element)
		count--
		return count > 0
	}
	if o.unsorted && o.descending {
		descend(n-1-from, each)
	} else {
		ascend(from, each)
	}
}

// weigh finds what each item is sorted by. It returns false if something is no
// number that should be one.
func (o *sortOptions) weigh(c *Ctx, items []sortItem) (ok bool) {
	ok = true
	for i := range items {
		x := &items[i]
		text := x.element
		if o.by != nil {
			var found bool
			if text, found = o.named(c, o.by, x.element); !found {
				continue
			}
		}
		if !o.alpha {
			var number bool
			x.score, number = sortScore(text)
			ok = ok && number
		} else if o.by != nil {
			x.text = append([]byte{}, text...)
		}
	}
	return ok
}

// sortScore reads what SORT sorts by, as strtod does: spaces may stand before it,
// and nothing is 0.
func sortScore(b []byte) (float64, bool) {
	b, _, _ = bytes.Cut(b, []byte{0})
	if len(b) == 0 {
		return 0, true
	}
	f, ranged, ok := strtod(strings.TrimLeft(string(b), " \t\n\v\f\r"))
	return f, ok && !ranged
}

// compare matches sortCompare. Equal numbers are told apart by the elements, as
// are equal texts of a set, so that the order does not depend on the one in which
// they were found.
func (o *sortOptions) compare(a, b sortItem) (order int) {
	switch {
	case !o.alpha && a.score < b.score:
		order = -1
	case !o.alpha && a.score > b.score:
		order = 1
	case o.alpha && o.by != nil && (a.text == nil) != (b.text == nil):
		order = 1
		if a.text == nil {
			order = -1
		}
	case o.alpha && o.by != nil && (!o.unordered || !bytes.Equal(a.text, b.text)):
		order = bytes.Compare(a.text, b.text)
	default:
		order = bytes.Compare(a.element, b.element)
	}
	if o.descending {
		return -order
	}
	return order
}

// named looks up what a pattern makes of an element: "#" is the element itself;
// otherwise it stands for the first '*' in the name of a key, which holds a
// string, or with "->" behind it a hash, of which a field follows. The value is
// valid until the next look-up. It matches lookupKeyByPattern.
//
// A field whose time is past is hidden here only: a replica sees it until it is
// deleted. So before a result is stored it is deleted, as an expired key is.
func (o *sortOptions) named(c *Ctx, pattern, element []byte) (value []byte, found bool) {
	if string(pattern) == "#" {
		return element, true
	}
	before, after, ok := bytes.Cut(pattern, []byte("*"))
	if !ok {
		return nil, false
	}
	key, field := after, []byte(nil)
	if at := bytes.Index(after, []byte("->")); at >= 0 && at+2 < len(after) {
		key, field = after[:at], after[at+2:]
	}
	name := slices.Concat(before, element, key)
	e, found := c.Tx.Find(name)
	switch {
	case !found:
	case field == nil && e.Type() == storage.TypeString:
		return e.Bytes(), true
	case field != nil && e.Type() == storage.TypeHash:
		if value, found = e.Field(field); !found && o.stores {
			c.expireField(name, field)
		}
		return value, found
	}
	return nil, false
}

// results calls f for what the command returns: the items or, for each of them,
// what each GET names. found is false where that names nothing.
func (o *sortOptions) results(c *Ctx, items []sortItem, f func(value []byte, found bool)) {
	for i := range items {
		if len(o.get) == 0 {
			f(items[i].element, true)
		}
		for _, pattern := range o.get {
			f(o.named(c, pattern, items[i].element))
		}
	}
}

func (o *sortOptions) reply(c *Ctx, items []sortItem) {
	c.Out.Array(len(items) * max(len(o.get), 1))
	o.results(c, items, func(value []byte, found bool) {
		if found {
			c.Out.Bulk(value)
		} else {
			c.Out.Null()
		}
	})
}

// storeResult puts a list of the results in the place of whatever the key of
// STORE holds; what a GET does not find is an empty element.
func (o *sortOptions) storeResult(c *Ctx, items []sortItem) {
	var result copies
	o.results(c, items, func(value []byte, _ bool) { result.add(value) })
	existed := c.Tx.Replace(o.store)
	c.Out.Int(int64(result.len()))
	if result.len() == 0 {
		if existed {
			c.Tx.Note(storage.ClassGeneric, "del", o.store)
		}
		return
	}
	l, _ := c.Tx.EditList(o.store)
	l.BeginMany()
	for element := range result.all {
		l.PushBack(element)
	}
	l.EndMany()
	c.Tx.CountAs(result.len())
	c.Tx.Note(storage.ClassList, "sortstore", o.store)
}
