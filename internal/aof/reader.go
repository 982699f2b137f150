package aof

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
)

// What a file that cannot be read to its end yields; both are wrapped with where.
var (
	// ErrShort: the file ends within a command, or within a transaction. That is
	// what a crash leaves, and Reader.Whole is how far the file is good.
	ErrShort = errors.New("aof: unexpected end of file")
	// ErrFormat: something is no command.
	ErrFormat = errors.New("aof: bad file format")
)

// Command is one command of a file, to be executed in database DB.
type Command struct {
	DB   int
	Args [][]byte
}

// Reader reads the commands of one file, unit by unit: a command, or all between
// MULTI and EXEC. It takes no more memory for a unit than has been read of it,
// twice.
type Reader struct {
	in    *bufio.Reader
	at    int64 // in the file, of what comes next
	whole int64 // where the last whole unit ends

	db       int
	inMulti  bool
	bytes    []byte // the arguments of the unit, one behind the other
	ends     []int  // where each ends in bytes
	counts   []int  // arguments of each command
	dbs      []int  // database of each command
	args     [][]byte
	commands []Command
}

const (
	readerBytes = 1 << 20
	// maxArgs and maxArgBytes are more than a command of Redis can have.
	maxArgs     = math.MaxInt32
	maxArgBytes = 1 << 40
	// lineBytes is more than "*" or "$" and a number.
	lineBytes = 32
	// keepBytes is what is kept of the memory of a unit for the next one.
	keepBytes = 1 << 20
	growBytes = 64 << 10 // an argument is believed as it arrives
)

// NewReader returns a Reader of commands. in is a file from offset at on.
func NewReader(in io.Reader, at int64) *Reader {
	return &Reader{in: bufio.NewReaderSize(in, readerBytes), at: at, whole: at}
}

// Whole is the offset in the file up to which there are whole units, and
// annotations between them.
func (r *Reader) Whole() int64 { return r.whole }

// Next returns the commands of the next unit, which are valid until the call after,
// or io.EOF where the file ends between two units. Other errors wrap ErrShort or
// ErrFormat, or are the source's.
func (r *Reader) Next() ([]Command, error) {
	r.forget()
	for {
		err := r.command()
		if errors.Is(err, io.EOF) && (r.inMulti || !errors.Is(err, errBetween)) {
			return nil, fmt.Errorf("%w at offset %d", ErrShort, r.at)
		}
		if errors.Is(err, errBetween) {
			return nil, io.EOF
		}
		if err != nil {
			return nil, err
		}
		if r.inMulti {
			continue
		}
		r.whole = r.at
		if len(r.counts) > 0 {
			return r.unit(), nil
		}
		r.forget()
	}
}

// errBetween is an end of the file where a command could begin.
var errBetween = fmt.Errorf("%w between two commands", io.EOF)

// forget lets go of the last unit.
func (r *Reader) forget() {
	if cap(r.bytes) > keepBytes {
		r.bytes = nil
	}
	r.bytes, r.ends, r.counts, r.dbs = r.bytes[:0], r.ends[:0], r.counts[:0], r.dbs[:0]
	r.inMulti = false
}

// unit turns what was noted into slices of the buffer, which no longer moves.
func (r *Reader) unit() []Command {
	r.args, r.commands = r.args[:0], r.commands[:0]
	from := 0
	for _, end := range r.ends {
		r.args = append(r.args, r.bytes[from:end:end])
		from = end
	}
	rest := r.args
	for i, n := range r.counts {
		r.commands = append(r.commands, Command{DB: r.dbs[i], Args: rest[:n:n]})
		rest = rest[n:]
	}
	return r.commands
}

