package command

import "strconv"

// bitCommand is a command on bits.
func (h *twins) bitCommand(line liner) []string {
	key := []string{h.bitKey()}
	switch h.rand.IntN(12) {
	case 0, 1:
		return line("SETBIT", key, []string{h.bitOffset(), h.pick("0", "1", "1", "1", "2", "x")})
	case 2:
		return line("GETBIT", key, []string{h.bitOffset()})
	case 3:
		return line("BITCOUNT", key, h.sometimes(h.number(), h.number()), h.sometimes(h.pick("BYTE", "bit", "x")))
	case 4:
		words := line("BITPOS", key, []string{h.pick("0", "1", "1", "2")})
		for range h.rand.IntN(3) {
			words = append(words, h.number())
		}
		if len(words) == 5 {
			words = append(words, h.sometimes(h.pick("BYTE", "BIT", "x"))...)
		}
		return words
	case 5, 6:
		words := line("BITOP", []string{h.pick("AND", "or", "XOR", "NOT", "NAND")}, key)
		for range 1 + h.rand.IntN(3) {
			words = append(words, h.bitKey())
		}
		return words
	case 7:
		return line(h.pick("GET", "STRLEN", "TTL"), key)
	case 8:
		if h.rand.IntN(4) == 0 {
			return line("BITOP", []string{"AND"}, key, []string{"bits:none", "bits:none"}) // deletes it
		}
		return []string{"OBJECT", "ENCODING", key[0]}
	case 9:
		return line("BITFIELD_RO", key, h.fieldGet(), h.sometimes(h.pick("SET", "GET"), "u8", "0", "1"))
	}
	words := line("BITFIELD", key)
	for range h.rand.IntN(5) {
		words = append(words, h.fieldOperation()...)
	}
	return words
}

// bitKey is the key of bits; now and then it is one of a list.
func (h *twins) bitKey() string {
	if h.rand.IntN(60) == 0 {
		return "list:a"
	}
	return "bits:" + h.pick("a", "b", "c", "d")
}

func (h *twins) bitOffset() string {
	if h.rand.IntN(30) == 0 {
		return h.pick("-1", "x", "4294967296", "")
	}
	return strconv.Itoa(h.rand.IntN(200 + 2000*h.rand.IntN(2)))
}

func (h *twins) fieldType() string {
	if h.rand.IntN(50) == 0 {
		return h.pick("u64", "i65", "x8", "i", "", "u0")
	}
	return h.pick("u", "i") + strconv.Itoa(1+h.rand.IntN(63))
}

func (h *twins) fieldGet() []string {
	return []string{h.pick("GET", "get"), h.fieldType(), h.pick("", "#") + strconv.Itoa(h.rand.IntN(60))}
}

func (h *twins) fieldOperation() []string {
	value := strconv.FormatInt(h.rand.Int64()>>h.rand.IntN(64), 10)
	if h.rand.IntN(2) == 0 {
		value = h.number()
	}
	switch h.rand.IntN(5) {
	case 0:
		return h.fieldGet()
	case 1:
		// A string that only grows, as everything else fails, is propagated here and
		// not by Redis: those that fail are of a key that is long enough.
		if h.rand.IntN(3) > 0 {
			return []string{"OVERFLOW", h.pick("WRAP", "sat")}
		}
		return []string{h.pick("OVERFLOW", "BITS"), h.pick("WRAP", "SAT", "NONE")}
	case 2, 3:
		return []string{"SET", h.fieldType(), h.pick("", "#") + strconv.Itoa(h.rand.IntN(60)), value}
	}
	return []string{"INCRBY", h.fieldType(), h.pick("", "#") + strconv.Itoa(h.rand.IntN(60)), value}
}
