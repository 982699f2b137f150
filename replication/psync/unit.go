package psync

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"
)

// ErrStream is what a stream that is not one yields: junk, or a unit beyond
// all bounds. It is wrapped with what was found.
var ErrStream = errors.New("psync: protocol error in the stream")

const (
	readerBytes = 16 << 10  // a Reader's buffer at rest
	keepBytes   = 256 << 10 // a larger one is given back after the unit that needed it
	lineBytes   = 32        // "*" or "$" and the digits of a length
	maxArgs     = 1 << 31   // as Redis's limit for a multibulk
)

// Unit is one execution unit of a stream: a command, or all from MULTI to
// EXEC. Its bytes are valid until the next one is read.
type Unit struct {
	Raw      []byte    // verbatim
	Commands []Command // to execute, together; none for SELECT, PING, GETACK
	DB       int       // selected when the unit ends
	Ahead    []byte    // what has been read of the units behind it
	GetAck   bool      // REPLCONF GETACK: the primary wants an ACK now
	// Prompt is for how long the primary wants more of them without asking; see
	// PromptAcks.
	Prompt time.Duration
}

// Command is one command of a Unit, to be executed in database DB.
type Command struct {
	DB   int
	Args [][]byte
}

// Reader cuts a stream into execution units. Between commands it takes bare
// line ends, which are keep-alives, for units without commands: Redis counts
// them too. It allocates little, and never more than twice what has arrived.
type Reader struct {
	src   io.Reader
	limit int
	plain bool // each command is a unit, whatever it says

	buf        []byte
	start      int // of the current unit in buf
	pos, end   int // buf[pos:end] is read ahead
	db         int
	args       []span // of the current unit, all commands in one
	commands   []counted
	unit       Unit
	slices     [][]byte
	inMulti    bool
	unitGetAck bool
	unitPrompt time.Duration
}

// span is a range of bytes of the current unit. It is relative to the unit's
// start because the buffer moves while the unit is incomplete.
type span struct{ from, to int }

// counted is a command of the current unit: the spans of its arguments follow
// those of the command before.
type counted struct{ db, args int }

// NewReader returns a Reader of the stream that src delivers, in which db is
// the database selected at first. A unit of more than limit bytes is an error.
func NewReader(src io.Reader, db, limit int) *Reader {
	return &Reader{src: src, limit: limit, buf: make([]byte, readerBytes), db: db}
}

// newCommandReader returns a Reader of single commands, as a replica sends them: none
// means anything to the Reader.
func newCommandReader(src io.Reader, limit int) *Reader {
	r := NewReader(src, 0, limit)
	r.plain = true
	return r
}

// Next returns the next unit, or io.EOF where the stream ends between two
// units. Other errors wrap ErrStream, or come from the source; a unit that is
// cut off is io.ErrUnexpectedEOF.
func (r *Reader) Next() (*Unit, error) {
	r.begin()
	for {
		if err := r.readCommand(); err != nil {
			if errors.Is(err, io.EOF) && r.Partial() {
				return nil, io.ErrUnexpectedEOF
			}
			return nil, err
		}
		if !r.inMulti {
			return r.finish(), nil
		}
	}
}

// Partial reports whether Next failed within a unit: some of it had been read.
func (r *Reader) Partial() bool { return r.end > r.start }

// begin lets go of the last unit.
func (r *Reader) begin() {
	r.start = r.pos
	r.args, r.commands = r.args[:0], r.commands[:0]
	r.inMulti, r.unitGetAck, r.unitPrompt = false, false, 0
	if len(r.buf) > keepBytes && r.end-r.pos <= readerBytes {
		small := make([]byte, readerBytes)
		r.end = copy(small, r.buf[r.pos:r.end])
		r.buf, r.start, r.pos = small, 0, 0
	}
}

// finish turns what was noted of the unit into slices of the buffer, which no
// longer moves.
func (r *Reader) finish() *Unit {
	raw := r.buf[r.start:r.pos]
	r.slices = r.slices[:0]
	for _, a := range r.args {
		r.slices = append(r.slices, raw[a.from:a.to])
	}
	u := &r.unit
	u.Raw, u.DB, u.GetAck, u.Prompt = raw, r.db, r.unitGetAck, r.unitPrompt
	u.Ahead = r.buf[r.pos:r.end]
	u.Commands = u.Commands[:0]
	rest := r.slices
	for _, c := range r.commands {
		u.Commands = append(u.Commands, Command{DB: c.db, Args: rest[:c.args:c.args]})
		rest = rest[c.args:]
	}
	return u
}

// readCommand reads one command and notes it, or does what it says itself.
func (r *Reader) readCommand() error {
	first, err := r.peek()
	if err != nil {
		return err
	}
	switch first {
	case '\n':
		r.pos++
		return nil
	case '\r':
		return r.lineEnd()
	case '*':
	default:
		return fmt.Errorf("%w: a command begins with %q", ErrStream, first)
	}
	count, err := r.length('*', maxArgs)
	if err != nil || count == 0 {
		return err
	}
	before := len(r.args)
	for range count {
		n, err := r.length('$', r.limit)
		if err != nil {
			return err
		}
		if err := r.need(n); err != nil {
			return err
		}
		from := r.pos - r.start
		r.args = append(r.args, span{from, from + n})
		r.pos += n
		if err := r.lineEnd(); err != nil {
			return err
		}
	}
	return r.note(before)
}

