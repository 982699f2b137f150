// Package glob matches strings against Redis's glob patterns, the ones of
// KEYS, SCAN, PSUBSCRIBE, CONFIG GET and ACL rules.
//
// A pattern is a sequence of elements, and each but the star matches exactly
// one byte:
//
//   - any number of bytes
//     ?       any byte
//     [a-z]   a byte of the class; [^a-z] a byte outside of it
//     \x      the byte x itself, in a class too
//     x       the byte x
//
// Nothing is invalid: a class that is not closed ends with the pattern, a
// range may be written backwards, and a backslash that ends the pattern stands
// for itself. Matching is byte by byte, so UTF-8 characters are matched by as
// many question marks as they have bytes.
//
// Because only stars are of variable width, the first match of what stands
// between two stars is as good as any later one. So a mismatch goes back to
// the last star only, and the work is bounded by the product of the two
// lengths, whatever the pattern. (Redis recurses at each star and stops at a
// nesting of 1000; here there is no such limit.)
package glob

// Text is what patterns and subjects are made of.
type Text interface{ ~string | ~[]byte }

// Match reports whether the pattern matches the whole of s, as Redis's
// stringmatchlen does. As there, the empty string is matched by the empty
// pattern only, not by a star.
func Match[P, S Text](pattern P, s S) bool { return match(pattern, s, false) }

// MatchFold is Match without regard to the case of ASCII letters. As in
// Redis, a letter that is escaped within a class keeps its case.
func MatchFold[P, S Text](pattern P, s S) bool { return match(pattern, s, true) }

func match[P, S Text](pattern P, s S, fold bool) bool {
	if len(s) == 0 {
		return len(pattern) == 0
	}
	p, i := 0, 0
	star, resume := -1, 0 // the element after the last star, and where in s it was last tried
	for i < len(s) {
		if p < len(pattern) && pattern[p] == '*' {
			for p < len(pattern) && pattern[p] == '*' {
				p++
			}
			if p == len(pattern) {
				return true
			}
			star, resume = p, i
			continue
		}
		if p < len(pattern) {
			if ok, next := element(pattern, p, s[i], fold); ok {
				p = next
				i++
				continue
			}
		}
		if star < 0 {
			return false
		}
		resume++
		p, i = star, resume
	}
	for p < len(pattern) && pattern[p] == '*' {
		p++
	}
	return p == len(pattern)
}

// element reports whether the element of the pattern at p, which is not a
// star, matches c, and where the next element begins.
func element[P Text](pattern P, p int, c byte, fold bool) (ok bool, next int) {
	switch pattern[p] {
	case '?':
		return true, p + 1
	case '[':
		return class(pattern, p+1, c, fold)
	case '\\':
		if p+1 < len(pattern) {
			p++
		}
	}
	return same(pattern[p], c, fold), p + 1
}

// class is element for the class whose first byte after the bracket is at p.
func class[P Text](pattern P, p int, c byte, fold bool) (ok bool, next int) {
	not := p < len(pattern) && pattern[p] == '^'
	if not {
		p++
	}
	for p < len(pattern) {
		switch left := len(pattern) - p; {
		case pattern[p] == '\\' && left >= 2:
			ok = ok || pattern[p+1] == c
			p += 2
		case pattern[p] == ']':
			return ok != not, p + 1
		case left >= 3 && pattern[p+1] == '-':
			ok = ok || within(pattern[p], pattern[p+2], c, fold)
			p += 3
		default:
			ok = ok || same(pattern[p], c, fold)
			p++
		}
	}
	return ok != not, p
}

// within reports whether c lies between the two ends of a range. Redis orders
// the ends first and folds them afterwards, so that [Z-a] is empty when case
// is ignored; so it is here.
func within(first, last, c byte, fold bool) bool {
	if first > last {
		first, last = last, first
	}
	if fold {
		first, last, c = lower(first), lower(last), lower(c)
	}
	return first <= c && c <= last
}

func same(a, b byte, fold bool) bool {
	return a == b || fold && lower(a) == lower(b)
}

func lower(c byte) byte {
	if 'A' <= c && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}

// Plain reports whether the pattern has none of the bytes that make it more
// than a name: CONFIG GET looks such a pattern up instead of matching it, and
// there a backslash does not count.
func Plain(pattern string) bool {
	for i := range len(pattern) {
		switch pattern[i] {
		case '*', '?', '[':
			return false
		}
	}
	return true
}
