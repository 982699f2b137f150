package command

// sortFirst sorts a so far that its first n elements are those that a whole sort
// would leave there, in order. Equal elements end up where Redis's pqsort.c leaves
// them, the quicksort of Bentley and McIlroy ("Engineering a Sort Function"): which
// of them are among the first n shows in replies, and in what is stored.
func sortFirst[T any](a []T, compare func(x, y *T) int, n int) {
	s := partialSort[T]{a, compare, n}
	s.sort(0, len(a))
}

type partialSort[T any] struct {
	a       []T
	compare func(x, y *T) int
	n       int // of the first elements that matter
}

func (s *partialSort[T]) cmp(i, j int) int { return s.compare(&s.a[i], &s.a[j]) }
func (s *partialSort[T]) swap(i, j int)    { s.a[i], s.a[j] = s.a[j], s.a[i] }

// swapRuns exchanges n elements from i on with those from j on.
func (s *partialSort[T]) swapRuns(i, j, n int) {
	for k := range n {
		s.swap(i+k, j+k)
	}
}

// median is which of three elements is between the others.
func (s *partialSort[T]) median(i, j, k int) int {
	if s.cmp(i, j) < 0 {
		switch {
		case s.cmp(j, k) < 0:
			return j
		case s.cmp(i, k) < 0:
			return k
		}
		return i
	}
	switch {
	case s.cmp(j, k) > 0:
		return j
	case s.cmp(i, k) < 0:
		return i
	}
	return k
}

// sort sorts n elements from start on, unless none of them matters.
func (s *partialSort[T]) sort(start, n int) {
	for n > 1 && start < s.n {
		if n < 7 {
			s.insert(start, n)
			return
		}
		less, greater := s.partition(start, n)
		s.sort(start, less)
		start, n = start+n-greater, greater
	}
}

// insert is the insertion sort.
func (s *partialSort[T]) insert(start, n int) {
	for i := start + 1; i < start+n; i++ {
		for j := i; j > start && s.cmp(j-1, j) > 0; j-- {
			s.swap(j, j-1)
		}
	}
}

// pivot is the element around which n others from start on are parted.
func (s *partialSort[T]) pivot(start, n int) int {
	middle := start + n/2
	if n == 7 {
		return middle
	}
	first, last := start, start+n-1
	if n > 40 {
		d := n / 8
		first = s.median(first, first+d, first+2*d)
		middle = s.median(middle-d, middle, middle+d)
		last = s.median(last-2*d, last-d, last)
	}
	return s.median(first, middle, last)
}

// partition parts the elements into those that are less than one of them, equal
// ones, and greater ones, and returns how many are less and how many greater.
func (s *partialSort[T]) partition(start, n int) (less, greater int) {
	s.swap(start, s.pivot(start, n))
	// Equal elements are gathered at both ends, then brought to the middle.
	a, b := start+1, start+1
	c, d := start+n-1, start+n-1
	for {
		for b <= c {
			order := s.cmp(b, start)
			if order > 0 {
				break
			}
			if order == 0 {
				s.swap(a, b)
				a++
			}
			b++
		}
		for b <= c {
			order := s.cmp(c, start)
			if order < 0 {
				break
			}
			if order == 0 {
				s.swap(c, d)
				d--
			}
			c--
		}
		if b > c {
			break
		}
		s.swap(b, c)
		b++
		c--
	}
	end := start + n
	r := min(a-start, b-a)
	s.swapRuns(start, b-r, r)
	r = min(d-c, end-d-1)
	s.swapRuns(b, end-r, r)
	return b - a, d - c
}
