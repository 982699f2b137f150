package storage

import (
	"io"
	"math"

	"redoubt/storage/rdb/wire"
	"redoubt/storage/tree"
)

// sink takes the elements of a value that a loader reads. Its methods return
// corruption if an element cannot be one: a member that is there already.
type sink interface {
	text(s *wire.StringReader) error // of a string
	element(b []byte) error          // of a list or set
	// pair is a field of a hash with its value and its expiry in Unix milliseconds,
	// 0 for none.
	pair(name, value []byte, due int64) error
	scored(member []byte, score float64) error
	log() logSink // of a log
}

// loader reads one form that values of a type have in RDB files.
type loader struct {
	typ  Type
	load func(r *wire.Reader, to sink) error
	one  bool // the form is one string
}

// loaders are the forms by their type byte: all that Redis 2.6 to 8.2 and Valkey 8
// and 9 write for these types.
var loaders = [256]*loader{
	rdbString:        {TypeString, loadString, true},
	rdbList:          {TypeList, loadElements, false},
	rdbSet:           {TypeSet, loadElements, false},
	3:                {TypeZSet, loadOldZSet, false},
	rdbHash:          {TypeHash, loadPairs, false},
	rdbZSet2:         {TypeZSet, loadZSet, false},
	9:                {TypeHash, packedPairs(wire.ParseZipmap), true},
	10:               {TypeList, packedElements(wire.ParseZiplist), true},
	rdbSetIntset:     {TypeSet, packedElements(wire.ParseIntset), true},
	12:               {TypeZSet, packedScores(wire.ParseZiplist), true},
	13:               {TypeHash, packedPairs(wire.ParseZiplist), true},
	14:               {TypeList, loadZiplists, false},
	rdbHashListpack:  {TypeHash, packedPairs(wire.ParseListpack), true},
	rdbZSetListpack:  {TypeZSet, packedScores(wire.ParseListpack), true},
	rdbListQuicklist: {TypeList, loadQuicklist, false},
	20:               {TypeSet, packedElements(wire.ParseListpack), true},
	rdbHashDue:       {TypeHash, loadPairsDue, false},
	24:               {TypeHash, loadPairsAfter, false},
	25:               {TypeHash, loadTriplets, false},
	rdbLog1:          {TypeStream, loadLog(rdbLog1), false},
	rdbLog2:          {TypeStream, loadLog(rdbLog2), false},
	rdbLog3:          {TypeStream, loadLog(rdbLog3), false},
}

// LoadedType is the type of the values that an RDB file has under a type byte; ok
// is false if none can be loaded.
func LoadedType(encoding byte) (t Type, ok bool) {
	l := loaders[encoding]
	if l == nil {
		return 0, false
	}
	return l.typ, true
}

// OneString reports whether values under a type byte that LoadedType knows are one
// string of the file: a string, or a packed collection. Where such a value ends
// can be told without reading it.
func OneString(encoding byte) bool { return loaders[encoding].one }

// Load reads a value as an RDB file has it under a type byte, which must be one
// that LoadedType knows, and makes it that of key in the selected database,
// whatever key held, with the expiry expireAt (Unix milliseconds, 0 for none).
// empty says that the value had no elements, and that there is no key therefore.
// After an error the key holds what has been read: whoever cannot have that checks
// it first: Checker.
func (tx *Tx) Load(key []byte, encoding byte, r *wire.Reader, expireAt int64) (empty bool, err error) {
	p := tx.find(key, forWrite)
	if p.found() {
		tx.remove(p)
		p = tx.find(key, forWrite)
	}
	tx.replacing = !tx.inCommand // the keys of a file are not new
	l := loaders[encoding]
	b := &tx.e.builder
	*b = builder{tx: tx, key: key, typ: l.typ, expireAt: expireAt, at: p}
	switch l.typ {
	case TypeString:
		return false, l.load(r, b)
	case TypeStream:
		return false, tx.loadStream(b, l, r)
	}
	c := b.open()
	c.BeginMany()
	err = l.load(r, b)
	c.EndMany()
	if l.typ == TypeZSet {
		b.zset.Complete()
	}
	found := c.p
	tx.e.closeAll()
	if err != nil || !found.found() {
		return err == nil, err
	}
	tx.expireLoaded(found, expireAt)
	return false, nil
}

