package storage

import (
	"bytes"
	"encoding/binary"
	"math"

	"redoubt/storage/chunk"
)

// A Group is a group of consumers of a log, as of when it was looked up. Whoever
// changes a field of it calls Save.
type Group struct {
	Last chunk.ID // the last ID that was delivered
	// Read is how many items the group has read of all that were ever added,
	// UnknownRead if that is not known.
	Read int64

	l         *Log
	id        uint32
	consumers uint32
	next      uint32 // the next number of a consumer
}

// UnknownRead stands for a number of items read that is not known
// (SCG_INVALID_ENTRIES_READ).
const UnknownRead = -1

// A Consumer is a member of a group, as of when it was looked up. Whoever changes a
// field of it calls Save.
type Consumer struct {
	Seen   int64 // Unix milliseconds: when it last asked
	Active int64 // when it last got something, NeverActive if it never did

	g  *Group
	id uint32
}

// NeverActive is the time of a consumer that never got an item.
const NeverActive = -1

// A Pending is an item that was delivered to a consumer of a group and not
// acknowledged.
type Pending struct {
	ID    chunk.ID
	Time  int64  // of the delivery, Unix milliseconds
	Count uint64 // of deliveries; MaxDeliveries is the most

	consumer uint32
}

// MaxDeliveries is where the deliveries of an item are not counted any more: effects
// and replies tell them as an integer of 64 bits with a sign.
const MaxDeliveries = math.MaxInt64

// Again counts one more delivery.
func (p *Pending) Again() { p.Count = min(p.Count+1, MaxDeliveries) }

const (
	// State of a group: last ID, read i64, consumers u32, next number u32; of a
	// consumer: seen i64, active i64. Names follow. How many items are pending tell
	// the ranks of rows.
	groupHead    = 32
	consumerHead = 16

	rowState     = 0 // of a group
	rowNames     = 1 // of its consumers
	rowPending   = 2
	rowConsumers = 3

	maxGroups    = 1 << 30 // numbers of groups; a row's number is below 2^63
	maxConsumers = math.MaxUint32 - rowConsumers
	noConsumer   = maxConsumers // of a pending item that is being loaded
)

func groupRow(id uint32) uint64 { return (uint64(id) + 1) << 32 }

// row is one of the numbers of the group's rows.
func (g *Group) row(kind uint32) uint64 { return groupRow(g.id) + uint64(kind) }

func (g *Group) consumerRow(id uint32) uint64 { return g.row(rowConsumers) + uint64(id) }

// Name is the group's name, valid until the next call on the log.
func (g *Group) Name() []byte {
	v, _ := g.l.t.Get(g.row(rowState), nil)
	return v[groupHead:]
}

// Pending is how many items are pending in the group.
func (g *Group) Pending() int { return g.l.rowsOf(g.row(rowPending)) }

// Consumers is how many consumers the group has.
func (g *Group) Consumers() int { return int(g.consumers) }

// Name is the consumer's name, valid until the next call on the log.
func (m *Consumer) Name() []byte {
	v, _ := m.g.l.t.Get(m.row(), nil)
	return v[consumerHead:]
}

// Pending is how many items are pending with the consumer.
func (m *Consumer) Pending() int { return m.g.l.rowsOf(m.row()) - 1 }

func (m *Consumer) row() uint64 { return m.g.consumerRow(m.id) }

// rowsOf is how many rows have a number.
func (l *Log) rowsOf(row uint64) int { return l.t.Rank(row+1, nil) - l.t.Rank(row, nil) }

// Group looks a group up.
func (l *Log) Group(name []byte) (g Group, ok bool) {
	id, ok := l.groupNumber(name)
	if !ok {
		return Group{}, false
	}
	return l.group(id), true
}

// groupNumber looks the number of a group up.
func (l *Log) groupNumber(name []byte) (id uint32, ok bool) {
	if l.t == nil || l.groups == 0 {
		return 0, false
	}
	if l.known.is(name) {
		return l.known.number, true
	}
	v, ok := l.t.Get(rowGroups, name)
	if !ok {
		return 0, false
	}
	return binary.LittleEndian.Uint32(v), true
}

