package slab

import "testing"

// FuzzOperations reads its input as operations of two heaps on a small space: an
// operation is two bytes and, for an allocation, two of size. After them
// everything must be where it was put and all counts right.
func FuzzOperations(f *testing.F) {
	f.Add([]byte{0, 1, 100, 0, 0, 2, 0, 40, 4, 1, 5, 2})
	f.Add([]byte{0, 1, 0, 200, 1, 2, 255, 255, 6, 0, 7, 0, 4, 2, 7, 0, 8, 0, 9, 0})
	f.Fuzz(func(t *testing.T, ops []byte) {
		if len(ops) > 4000 {
			return
		}
		s := newTest(t, 24<<20)
		heaps := [2]*Heap{s.NewHeap(), s.NewHeap()}
		var cells [256]cell
		byArea := [areas]int{}
		stamp := uint64(0)
		for len(ops) >= 2 {
			op, which := ops[0], ops[1]
			ops = ops[2:]
			c, h := &cells[which], heaps[op>>7]
			if c.ref != 0 {
				c.verify(t, s)
			}
			switch op % 10 {
			default: // 0–3: allocate, in units that reach from bytes to extents
				if len(ops) < 2 || c.ref != 0 {
					continue
				}
				n := (int(ops[0]) | int(ops[1])<<8) << (op % 10 * 2)
				ops = ops[2:]
				stamp++
				c.allocate(h, Area(op>>4%uint8(areas)), n, stamp)
				if c.ref != 0 {
					byArea[c.area] += c.area.SizeFor(n)
				}
			case 4, 5:
				if c.ref != 0 {
					byArea[c.area] -= s.Size(c.ref)
					h.Free(c.ref)
					c.ref = 0
				}
			case 6:
				h.Retire()
			case 7:
				s.Trim(int(which) << 16)
			case 8:
				compact(t, s, h, cells[:], float64(which)/512)
			case 9:
				if which < 128 {
					s.ChooseSparse(float64(which)/512, 0)
				} else {
					s.EndCompaction()
				}
			}
		}
		audit(t, s)
		for i := range cells {
			if cells[i].ref != 0 {
				cells[i].verify(t, s)
			}
		}
		if got := s.Stats().ByArea; got != byArea {
			t.Errorf("%v bytes are in use, Stats says %v", byArea, got)
		}
	})
}