var (
	nameSelect   = []byte("SELECT")
	nameMulti    = []byte("MULTI")
	nameExec     = []byte("EXEC")
	namePing     = []byte("PING")
	nameReplconf = []byte("REPLCONF")
	nameGetAck   = []byte("GETACK")
)

// note enters the command whose arguments are args[first:] into the unit, if
// it is one to execute, and drops the arguments again if it is not.
func (r *Reader) note(first int) error {
	name := r.arg(first)
	count := len(r.args) - first
	switch {
	case r.plain:
		r.commands = append(r.commands, counted{r.db, count})
		return nil
	case bytes.EqualFold(name, nameSelect):
		if count != 2 {
			return fmt.Errorf("%w: SELECT of %d arguments", ErrStream, count)
		}
		db, err := strconv.ParseUint(string(r.arg(first+1)), 10, 31)
		if err != nil {
			return fmt.Errorf("%w: SELECT %.32q", ErrStream, r.arg(first+1))
		}
		r.db = int(db)
	case bytes.EqualFold(name, nameMulti):
		if r.inMulti {
			return fmt.Errorf("%w: MULTI within MULTI", ErrStream)
		}
		r.inMulti = true
	case bytes.EqualFold(name, nameExec):
		if !r.inMulti {
			return fmt.Errorf("%w: EXEC without MULTI", ErrStream)
		}
		r.inMulti = false
	case bytes.EqualFold(name, namePing):
	case bytes.EqualFold(name, nameReplconf) && count > 1 && bytes.EqualFold(r.arg(first+1), nameGetAck):
		r.unitGetAck = true
		if count > 2 {
			r.unitPrompt = promptFor(r.arg(first + 2))
		}
	default:
		r.commands = append(r.commands, counted{r.db, count})
		return nil
	}
	r.args = r.args[:first]
	return nil
}

// promptFor reads the argument of GETACK, "*" or a time in milliseconds.
func promptFor(arg []byte) time.Duration {
	ms, err := strconv.ParseUint(string(arg), 10, 31)
	if err != nil {
		return 0
	}
	return min(time.Duration(ms)*time.Millisecond, maxPrompt)
}

// maxPrompt bounds for how long a replica acknowledges by itself: a primary that is
// replaced by one of Redis cannot call it off.
const maxPrompt = time.Minute

// arg returns argument i of the current unit. It is valid until more is read.
func (r *Reader) arg(i int) []byte {
	a := r.args[i]
	return r.buf[r.start+a.from : r.start+a.to]
}

// length reads a line of mark and a number from 0 to limit.
func (r *Reader) length(mark byte, limit int) (int, error) {
	line, err := r.line()
	if err != nil {
		return 0, err
	}
	if len(line) < 2 || line[0] != mark {
		return 0, fmt.Errorf("%w: %q where a line of %q belongs", ErrStream, line, mark)
	}
	n := 0
	for _, c := range line[1:] {
		if c < '0' || c > '9' {
			return 0, fmt.Errorf("%w: length %q", ErrStream, line)
		}
		n = n*10 + int(c-'0')
		if n > limit {
			return 0, fmt.Errorf("%w: length %q is above %d", ErrStream, line, limit)
		}
	}
	return n, nil
}

// line reads a short line and returns it without its end.
func (r *Reader) line() ([]byte, error) {
	for n := 1; ; n++ {
		if err := r.need(n); err != nil {
			return nil, err
		}
		if r.buf[r.pos+n-1] == '\n' {
			line := r.buf[r.pos : r.pos+n-1]
			r.pos += n
			if len(line) == 0 || line[len(line)-1] != '\r' {
				return nil, fmt.Errorf("%w: line %q without a carriage return", ErrStream, line)
			}
			return line[:len(line)-1], nil
		}
		if n > lineBytes {
			return nil, fmt.Errorf("%w: line %q... is too long", ErrStream, r.buf[r.pos:r.pos+n])
		}
	}
}

// lineEnd passes over a carriage return and a line feed.
func (r *Reader) lineEnd() error {
	if err := r.need(2); err != nil {
		return err
	}
	if end := r.buf[r.pos : r.pos+2]; end[0] != '\r' || end[1] != '\n' {
		return fmt.Errorf("%w: %q where a line ends", ErrStream, end)
	}
	r.pos += 2
	return nil
}

func (r *Reader) peek() (byte, error) {
	if err := r.need(1); err != nil {
		return 0, err
	}
	return r.buf[r.pos], nil
}

// need reads until n bytes are ahead. The buffer doubles when it is full, so a
// length alone allocates nothing.
func (r *Reader) need(n int) error {
	if r.pos+n-r.start > r.limit {
		return fmt.Errorf("%w: a unit of more than %d bytes", ErrStream, r.limit)
	}
	for r.end-r.pos < n {
		if r.end == len(r.buf) {
			r.makeRoom()
		}
		got, err := r.src.Read(r.buf[r.end:])
		r.end += got
		if err != nil && r.end-r.pos < n {
			return err
		}
	}
	return nil
}

// makeRoom moves the current unit to the buffer's front, or to the front of
// one twice as large if the unit fills more than half.
func (r *Reader) makeRoom() {
	buf := r.buf
	if r.end-r.start > len(buf)/2 {
		buf = make([]byte, 2*len(buf))
	}
	copy(buf, r.buf[r.start:r.end])
	r.buf = buf
	r.end -= r.start
	r.pos -= r.start
	r.start = 0
}
