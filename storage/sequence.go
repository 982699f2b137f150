package storage

import "slices"

// chunkMax is how many elements a chunk of a sequence holds before it splits.
const chunkMax = 512

// sequence is a list of elements by position, cut into chunks so that an insert
// moves few of them. The zero value is empty. An element in the middle is found
// in time proportional to the number of chunks.
type sequence[T any] struct {
	chunks [][]T // none is empty
	n      int
}

func (s *sequence[T]) len() int { return s.n }

// locate returns the chunk that holds position i, and the place in it. For i
// equal to the length it is the end of the last chunk.
func (s *sequence[T]) locate(i int) (chunk, at int) {
	if i > s.n/2 {
		rest := s.n - i // elements from i on
		for chunk = len(s.chunks) - 1; chunk > 0 && rest > len(s.chunks[chunk]); chunk-- {
			rest -= len(s.chunks[chunk])
		}
		return chunk, len(s.chunks[chunk]) - rest
	}
	for chunk = range s.chunks {
		if i < len(s.chunks[chunk]) {
			break
		}
		i -= len(s.chunks[chunk])
	}
	return chunk, i
}

// at returns the element at position i, which must exist.
func (s *sequence[T]) at(i int) T {
	c, j := s.locate(i)
	return s.chunks[c][j]
}

func (s *sequence[T]) set(i int, x T) {
	c, j := s.locate(i)
	s.chunks[c][j] = x
}

// insert puts x before position i, or at the end if i is the length.
func (s *sequence[T]) insert(i int, x T) {
	if s.n == 0 {
		s.chunks, s.n = [][]T{{x}}, 1
		return
	}
	c, j := s.locate(i)
	if len(s.chunks[c]) >= chunkMax {
		half := len(s.chunks[c]) / 2
		switch {
		case j == len(s.chunks[c]) && c == len(s.chunks)-1:
			half = j // appended: the full chunk stays as it is
		case i == 0:
			half = 0
		}
		right := slices.Clone(s.chunks[c][half:])
		clear(s.chunks[c][half:])
		s.chunks[c] = s.chunks[c][:half]
		s.chunks = slices.Insert(s.chunks, c+1, right)
		if j > half || half == chunkMax {
			c, j = c+1, j-half
		}
	}
	s.chunks[c] = slices.Insert(s.chunks[c], j, x)
	s.n++
}

// remove takes the element at position i out.
func (s *sequence[T]) remove(i int) {
	c, j := s.locate(i)
	s.chunks[c] = slices.Delete(s.chunks[c], j, j+1)
	if len(s.chunks[c]) == 0 {
		s.chunks = slices.Delete(s.chunks, c, c+1)
	}
	s.n--
}

// search returns the first position whose element is not less, as less tells;
// elements must be sorted such that all that are less come first.
func (s *sequence[T]) search(less func(T) bool) int {
	c, _ := slices.BinarySearchFunc(s.chunks, 0, func(chunk []T, _ int) int {
		if less(chunk[len(chunk)-1]) {
			return -1
		}
		return 1
	})
	if c == len(s.chunks) {
		return s.n
	}
	at := 0
	for _, chunk := range s.chunks[:c] {
		at += len(chunk)
	}
	j, _ := slices.BinarySearchFunc(s.chunks[c], 0, func(x T, _ int) int {
		if less(x) {
			return -1
		}
		return 1
	})
	return at + j
}

// ascend calls f for the elements from position i on until it returns false.
func (s *sequence[T]) ascend(i int, f func(T) bool) {
	if i >= s.n {
		return
	}
	c, j := s.locate(i)
	for ; c < len(s.chunks); c, j = c+1, 0 {
		for _, x := range s.chunks[c][j:] {
			if !f(x) {
				return
			}
		}
	}
}

// descend calls f for the elements from position i down to the first until it
// returns false.
func (s *sequence[T]) descend(i int, f func(T) bool) {
	if i < 0 {
		return
	}
	c, j := s.locate(i)
	for {
		for ; j >= 0; j-- {
			if !f(s.chunks[c][j]) {
				return
			}
		}
		if c--; c < 0 {
			return
		}
		j = len(s.chunks[c]) - 1
	}
}

func (s *sequence[T]) clone() sequence[T] {
	d := sequence[T]{n: s.n, chunks: make([][]T, len(s.chunks))}
	for i, c := range s.chunks {
		d.chunks[i] = slices.Clone(c)
	}
	return d
}