// Acks is a group that items are acknowledged in, whose state does not matter then.
type Acks struct{ g Group }

// Acks looks a group up to acknowledge items in it.
func (l *Log) Acks(group []byte) (a Acks, ok bool) {
	id, ok := l.groupNumber(group)
	return Acks{Group{l: l, id: id}}, ok
}

// Drop is Group.Drop.
func (a *Acks) Drop(id chunk.ID) bool { return a.g.Drop(id) }

// group reads the state of a group.
func (l *Log) group(id uint32) Group {
	g := Group{l: l, id: id}
	v, _ := l.t.Get(g.row(rowState), nil)
	g.read(v)
	return g
}

func (g *Group) read(v []byte) {
	g.Last = chunk.ID{Ms: binary.LittleEndian.Uint64(v), Seq: binary.LittleEndian.Uint64(v[8:])}
	g.Read = int64(binary.LittleEndian.Uint64(v[16:]))
	g.consumers = binary.LittleEndian.Uint32(v[24:])
	g.next = binary.LittleEndian.Uint32(v[28:])
}

func (g *Group) write(b []byte) {
	binary.LittleEndian.PutUint64(b, g.Last.Ms)
	binary.LittleEndian.PutUint64(b[8:], g.Last.Seq)
	binary.LittleEndian.PutUint64(b[16:], uint64(g.Read))
	binary.LittleEndian.PutUint32(b[24:], g.consumers)
	binary.LittleEndian.PutUint32(b[28:], g.next)
}

// Save writes what has changed of the group.
func (g *Group) Save() {
	g.l.begin()
	var b [groupHead]byte
	g.write(b[:])
	g.l.t.Patch(g.row(rowState), nil, b[:])
}

// CreateGroup makes a group. ok is false if there is one of the name.
func (l *Log) CreateGroup(name []byte, last chunk.ID, read int64) (g Group, ok bool) {
	if _, ok := l.Group(name); ok {
		return Group{}, false
	}
	l.begin()
	g = Group{Last: last, Read: read, l: l}
	g.id = freeNumber(l.nextGroup, maxGroups, func(id uint32) bool {
		_, used := l.t.Get(groupRow(id), nil)
		return used
	})
	l.nextGroup = g.id + 1
	l.known.note(name, g.id)
	l.groups++
	l.t.Set(rowGroups, name, binary.LittleEndian.AppendUint32(nil, g.id))
	b := make([]byte, groupHead, groupHead+len(name))
	g.write(b)
	l.t.Set(g.row(rowState), nil, append(b, name...))
	return g, true
}

// freeNumber is the first number from next on that is not in use; behind the last
// comes 0.
func freeNumber(next, most uint32, used func(uint32) bool) uint32 {
	for {
		if next >= most {
			next = 0
		}
		if !used(next) {
			return next
		}
		next++
	}
}

// Destroy removes the group with all its consumers and pending items.
func (g *Group) Destroy() {
	l := g.l
	l.begin()
	l.t.Delete(rowGroups, bytes.Clone(g.Name()))
	l.removeRows(groupRow(g.id), groupRow(g.id+1))
	if l.known.number == g.id {
		l.known = knownGroup{}
	}
	l.groups--
}

// removeRows removes the rows of the numbers from low to below high.
func (l *Log) removeRows(low, high uint64) {
	from := l.t.Rank(low, nil)
	l.t.Remove(from, l.t.Rank(high, nil)-from)
}

// EachGroup calls f for all groups in the order of their names until it returns
// false. f may look into the group.
func (l *Log) EachGroup(f func(g *Group) bool) {
	if l.t == nil || l.groups == 0 {
		return
	}
	for _, id := range l.numbers(rowGroups, int(l.groups)) {
		g := l.group(id)
		if !f(&g) {
			return
		}
	}
}

