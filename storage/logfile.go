package storage

import (
	"slices"

	"redoubt/storage/chunk"
	"redoubt/storage/rdb/wire"
	"redoubt/storage/tree"
)

// Forms of logs in RDB files. The second one has counts that groups' lag is computed
// from, the third when consumers were active.
const (
	rdbLog1 = 15 // Redis 5.0
	rdbLog2 = 19 // 7.0
	rdbLog3 = 21 // 7.2
)

// logForm is the form that all servers since Redis 7.0 read. What it does not have,
// when a consumer was last active, it takes from when that was last seen, as
// loading it in Redis 7.2 does.
func logForm(*Frozen) byte { return rdbLog2 }

func saveLog(f *Frozen, w *wire.Writer) {
	s := &logSaver{w: w, f: f}
	s.head.read(f.value)
	w.Length(uint64(s.head.chunks))
	if s.head.chunks == 0 {
		s.saveHead()
	}
	f.each(s.row)
}

// logSaver writes the rows of a log in the order in which they come.
type logSaver struct {
	w       *wire.Writer
	head    logState
	listed  []byte
	chunks  uint32 // written
	pending uint64 // of the group at hand, not written
	members uint64 // of the group at hand
	f       *Frozen
	t       *tree.MapTree // counts rows, once there is a group
}

// rowsOf is how many rows have a number.
func (s *logSaver) rowsOf(row uint64) uint64 {
	if s.t == nil {
		s.t = new(tree.MapTree)
		s.t.Open(&tree.Env{Space: s.f.space}, treeOf(s.f.Type, s.f.value))
	}
	return uint64(s.t.Rank(row+1, nil) - s.t.Rank(row, nil))
}

func (s *logSaver) row(e tree.Element) {
	kind := uint32(e.Key)
	switch {
	case e.Key == rowChunks:
		s.saveChunk(chunk.FromName(e.Text), e.Value)
	case e.Key == rowGroups || kind == rowNames:
	case kind == rowState:
		s.saveGroup(e)
	case kind == rowPending:
		s.savePending(e)
	case len(e.Text) == 0:
		var m Consumer
		m.read(e.Value)
		s.w.String(e.Value[consumerHead:])
		s.w.Millis(m.Seen)
		s.w.Length(s.rowsOf(e.Key) - 1)
	default:
		s.saveID(chunk.FromName(e.Text))
	}
}

func (s *logSaver) saveChunk(first chunk.ID, b []byte) {
	key := make([]byte, 0, rawID)
	s.w.String(appendRawID(key, first))
	s.listed = chunk.Listpack(s.listed[:0], b, first)
	s.w.String(s.listed)
	if s.chunks++; s.chunks == s.head.chunks {
		s.saveHead()
	}
}

// saveHead writes what comes between the chunks and the groups.
func (s *logSaver) saveHead() {
	h, w := &s.head, s.w
	w.Length(h.items)
	for _, id := range [...]chunk.ID{h.last, h.first, h.maxDeleted} {
		w.Length(id.Ms)
		w.Length(id.Seq)
	}
	w.Length(h.added)
	w.Length(uint64(h.groups))
}

func (s *logSaver) saveGroup(e tree.Element) {
	var g Group
	g.read(e.Value)
	s.w.String(e.Value[groupHead:])
	s.w.Length(g.Last.Ms)
	s.w.Length(g.Last.Seq)
	s.w.Length(uint64(g.Read))
	s.pending, s.members = s.rowsOf(e.Key+rowPending), uint64(g.consumers)
	if s.w.Length(s.pending); s.pending == 0 {
		s.w.Length(s.members)
	}
}

func (s *logSaver) savePending(e tree.Element) {
	p := readPending(chunk.FromName(e.Text), e.Value)
	s.saveID(p.ID)
	s.w.Millis(p.Time)
	s.w.Length(p.Count)
	if s.pending--; s.pending == 0 {
		s.w.Length(s.members)
	}
}

// rawID is how many bytes an ID has in a file.
const rawID = 16

func (s *logSaver) saveID(id chunk.ID) {
	var b [rawID]byte
	s.w.Write(appendRawID(b[:0], id)) //nolint:errcheck // errors of the writer stay with it
}

func appendRawID(b []byte, id chunk.ID) []byte {
	for _, x := range [...]uint64{id.Ms, id.Seq} {
		for shift := 56; shift >= 0; shift -= 8 {
			b = append(b, byte(x>>shift))
		}
	}
	return b
}

func parseRawID(b []byte) (id chunk.ID) {
	for i, x := range b[:rawID] {
		if i < rawID/2 {
			id.Ms = id.Ms<<8 | uint64(x)
		} else {
			id.Seq = id.Seq<<8 | uint64(x)
		}
	}
	return id
}

