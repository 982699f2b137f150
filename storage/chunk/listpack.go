package chunk

import (
	"math"

	"redoubt/storage/rdb/wire"
)

// The flags of an item in Redis's listpack.
const (
	listedDead = 1
	listedSame = 2
)

// Listpack appends the listpack that Redis has of a chunk, whose first ID is first,
// to dst.
func Listpack(dst, b []byte, first ID) []byte {
	var l wire.ListpackBuilder
	var r Reader
	l.Reset(dst)
	l.AppendInt(int64(Live(b)))
	l.AppendInt(int64(Dead(b)))
	r.Open(b, first)
	l.AppendInt(int64(r.fields))
	for i, at := 0, r.names; i < r.fields; i++ {
		n, next := number(b, at)
		at = next + int(n)
		l.Append(b[next:at])
	}
	l.AppendInt(0)
	for r.Next() {
		flags, count := int64(0), 2*r.Pairs+4
		if r.Dead {
			flags |= listedDead
		}
		if r.Same {
			flags, count = flags|listedSame, r.Pairs+3
		}
		l.AppendInt(flags)
		l.AppendInt(int64(r.ID.Ms - first.Ms))
		l.AppendInt(int64(r.ID.Seq - first.Seq))
		if !r.Same {
			l.AppendInt(int64(r.Pairs))
		}
		for range r.Pairs {
			field, value := r.Pair()
			if !r.Same {
				l.Append(field)
			}
			l.Append(value)
		}
		l.AppendInt(int64(count))
	}
	return l.Finish()
}

// A Parser makes chunks of Redis's listpacks. It is scratch.
type Parser struct {
	cursor wire.Cursor
	more   bool
	pairs  [][]byte
	texts  []byte
	fields []wire.Element
	dead   []bool // of each item
	deads  int
	chunk  []byte
}

// Parse makes a chunk of a listpack whose node has the ID master, and returns it
// with the ID of its first item. All IDs have to be above after. The chunk is valid
// until the next call; it is nil if all items are deleted. An error wraps
// wire.ErrCorrupt: streamValidateListpackIntegrity checks the same, but for the
// order of IDs and the number of those deleted.
func (p *Parser) Parse(packed wire.Packed, master, after ID) (chunk []byte, first ID, err error) {
	p.cursor, p.more, p.dead, p.deads, p.chunk = packed.Cursor(), true, p.dead[:0], 0, p.chunk[:0]
	live, dead, err := p.head(packed.Len())
	if err != nil {
		return nil, ID{}, err
	}
	for i := range live + dead {
		id, err := p.item(master)
		if err != nil {
			return nil, ID{}, err
		}
		if !after.Less(id) {
			return nil, ID{}, wire.Corruptf("the item %v of a stream behind %v", id, after)
		}
		if after = id; i == 0 {
			first = id
			p.chunk = Begin(p.chunk, id, p.pairs)
			continue
		}
		p.chunk = Append(p.chunk, first, id, p.pairs)
	}
	if _, more := p.cursor.Next(); more || p.deads != dead {
		return nil, ID{}, wire.Corruptf("a node of a stream with other items than it says")
	}
	if live == 0 {
		return nil, ID{}, nil
	}
	p.kill(first)
	return p.chunk, first, nil
}

// head reads what precedes the items of a listpack of n elements.
func (p *Parser) head(n int) (live, dead int, err error) {
	if live, err = p.count(n); err != nil {
		return 0, 0, err
	}
	if dead, err = p.count(n); err != nil {
		return 0, 0, err
	}
	fields, err := p.count(n)
	if err != nil {
		return 0, 0, err
	}
	p.fields = p.fields[:0]
	for range fields {
		p.fields = append(p.fields, p.element())
	}
	if end, err := p.integer(); err != nil || end != 0 {
		return 0, 0, wire.Corruptf("a node of a stream whose first entry has no end")
	}
	return live, dead, nil
}

// item reads an item into p.pairs.
func (p *Parser) item(master ID) (id ID, err error) {
	flags, err := p.integer()
	if err != nil {
		return ID{}, err
	}
	ms, err := p.integer()
	if err != nil {
		return ID{}, err
	}
	seq, err := p.integer()
	if err != nil {
		return ID{}, err
	}
	id = ID{master.Ms + uint64(ms), master.Seq + uint64(seq)}
	if ms < 0 || id.Ms < master.Ms {
		return ID{}, wire.Corruptf("an item of a stream %d ms before its node", ms)
	}
	n, count := len(p.fields), len(p.fields)+3
	same := flags&listedSame != 0
	if !same {
		if n, err = p.count(math.MaxInt32); err != nil {
			return ID{}, err
		}
		count = 2*n + 4
	}
	p.pairs, p.texts = p.pairs[:0], p.texts[:0]
	for i := 0; i < n && p.more; i++ {
		if same {
			p.text(p.fields[i])
		} else {
			p.text(p.element())
		}
		p.text(p.element())
	}
	gone := flags&listedDead != 0
	if p.dead = append(p.dead, gone); gone {
		p.deads++
	}
	if got, err := p.integer(); err != nil || got != int64(count) {
		return ID{}, wire.Corruptf("an item of a stream of another length than it says")
	}
	return id, nil
}

// text adds a text to the pairs.
func (p *Parser) text(e wire.Element) {
	if s, ok := e.Text(); ok {
		p.pairs = append(p.pairs, s)
		return
	}
	// The buffer may move: what is in it already stays where it is.
	at := len(p.texts)
	p.texts = e.AppendTo(p.texts)
	p.pairs = append(p.pairs, p.texts[at:len(p.texts):len(p.texts)])
}

// element reads an element; without one the node ends too early.
func (p *Parser) element() wire.Element {
	e, ok := p.cursor.Next()
	p.more = p.more && ok
	return e
}

// integer reads an element that is a number.
func (p *Parser) integer() (int64, error) {
	e, ok := p.cursor.Next()
	n, number := e.Int64()
	if !ok || !number || !p.more {
		return 0, wire.Corruptf("a node of a stream without a number where one has to be")
	}
	return n, nil
}

// count reads how many of something there are, at most as many as there are
// elements.
func (p *Parser) count(most int) (int, error) {
	n, err := p.integer()
	if err == nil && (n < 0 || n > int64(most)) {
		err = wire.Corruptf("a node of a stream with %d of something", n)
	}
	return int(n), err
}

// kill marks the items that are deleted.
func (p *Parser) kill(first ID) {
	var r Reader
	r.Open(p.chunk, first)
	for _, dead := range p.dead {
		if r.Next(); dead {
			r.Kill()
		}
	}
}
