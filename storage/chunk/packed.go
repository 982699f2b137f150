package chunk

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
