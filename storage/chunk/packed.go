package chunk

import "encoding/binary"

// Characters that take half a byte are those from ',' to ':'; the half is 1 to 15.
const packedBase = ',' - 1

func packable(text []byte) bool {
	for _, c := range text {
		if c-packedBase-1 > 14 {
			return false
		}
	}
	return true
}

func appendPacked(b, text []byte) []byte {
	for ; len(text) >= 2; text = text[2:] {
		b = append(b, (text[0]-packedBase)<<4|(text[1]-packedBase))
	}
	if len(text) == 1 {
		b = append(b, (text[0]-packedBase)<<4)
	}
	return b
}

// unpack appends n characters.
func unpack(dst, b []byte, n int) []byte {
	for i := range n / 2 {
		dst = append(dst, b[i]>>4+packedBase, b[i]&15+packedBase)
	}
	if n%2 == 1 {
		dst = append(dst, b[n/2]>>4+packedBase)
	}
	return dst
}

// Characters that take five bits are those in letters; the bits are the place there.
const (
	letters     = "abcdefghijklmnopqrstuvwxyz -./:_"
	lettersMost = len(letters) // characters of a text
	lettersFrom = 3            // a shorter text would take as many bytes as before
	noLetter    = 255
)

// letterCodes has the place of every character in letters.
var letterCodes = func() (codes [256]byte) {
	for i := range codes {
		codes[i] = noLetter
	}
	for i := range len(letters) {
		codes[letters[i]] = byte(i)
	}
	return codes
}()

// lettersBytes is how many bytes n such characters take.
func lettersBytes(n int) int { return (5*n + 7) / 8 }

func areLetters(text []byte) bool {
	for _, c := range text {
		if letterCodes[c] == noLetter {
			return false
		}
	}
	return true
}

// appendLetters appends characters: eight of them are five bytes.
func appendLetters(b, text []byte) []byte {
	for len(text) > 0 {
		k := min(len(text), 8)
		var x uint64
		for i, c := range text[:k] {
			x |= uint64(letterCodes[c]) << (5 * i)
		}
		for range lettersBytes(k) {
			b = append(b, byte(x))
			x >>= 8
		}
		text = text[k:]
	}
	return b
}

// letterPairs has the two characters that ten bits stand for.
var letterPairs = func() (pairs [1 << 10]uint16) {
	for i := range pairs {
		pairs[i] = uint16(letters[i&31]) | uint16(letters[i>>5])<<8
	}
	return pairs
}()

// unpackLetters appends n characters.
func unpackLetters(dst, b []byte, n int) []byte {
	for ; n >= 8; n -= 8 {
		x := uint64(binary.LittleEndian.Uint32(b)) | uint64(b[4])<<32
		text := uint64(letterPairs[x&1023]) | uint64(letterPairs[x>>10&1023])<<16 |
			uint64(letterPairs[x>>20&1023])<<32 | uint64(letterPairs[x>>30])<<48
		dst = binary.LittleEndian.AppendUint64(dst, text)
		b = b[5:]
	}
	if n > 0 {
		m := lettersBytes(n)
		var x uint64
		for i, c := range b[:m] {
			x |= uint64(c) << (8 * i)
		}
		for range n {
			dst = append(dst, letters[x&31])
			x >>= 5
		}
	}
	return dst
}