// loadStream is Load of a stream, which exists without items as well.
func (tx *Tx) loadStream(b *builder, l *loader, r *wire.Reader) error {
	err := l.load(r, b)
	b.logs.Close(1)
	tx.e.closeAll()
	p := tx.find(b.key, forWrite)
	if err != nil {
		if p.found() {
			tx.remove(p) // half a log is none
		}
		return err
	}
	tx.expireLoaded(p, b.expireAt)
	return nil
}

// expireLoaded gives a key that has been loaded its expiry.
func (tx *Tx) expireLoaded(p place, expireAt int64) {
	if expireAt == 0 {
		return
	}
	before := tx.ks.size(p.rec)
	_, n := p.rec.lengths()
	tx.reshape(&p, *p.rec.byte(0), n, n, expireAt, 0)
	tx.expiryChanged(p, 0, expireAt)
	tx.resized(tx.ks.size(p.rec) - before)
}

// A Checker reads values as Load does and makes nothing of them. It is scratch, and
// takes some tens of MB at most: an element that is twice in a larger collection
// may escape it.
type Checker struct{ sink checker }

// Check reads a value. The error wraps wire.ErrCorrupt if Load would fail, as far
// as the Checker remembers.
func (c *Checker) Check(encoding byte, r *wire.Reader) (empty bool, err error) {
	l := loaders[encoding]
	c.sink.begin(l.typ)
	if err := l.load(r, &c.sink); err != nil {
		return false, err
	}
	return c.sink.n == 0 && l.typ != TypeString && l.typ != TypeStream, nil
}

// builder is the sink that makes a key of what it gets.
type builder struct {
	tx       *Tx
	key      []byte
	typ      Type
	expireAt int64
	at       place // where the key is to be; nobody has it
	list     List
	set      Set
	hash     Hash
	zset     ZSet
	logs     logBuilder
}

// open opens the collection to be.
func (b *builder) open() *collection {
	c, t := b.tx.open(b.key, &b.at, b.typ)
	switch b.typ {
	case TypeList:
		b.list = List{c, t}
	case TypeSet:
		b.set = Set{c, (*tree.SetTree)(t)}
	case TypeHash:
		b.hash = b.tx.hashOf(c, t)
	case TypeZSet:
		b.zset = ZSet{c, (*tree.ZSetTree)(t)}
	}
	return c
}

// ErrTwice is the error of a value that has an element, a member or a field twice.
var ErrTwice = wire.Corruptf("an element is there twice")

const (
	// trustedString is how long a string may be for which room is made at once.
	// Pages that no byte arrives for take no memory.
	trustedString = 64 << 20
	// stringGrowth is how much longer than what has arrived a longer one is made,
	// whatever length it was announced with.
	stringGrowth = 4
)

// text reads a long string straight into its block.
func (b *builder) text(s *wire.StringReader) error {
	size := s.Len()
	piece, err := s.Next()
	switch {
	case err == io.EOF:
		b.makeString(0)
		return nil
	case err != nil:
		return err
	}
	value := b.makeString(int(min(size, trustedString)))
	n := copy(value, piece)
	for uint64(n) < size {
		if n == len(value) {
			value = b.growString(n, int(min(size, uint64(n)*stringGrowth)))
		}
		var more int
		if more, err = s.Read(value[n:]); err != nil {
			b.growString(n, n)
			return err
		}
		n += more
	}
	return s.End()
}

// makeString makes the string, with room for so many bytes, and returns that.
func (b *builder) makeString(size int) []byte {
	r := b.tx.newRecord(kindOf(TypeString), b.key, size, b.expireAt)
	b.tx.insert(&b.at, r)
	b.tx.wrote(b.at, b.key)
	return r.value()
}

// growString makes the string size bytes long, of which kept stay, and returns it.
// Its block is no longer than needed, unless the string gets shorter, and it does
// not count as changed in place.
func (b *builder) growString(kept, size int) []byte {
	before := b.tx.ks.size(b.at.rec)
	_, old := b.at.rec.lengths()
	b.tx.reshape(&b.at, kindOf(TypeString), size, kept, b.expireAt, max(old-size, 0))
	b.tx.resized(b.tx.ks.size(b.at.rec) - before)
	return b.at.rec.value()
}

func (b *builder) element(e []byte) error {
	if b.typ == TypeList {
		b.list.PushBack(e)
		return nil
	}
	if !b.set.Add(e) {
		return ErrTwice
	}
	return nil
}

func (b *builder) pair(name, value []byte, due int64) error {
	if !b.hash.SetDue(name, value, due) {
		return ErrTwice
	}
	return nil
}