// numbers returns what the rows of a table of names say, in the order of names.
func (l *Log) numbers(row uint64, n int) []uint32 {
	ids := make([]uint32, 0, n)
	l.t.Ascend(row, nil, func(key uint64, _, value []byte) bool {
		if key == row {
			ids = append(ids, binary.LittleEndian.Uint32(value))
		}
		return key == row
	})
	return ids
}

// Consumer looks a consumer up.
func (g *Group) Consumer(name []byte) (m Consumer, ok bool) {
	v, ok := g.l.t.Get(g.row(rowNames), name)
	if !ok {
		return Consumer{}, false
	}
	return g.consumer(binary.LittleEndian.Uint32(v)), true
}

func (g *Group) consumer(id uint32) Consumer {
	m := Consumer{g: g, id: id}
	v, _ := g.l.t.Get(m.row(), nil)
	m.read(v)
	return m
}

func (m *Consumer) read(v []byte) {
	m.Seen = int64(binary.LittleEndian.Uint64(v))
	m.Active = int64(binary.LittleEndian.Uint64(v[8:]))
}

func (m *Consumer) write(b []byte) {
	binary.LittleEndian.PutUint64(b, uint64(m.Seen))
	binary.LittleEndian.PutUint64(b[8:], uint64(m.Active))
}

// Save writes what has changed of the consumer.
func (m *Consumer) Save() {
	m.g.l.begin()
	var b [consumerHead]byte
	m.write(b[:])
	m.g.l.t.Patch(m.row(), nil, b[:])
}

// CreateConsumer makes a consumer of a name that none has, which was seen now. The
// group is saved.
func (g *Group) CreateConsumer(name []byte, now int64) Consumer {
	g.l.begin()
	m := Consumer{Seen: now, Active: NeverActive, g: g}
	m.id = freeNumber(g.next, maxConsumers, func(id uint32) bool {
		_, used := g.l.t.Get(g.consumerRow(id), nil)
		return used
	})
	g.next = m.id + 1
	g.consumers++
	g.l.t.Set(g.row(rowNames), name, binary.LittleEndian.AppendUint32(nil, m.id))
	b := make([]byte, consumerHead, consumerHead+len(name))
	m.write(b)
	g.l.t.Set(m.row(), nil, append(b, name...))
	g.Save()
	return m
}

// Delete removes the consumer with what is pending with it, and returns how many
// items that were. The group is saved.
func (m *Consumer) Delete() (pending int) {
	g, l := m.g, m.g.l
	l.begin()
	row := m.row()
	var ids []chunk.ID
	l.eachID(row, chunk.ID{}, func(id chunk.ID) bool {
		ids = append(ids, id)
		return true
	})
	for _, id := range ids {
		l.t.Delete(g.row(rowPending), l.name(id))
	}
	l.t.Delete(g.row(rowNames), bytes.Clone(m.Name()))
	l.removeRows(row, row+1)
	g.consumers--
	g.Save()
	return len(ids)
}

// EachConsumer calls f for all consumers in the order of their names until it
// returns false. f may look into the group.
func (g *Group) EachConsumer(f func(m *Consumer) bool) {
	for _, id := range g.l.numbers(g.row(rowNames), int(g.consumers)) {
		m := g.consumer(id)
		if !f(&m) {
			return
		}
	}
}

// eachID calls f for the IDs of rows from one on until it returns false.
func (l *Log) eachID(row uint64, from chunk.ID, f func(id chunk.ID) bool) {
	name := l.name(from)
	if from.IsZero() {
		name = name[:1] // an ID's name, and behind that of the state of a consumer
	}
	l.t.Ascend(row, name, func(key uint64, name, _ []byte) bool {
		return key == row && f(chunk.FromName(name))
	})
}

// Owns reports whether a pending item is with a consumer.
func (m *Consumer) Owns(p Pending) bool { return p.consumer == m.id }

// OwnerName is the name of the consumer with which an item is pending, valid until
// the next call on the log.
func (g *Group) OwnerName(p Pending) []byte {
	m := Consumer{g: g, id: p.consumer}
	return m.Name()
}

