package command

import (
	"fmt"
	"strconv"
	"testing"
)

// Values are the same as those of Redis, byte by byte, after the same commands.
func TestRandomHistoriesOfHyperLogLogs(t *testing.T) {
	randomHistories(t, 1500, (*twins).hllCommand)
}

func (h *twins) hllCommand(line liner) []string {
	key := h.hllKey()
	switch h.rand.IntN(16) {
	case 0, 1, 2, 3, 12, 13, 14, 15:
		words := line("PFADD", []string{key})
		// Now and then so many that the value becomes dense.
		for range h.rand.IntN(4) + h.rand.IntN(2)*h.rand.IntN(2)*h.rand.IntN(2)*h.rand.IntN(1500) {
			words = append(words, fmt.Sprint("e", h.rand.IntN(100_000)))
		}
		return words
	case 4, 5:
		return line("PFCOUNT", []string{key})
	case 6:
		return line("PFCOUNT", []string{key, h.hllKey(), h.hllKey()})
	case 7:
		words := line("PFMERGE", []string{key})
		for range h.rand.IntN(3) {
			words = append(words, h.hllKey())
		}
		return words
	case 8:
		return line("PFDEBUG", []string{h.pick("todense", "ENCODING", "DECODE", "DECODE", "x"), key})
	case 9:
		return line("GET", []string{key})
	case 10:
		// What nobody uses in the header, and the count that the value carries; now and
		// then what the header begins with. Not the runs: commands that Redis lets pass
		// refuse a corrupt value here.
		at := 5 + h.rand.IntN(11)
		if h.rand.IntN(10) == 0 {
			at = h.rand.IntN(5)
		}
		return line("BITFIELD", []string{key, "SET", "u8", "#" + strconv.Itoa(at), strconv.Itoa(h.rand.IntN(256))})
	case 11:
		return line("BITOP", []string{"OR", key, h.pick("hll:none", h.hllKey())}) // deletes it, or makes it good again
	}
	return line("OBJECT", []string{"ENCODING", key})
}

func (h *twins) hllKey() string {
	if h.rand.IntN(60) == 0 {
		return h.pick("list:a", "hll:none")
	}
	return "hll:" + h.pick("a", "b", "c", "d", "e", "f", "g", "h")
}
