package script

import (
	"math"

	"redoubt/internal/script/lua"
)

// A random is the generator of drand48, which gives the same numbers on all
// machines. It is Redis's redisLrand48.
type random struct{ x uint64 }

const randomMax = math.MaxInt32

// randomStart is the state of a generator that was never seeded.
const randomStart = 0x1234abcd330e

func (r *random) seed(seed int32) { r.x = uint64(uint32(seed))<<16 | 0x330e }

func (r *random) next() int32 {
	const mask = 1<<48 - 1
	r.x = (r.x*0x5deece66d + 0xb) & mask
	return int32(r.x >> 17)
}

func (w *world) mathRandom(t *lua.Thread) int {
	if w.host == nil {
		t.Errorf("math.random can only be called inside a script invocation")
	}
	r := float64(w.engine.random.next()%randomMax) / randomMax
	switch t.Count() {
	case 0:
		t.Push(lua.Number(r))
	case 1:
		u := t.CheckInt(1)
		if u < 1 {
			t.ArgError(1, "interval is empty")
		}
		t.Push(lua.Number(math.Floor(r*float64(u)) + 1))
	case 2:
		l, u := t.CheckInt(1), t.CheckInt(2)
		if l > u {
			t.ArgError(2, "interval is empty")
		}
		t.Push(lua.Number(math.Floor(r*float64(int32(u-l+1))) + float64(l)))
	default:
		t.Errorf("wrong number of arguments")
	}
	return 1
}

func (w *world) mathRandomSeed(t *lua.Thread) int {
	if w.host == nil {
		t.Errorf("math.randomseed can only be called inside a script invocation")
	}
	w.engine.random.seed(int32(t.CheckInt(1)))
	return 0
}