// logSink takes the parts of a log that a loader reads.
type logSink interface {
	chunk(first chunk.ID, b []byte) error
	// state follows the chunks; groups and nextGroup of it are not set.
	state(s logState) error
	group(name []byte, last chunk.ID, read int64) error
	// delivered is an item that is pending in the group that came last.
	delivered(p Pending) error
	// member is a consumer of the group, owns an item that is pending with the
	// consumer that came last.
	member(name []byte, seen, active int64) error
	owns(id chunk.ID) error
	// groupEnd follows the last consumer of a group.
	groupEnd() error
}

var (
	errGroupTwice    = wire.Corruptf("a group of a stream is there twice")
	errConsumerTwice = wire.Corruptf("Duplicate stream consumer detected")
	errIDTwice       = wire.Corruptf("an item of a stream is pending twice, or not in the order of IDs")
	errNoOwner       = wire.Corruptf("an item of a stream is pending with another number of consumers than one")
)

// logLoader reads a log. It is what rdbLoadObject does, with its checks of payloads
// that are not trusted.
type logLoader struct {
	r    *wire.Reader
	to   logSink
	form byte
	s    logState
	err  error // of what has been read last
}

func loadLog(form byte) func(*wire.Reader, sink) error {
	return func(r *wire.Reader, to sink) error {
		l := &logLoader{r: r, to: to.log(), form: form}
		l.load()
		return l.err
	}
}

func (l *logLoader) length() (n uint64) {
	if l.err == nil {
		n, l.err = l.r.Length()
	}
	return n
}

func (l *logLoader) id() chunk.ID {
	ms := l.length()
	return chunk.ID{Ms: ms, Seq: l.length()}
}

func (l *logLoader) rawID() (id chunk.ID) {
	if l.err == nil {
		var b []byte
		if b, l.err = l.r.Next(rawID); l.err == nil {
			id = parseRawID(b)
		}
	}
	return id
}

func (l *logLoader) millis() (ms int64) {
	if l.err == nil {
		ms, l.err = l.r.Millis()
	}
	return ms
}

func (l *logLoader) text() (b []byte) {
	if l.err == nil {
		b, l.err = l.r.AppendString(nil)
	}
	return b
}

// tell passes on what the sink says of what it was given.
func (l *logLoader) tell(f func() error) {
	if l.err == nil {
		l.err = f()
	}
}

// each calls f as often as the file says, until there is an error.
func (l *logLoader) each(f func()) {
	for n := l.length(); n > 0 && l.err == nil; n-- {
		f()
	}
}

func (l *logLoader) load() {
	items := l.chunks()
	if s := l.length(); l.err == nil && s != items {
		l.err = l.r.Corruptf("a stream of %d items that says %d", items, s)
	}
	l.s.items = items
	// Items above the last ID could not be told from new ones.
	if last := l.id(); l.s.last.Less(last) {
		l.s.last = last
	}
	l.s.added = items
	if l.form >= rdbLog2 {
		l.id() // the first item is known
		l.s.maxDeleted = l.id()
		l.s.added = l.length()
	}
	l.tell(func() error { return l.to.state(l.s) })
	l.each(l.group)
}

// chunks reads the nodes and returns how many items there are.
func (l *logLoader) chunks() (items uint64) {
	var p chunk.Parser
	var packed []byte
	l.each(func() {
		key := l.text()
		if l.err == nil && len(key) != rawID {
			l.err = l.r.Corruptf("a node of a stream with an ID of %d bytes", len(key))
		}
		if l.err != nil {
			return
		}
		if packed, l.err = l.r.AppendString(packed[:0]); l.err != nil {
			return
		}
		listed, err := wire.ParseListpack(packed)
		if l.err = err; err != nil {
			return
		}
		b, first, err := p.Parse(listed, parseRawID(key), l.s.last)
		if l.err = err; err != nil || b == nil {
			return
		}
		if l.s.chunks++; items == 0 {
			l.s.first = firstLive(b, first)
		}
		items += uint64(chunk.Live(b))
		l.s.last = chunk.Last(b)
		l.tell(func() error { return l.to.chunk(first, b) })
	})
	return items
}

// firstLive is the ID of the first item of a chunk that is not deleted.
func firstLive(b []byte, first chunk.ID) chunk.ID {
	var r chunk.Reader
	for r.Open(b, first); r.Next() && r.Dead; {
	}
	return r.ID
}

func (l *logLoader) group() {
	name, last := l.text(), l.id()
	read := UnknownRead
	if l.form >= rdbLog2 {
		read = int(int64(l.length()))
	} else {
		read = int(l.s.distance(last))
	}
	l.tell(func() error { return l.to.group(name, last, int64(read)) })
	l.each(func() {
		p := Pending{ID: l.rawID(), Time: l.millis(), Count: min(l.length(), MaxDeliveries), consumer: noConsumer}
		l.tell(func() error { return l.to.delivered(p) })
	})
	l.each(l.member)
	l.tell(l.to.groupEnd)
}