// readPending reads the row of a pending item.
func readPending(id chunk.ID, v []byte) Pending {
	p := Pending{ID: id, Time: int64(binary.BigEndian.Uint64(v))}
	consumer, n := binary.Uvarint(v[8:])
	p.consumer = uint32(consumer)
	p.Count, _ = binary.Uvarint(v[8+n:])
	return p
}

// appendPending appends the value of the row of a pending item.
func appendPending(b []byte, p *Pending) []byte {
	b = binary.BigEndian.AppendUint64(b, uint64(p.Time))
	b = binary.AppendUvarint(b, uint64(p.consumer))
	return binary.AppendUvarint(b, p.Count)
}

// pendingBytes is how many bytes such a value has at most.
const pendingBytes = 8 + binary.MaxVarintLen32 + binary.MaxVarintLen64

// FindPending looks a pending item up.
func (g *Group) FindPending(id chunk.ID) (p Pending, ok bool) {
	v, ok := g.l.t.Get(g.row(rowPending), g.l.name(id))
	if !ok {
		return Pending{}, false
	}
	return readPending(id, v), true
}

// NextPending is the first pending item of the group from an ID on.
func (g *Group) NextPending(from chunk.ID) (p Pending, ok bool) {
	row := g.row(rowPending)
	g.l.t.Ascend(row, g.l.name(from), func(key uint64, name, value []byte) bool {
		if ok = key == row; ok {
			p = readPending(chunk.FromName(name), value)
		}
		return false
	})
	return p, ok
}

// NextPendingOf is NextPending of those that are with a consumer.
func (g *Group) NextPendingOf(m *Consumer, from chunk.ID) (p Pending, ok bool) {
	var next chunk.ID
	g.l.eachID(g.consumerRow(m.id), from, func(id chunk.ID) bool {
		next, ok = id, true
		return false
	})
	if !ok {
		return Pending{}, false
	}
	return g.FindPending(next)
}

// LastPending is the last of the pending items of the group, of which there are
// some.
func (g *Group) LastPending() (p Pending) {
	g.l.t.Descend(g.row(rowPending)+1, nil, func(_ uint64, name, value []byte) bool {
		p = readPending(chunk.FromName(name), value)
		return false
	})
	return p
}

// Deliver makes an item pending with a consumer, whomever it was with.
func (g *Group) Deliver(m *Consumer, p Pending) {
	g.l.begin()
	if !g.makePending(m, &p) {
		g.l.t.Add(m.row(), g.l.name(p.ID), nil)
	}
}

// DeliverAll is Deliver of items for the first time, at a Unix time in milliseconds.
func (g *Group) DeliverAll(m *Consumer, ids []chunk.ID, now int64) {
	l := g.l
	l.begin()
	for _, id := range ids {
		g.makePending(m, &Pending{ID: id, Time: now, Count: 1})
	}
	for _, id := range ids {
		l.t.Add(m.row(), l.name(id), nil)
	}
}

// makePending writes the row of a pending item, and takes it from the consumer it was
// with, if that is another. It reports whether it was with m.
func (g *Group) makePending(m *Consumer, p *Pending) (owned bool) {
	l := g.l
	var buf [pendingBytes]byte
	p.consumer = m.id
	row, name, value := g.row(rowPending), l.name(p.ID), appendPending(buf[:0], p)
	v, added := l.t.Add(row, name, value)
	if added {
		return false
	}
	old := readPending(p.ID, v)
	l.t.Set(row, name, value)
	if owned = m.Owns(old); !owned {
		l.t.Delete(g.consumerRow(old.consumer), name)
	}
	return owned
}

// Drop makes an item pending no more, and reports whether it was.
func (g *Group) Drop(id chunk.ID) bool {
	l, row := g.l, g.row(rowPending)
	name := l.name(id)
	v, ok := l.t.Get(row, name)
	if !ok {
		return false // nothing changes
	}
	consumer := readPending(id, v).consumer
	l.begin()
	l.t.Delete(row, name)
	l.t.Delete(g.consumerRow(consumer), name)
	return true
}
