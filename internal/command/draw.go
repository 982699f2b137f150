package command

import (
	"math"
	"math/rand/v2"
	"slices"

	"redoubt/internal/resp"
)

// distinct returns k of the numbers below n, ascending. Each choice of k numbers
// is as likely as any other.
func distinct(n, k int) []int {
	picked := make([]int, 0, k)
	if k > n/3 {
		// Each number is taken with the probability that as many are left to be
		// taken as it needs (Knuth's algorithm S).
		for i := 0; len(picked) < k; i++ {
			if rand.IntN(n-i) < k-len(picked) {
				picked = append(picked, i)
			}
		}
		return picked
	}
	// Floyd's algorithm looks at no more numbers than it takes.
	taken := make(map[int]bool, k)
	for top := n - k; top < n; top++ {
		i := rand.IntN(top + 1)
		if taken[i] {
			i = top
		}
		taken[i] = true
		picked = append(picked, i)
	}
	slices.Sort(picked)
	return picked
}

// drawOptions reads the count of HRANDFIELD or ZRANDMEMBER and the word that may
// stand behind it, which makes the reply twice as long.
func (c *Ctx) drawOptions(word string) (count int64, with, ok bool) {
	if count, ok = c.integerIn(c.Args[2], -math.MaxInt64, math.MaxInt64, ""); !ok {
		return 0, false, false
	}
	with = len(c.Args) == 4 && is(c.Args[3], word)
	switch {
	case len(c.Args) > 3 && !with:
		c.Out.Error(resp.ErrSyntax)
	case with && (count < -math.MaxInt64/2 || count > math.MaxInt64/2):
		c.Out.Error(resp.ErrRange)
	default:
		return count, with, true
	}
	return 0, false, false
}

// draw answers with elements of a collection of n, at least one, chosen at
// random: up to count different ones or, if count is negative, as many as that
// says with repetitions. at writes the element at a position, all writes all of
// them; width is how many elements of the reply one of them makes.
//
// A reply of repetitions that would be longer than proto-max-bulk-len is refused:
// it is as long as the client says, whatever the size of the collection.
func (c *Ctx) draw(n int, count int64, width int, at func(i int), all func()) {
	if count >= int64(n) {
		c.Out.Array(n * width)
		all()
		return
	}
	if count >= 0 {
		c.Out.Array(int(count) * width)
		for _, i := range distinct(n, int(count)) {
			at(i)
		}
		return
	}
	const shortest = len("$0\r\n\r\n")
	if -count > c.Host.MaxBulk()/int64(shortest*width) {
		c.Out.Error(resp.ErrRange)
		return
	}
	start := c.Out.Len()
	c.Out.Array(int(-count) * width)
	for range -count {
		if at(rand.IntN(n)); int64(c.Out.Len()-start) > c.Host.MaxBulk() {
			c.Out.Truncate(start)
			c.Out.Error(resp.ErrRange)
			return
		}
	}
}