func (b *builder) scored(member []byte, score float64) error {
	if !b.zset.Set(member, score) {
		return ErrTwice
	}
	return nil
}

// checker is the sink that only counts, and remembers what must be there once.
type checker struct {
	n      int
	unique bool
	seen   map[string]struct{}
	bytes  int // that seen takes, about
	logs   logChecker
}

const (
	// seenBytes is how much a checker remembers of a collection. Of what comes
	// later it finds what has been there before that, and Load the rest.
	seenBytes = 32 << 20
	// seenOverhead is about what an element takes in seen besides itself.
	seenOverhead = 48
)

// begin makes the sink ready for another value.
func (c *checker) begin(typ Type) {
	if c.bytes > seenBytes/16 {
		c.seen = nil // a map never becomes smaller
	}
	clear(c.seen)
	c.n, c.bytes, c.unique = 0, 0, typ != TypeList && typ != TypeString
}

// text reads the string: whether compressed bytes can be unpacked shows only so.
func (c *checker) text(s *wire.StringReader) error {
	for {
		if _, err := s.Next(); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
	}
}

func (c *checker) element(e []byte) error {
	c.n++
	if !c.unique {
		return nil
	}
	if c.seen == nil {
		c.seen = map[string]struct{}{}
	}
	if _, twice := c.seen[string(e)]; twice {
		return ErrTwice
	}
	if c.bytes < seenBytes {
		c.bytes += len(e) + seenOverhead
		c.seen[string(e)] = struct{}{}
	}
	return nil
}

func (c *checker) pair(name, _ []byte, _ int64) error    { return c.element(name) }
func (c *checker) scored(member []byte, _ float64) error { return c.element(member) }

func loadString(r *wire.Reader, to sink) error {
	s, err := r.OpenString()
	if err != nil {
		return err
	}
	return to.text(s)
}

func loadElements(r *wire.Reader, to sink) error {
	n, err := r.Length()
	for ; err == nil && n > 0; n-- {
		var b []byte
		if b, err = r.ReadString(); err == nil {
			err = to.element(b)
		}
	}
	return err
}

func loadPairs(r *wire.Reader, to sink) error {
	var name []byte
	n, err := r.Length()
	for ; err == nil && n > 0; n-- {
		if name, err = r.AppendString(name[:0]); err != nil {
			break
		}
		var value []byte
		if value, err = r.ReadString(); err == nil {
			err = to.pair(name, value, 0)
		}
	}
	return err
}

// loadPairsDue reads the hashes of Valkey 9 whose fields expire.
func loadPairsDue(r *wire.Reader, to sink) error {
	var name, value []byte
	n, err := r.Length()
	for ; err == nil && n > 0; n-- {
		if name, err = r.AppendString(name[:0]); err != nil {
			break
		}
		if value, err = r.AppendString(value[:0]); err != nil {
			break
		}
		var due int64
		if due, err = r.Millis(); err != nil {
			break
		}
		switch {
		case due < noDue:
			return r.Corruptf("a field that expires at %d", due)
		case due == noDue:
			due = 0
		default:
			due = max(due, 1)
		}
		err = to.pair(name, value, due)
	}
	return err
}

// loadPairsAfter reads the hashes of Redis since 7.4 whose fields expire: so much
// less a millisecond after the first of them, 0 standing for never.
func loadPairsAfter(r *wire.Reader, to sink) error {
	first, err := r.Millis()
	if err != nil {
		return err
	}
	var name []byte
	n, err := r.Length()
	for ; err == nil && n > 0; n-- {
		var after uint64
		if after, err = r.Length(); err != nil {
			break
		}
		if name, err = r.AppendString(name[:0]); err != nil {
			break
		}
		due := int64(0)
		if after > 0 {
			if first < 0 || after-1 > uint64(math.MaxInt64-first) {
				return r.Corruptf("a field that expires %d after %d", after, first)
			}
			due = max(first+int64(after-1), 1)
		}
		var value []byte
		if value, err = r.ReadString(); err == nil {
			err = to.pair(name, value, due)
		}
	}
	return err
}