// command reads one command, or an annotation.
func (r *Reader) command() error {
	first, err := r.in.Peek(1)
	if err != nil {
		if errors.Is(err, io.EOF) {
			return errBetween
		}
		return err
	}
	switch first[0] {
	case '#':
		return r.annotation()
	case '*':
	default:
		return r.badly("a command begins with %q", first)
	}
	count, err := r.number('*', maxArgs)
	if err != nil {
		return err
	}
	if count == 0 {
		return r.badly("a command of no arguments")
	}
	before := len(r.ends)
	for range count {
		if err := r.argument(); err != nil {
			return err
		}
	}
	return r.note(before)
}

// annotation passes over a line, which may be the last one and have no end.
func (r *Reader) annotation() error {
	for {
		line, err := r.in.ReadSlice('\n')
		r.at += int64(len(line))
		if err == nil || errors.Is(err, io.EOF) {
			return nil
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return err
		}
	}
}

// argument reads an argument to the end of bytes.
func (r *Reader) argument() error {
	size, err := r.number('$', maxArgBytes)
	if err != nil {
		return err
	}
	for left := size; left > 0; {
		n := min(left, max(growBytes, len(r.bytes)))
		from := len(r.bytes)
		r.bytes = append(r.bytes, make([]byte, n)...)
		got, err := io.ReadFull(r.in, r.bytes[from:])
		r.at += int64(got)
		if err != nil {
			return ended(err)
		}
		left -= n
	}
	r.ends = append(r.ends, len(r.bytes))
	var end [2]byte
	got, err := io.ReadFull(r.in, end[:])
	r.at += int64(got)
	if err != nil {
		return ended(err)
	}
	if end != [2]byte{'\r', '\n'} {
		return r.badly("%q where an argument ends", end[:])
	}
	return nil
}

// number reads a line of mark and a number from 0 to most.
func (r *Reader) number(mark byte, most int) (int, error) {
	var line []byte
	for len(line) == 0 || line[len(line)-1] != '\n' {
		c, err := r.in.ReadByte()
		if err != nil {
			return 0, ended(err)
		}
		r.at++
		if line = append(line, c); len(line) > lineBytes {
			return 0, r.badly("%q where a line of %q belongs", line, mark)
		}
	}
	digits, ok := bytes.CutPrefix(bytes.TrimSuffix(line, []byte("\r\n")), []byte{mark})
	n, err := strconv.ParseUint(string(digits), 10, 63)
	if !ok || err != nil || n > uint64(most) {
		return 0, r.badly("%q where a line of %q belongs", line, mark)
	}
	return int(n), nil
}

// note enters the command whose arguments are those from first on, or does what it
// says.
func (r *Reader) note(first int) error {
	name := r.arg(first)
	count := len(r.ends) - first
	switch {
	case bytes.EqualFold(name, []byte("multi")):
		if r.inMulti {
			return r.badly("MULTI within MULTI")
		}
		r.inMulti = true
	case bytes.EqualFold(name, []byte("exec")):
		if !r.inMulti {
			return r.badly("EXEC without MULTI")
		}
		r.inMulti = false
	case bytes.EqualFold(name, []byte("select")) && count == 2:
		db, err := strconv.ParseUint(string(r.arg(first+1)), 10, 31)
		if err != nil {
			return r.badly("SELECT %.32q", r.arg(first+1))
		}
		r.db = int(db)
	default:
		r.counts = append(r.counts, count)
		r.dbs = append(r.dbs, r.db)
		return nil
	}
	r.ends = r.ends[:first]
	if first == 0 {
		r.bytes = r.bytes[:0]
	} else {
		r.bytes = r.bytes[:r.ends[first-1]]
	}
	return nil
}

// arg returns an argument of the unit, which is valid until more is read.
func (r *Reader) arg(i int) []byte {
	from := 0
	if i > 0 {
		from = r.ends[i-1]
	}
	return r.bytes[from:r.ends[i]]
}

func (r *Reader) badly(format string, args ...any) error {
	return fmt.Errorf("%w at offset %d: %s", ErrFormat, r.at, fmt.Sprintf(format, args...))
}

// ended is io.EOF for every kind of end.
func ended(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return io.EOF
	}
	return err
}