func (l *logLoader) member() {
	name, seen := l.text(), l.millis()
	active := seen
	if l.form >= rdbLog3 {
		active = l.millis()
	}
	l.tell(func() error { return l.to.member(name, seen, active) })
	l.each(func() {
		id := l.rawID()
		l.tell(func() error { return l.to.owns(id) })
	})
}

// logBuilder is the logSink that makes a log.
type logBuilder struct {
	*Log
	at       Group
	who      Consumer
	open     bool   // who has not been saved
	delivers uint64 // items that are pending in the group
	owned    uint64 // those that have got their consumer
}

func (b *builder) log() logSink {
	l, _ := b.tx.EditLog(b.key)
	b.logs = logBuilder{Log: l}
	b.logs.Touch()
	return &b.logs
}

func (b *logBuilder) chunk(first chunk.ID, c []byte) error {
	b.t.Set(rowChunks, b.name(first), c)
	return nil
}

func (b *logBuilder) state(s logState) error {
	b.logState = s
	return nil
}

func (b *logBuilder) group(name []byte, last chunk.ID, read int64) (err error) {
	var ok bool
	if b.at, ok = b.CreateGroup(name, last, read); !ok {
		return errGroupTwice
	}
	b.delivers, b.owned = 0, 0
	return nil
}

func (b *logBuilder) delivered(p Pending) error {
	var buf [pendingBytes]byte
	if _, added := b.t.Add(b.at.row(rowPending), b.name(p.ID), appendPending(buf[:0], &p)); !added {
		return errIDTwice
	}
	b.delivers++
	return nil
}

func (b *logBuilder) member(name []byte, seen, active int64) error {
	if _, twice := b.at.Consumer(name); twice {
		return errConsumerTwice
	}
	b.saveMember()
	b.who, b.open = b.at.CreateConsumer(name, seen), true
	b.who.Active = active
	return nil
}

// saveMember writes the consumer that came last.
func (b *logBuilder) saveMember() {
	if b.open {
		b.who.Save()
		b.open = false
	}
}

func (b *logBuilder) owns(id chunk.ID) error {
	p, ok := b.at.FindPending(id)
	if !ok || p.consumer != noConsumer {
		return errNoOwner
	}
	var buf [pendingBytes]byte
	p.consumer = b.who.id
	b.t.Set(b.at.row(rowPending), b.name(id), appendPending(buf[:0], &p))
	b.t.Add(b.who.row(), b.name(id), nil)
	b.owned++
	return nil
}

func (b *logBuilder) groupEnd() error {
	b.saveMember()
	b.at.Save()
	if b.owned != b.delivers {
		return errNoOwner
	}
	return nil
}

// logChecker is the logSink that only checks. Of very many items that are pending it
// remembers the first ones.
type logChecker struct {
	groups, members map[string]struct{}
	pending         []chunk.ID // ascending
	owned           []bool
	last            chunk.ID
	deliveries      uint64
	ownerships      uint64
}

// checkedPending is how many pending items of a group a checker remembers.
const checkedPending = 1 << 20

func (c *checker) log() logSink {
	c.logs = logChecker{groups: map[string]struct{}{}, pending: c.logs.pending[:0], owned: c.logs.owned[:0]}
	return &c.logs
}

func (c *logChecker) chunk(chunk.ID, []byte) error { return nil }
func (c *logChecker) state(logState) error         { return nil }

func (c *logChecker) group(name []byte, _ chunk.ID, _ int64) error {
	c.members = map[string]struct{}{}
	c.pending, c.owned, c.last, c.deliveries, c.ownerships = c.pending[:0], c.owned[:0], chunk.ID{}, 0, 0
	return once(c.groups, name, errGroupTwice)
}

// once notes a name that must be there once; otherwise it returns the error.
func once(seen map[string]struct{}, name []byte, twice error) error {
	if _, found := seen[string(name)]; found {
		return twice
	}
	seen[string(name)] = struct{}{}
	return nil
}

func (c *logChecker) delivered(p Pending) error {
	if c.deliveries > 0 && !c.last.Less(p.ID) {
		return errIDTwice
	}
	c.deliveries++
	if c.last = p.ID; len(c.pending) < checkedPending {
		c.pending, c.owned = append(c.pending, p.ID), append(c.owned, false)
	}
	return nil
}

func (c *logChecker) member(name []byte, _, _ int64) error {
	return once(c.members, name, errConsumerTwice)
}

func (c *logChecker) owns(id chunk.ID) error {
	c.ownerships++
	n := len(c.pending)
	if n == checkedPending && c.pending[n-1].Less(id) {
		return nil
	}
	i, ok := slices.BinarySearchFunc(c.pending, id, chunk.ID.Compare)
	if !ok || c.owned[i] {
		return errNoOwner
	}
	c.owned[i] = true
	return nil
}

func (c *logChecker) groupEnd() error {
	if c.ownerships != c.deliveries {
		return errNoOwner
	}
	return nil
}