// loadTriplets reads the packed hashes of Redis since 7.4: the expiry of the first
// field to go, which the listpack tells again, and a listpack of fields, values and
// expiries, 0 for none.
func loadTriplets(r *wire.Reader, to sink) error {
	if _, err := r.Millis(); err != nil {
		return err
	}
	packed, err := parser(wire.ParseListpack).parse(r)
	if err != nil {
		return err
	}
	if packed.Len()%3 != 0 {
		return r.Corruptf("a field without a value or an expiry")
	}
	var part [2][]byte
	i := 0
	for e := range packed.All() {
		if i < 2 {
			part[i] = e.AppendTo(part[i][:0])
			i++
			continue
		}
		i = 0
		due, ok := integerOf(e.AppendTo(nil))
		if !ok || due < 0 {
			return r.Corruptf("a field that expires at %q", e.String())
		}
		if err := to.pair(part[0], part[1], due); err != nil {
			return err
		}
	}
	return nil
}

func loadZSet(r *wire.Reader, to sink) error    { return loadScores(r, to, (*wire.Reader).Double) }
func loadOldZSet(r *wire.Reader, to sink) error { return loadScores(r, to, (*wire.Reader).DoubleText) }

func loadScores(r *wire.Reader, to sink, score func(*wire.Reader) (float64, error)) error {
	var member []byte
	n, err := r.Length()
	for ; err == nil && n > 0; n-- {
		if member, err = r.AppendString(member[:0]); err != nil {
			break
		}
		var f float64
		if f, err = score(r); err == nil {
			if math.IsNaN(f) {
				return r.Corruptf("a score that is not a number")
			}
			err = to.scored(member, f)
		}
	}
	return err
}

// parser is one of the packed encodings of package wire.
type parser func(b []byte) (wire.Packed, error)

// parse reads a packed encoding.
func (p parser) parse(r *wire.Reader) (wire.Packed, error) {
	b, err := r.AppendString(nil)
	if err != nil {
		return wire.Packed{}, err
	}
	return p(b)
}

func packedElements(p parser) func(*wire.Reader, sink) error {
	return func(r *wire.Reader, to sink) error { return sinkElements(p, r, to) }
}

func sinkElements(p parser, r *wire.Reader, to sink) error {
	packed, err := p.parse(r)
	if err != nil {
		return err
	}
	var scratch []byte
	for e := range packed.All() {
		scratch = e.AppendTo(scratch[:0])
		if err := to.element(scratch); err != nil {
			return err
		}
	}
	return nil
}

func packedPairs(p parser) func(*wire.Reader, sink) error {
	return func(r *wire.Reader, to sink) error {
		packed, err := p.parse(r)
		if err != nil {
			return err
		}
		if packed.Len()%2 != 0 {
			return r.Corruptf("a field without a value")
		}
		var name, value []byte
		for n, v := range packed.Pairs() {
			name, value = n.AppendTo(name[:0]), v.AppendTo(value[:0])
			if err := to.pair(name, value, 0); err != nil {
				return err
			}
		}
		return nil
	}
}

func packedScores(p parser) func(*wire.Reader, sink) error {
	return func(r *wire.Reader, to sink) error {
		packed, err := p.parse(r)
		if err != nil {
			return err
		}
		if packed.Len()%2 != 0 {
			return r.Corruptf("a member without a score")
		}
		var member []byte
		for m, s := range packed.Pairs() {
			score, ok := s.Double()
			if !ok {
				return r.Corruptf("the score %q", s.String())
			}
			member = m.AppendTo(member[:0])
			if err := to.scored(member, score); err != nil {
				return err
			}
		}
		return nil
	}
}

// loadZiplists reads the quicklists of Redis 3.2 to 6.2.
func loadZiplists(r *wire.Reader, to sink) error {
	n, err := r.Length()
	for ; err == nil && n > 0; n-- {
		err = sinkElements(wire.ParseZiplist, r, to)
	}
	return err
}

// The containers of a quicklist's nodes since Redis 7.0.
const quicklistPlain = 1

// loadQuicklist reads the quicklists of Redis since 7.0, whose nodes are listpacks
// or single elements.
func loadQuicklist(r *wire.Reader, to sink) error {
	n, err := r.Length()
	for ; err == nil && n > 0; n-- {
		var container uint64
		if container, err = r.Length(); err != nil {
			break
		}
		switch container {
		case quicklistPlain:
			var b []byte
			if b, err = r.ReadString(); err == nil && len(b) == 0 {
				return r.Corruptf("an empty element outside of a listpack")
			}
			if err == nil {
				err = to.element(b)
			}
		case quicklistPacked:
			err = sinkElements(wire.ParseListpack, r, to)
		default:
			return r.Corruptf("container %d of a quicklist", container)
		}
	}
	return err
}
