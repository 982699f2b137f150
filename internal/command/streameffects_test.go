package command

import "testing"

// What a group has read, and that a consumer is there, a restart and a replica must
// know as well.
func TestEffectsOfStreamsTellAllOfTheirGroups(t *testing.T) {
	primary, replica := newNode(), newNode()
	a := NewApplier(replica.table, replica.exec, replica)
	a.Failed = func(args [][]byte, err string) { t.Errorf("%q: %s", args, err) }
	for _, line := range []string{
		"xadd s 1 f v", "xadd s 2 f v", "xadd s 3 f v", "xadd s 4 f v", "xadd s 5 f v", "xadd s 6 f v",
		"xgroup create s g 0", "xgroup create s h 0", "xgroup create s i 2",
		"xreadgroup group g first count 2 streams s >",
		"xreadgroup group g waits streams s 0",
		"xreadgroup group h quiet count 3 noack streams s >",
		"xreadgroup group i late count 1 streams s >",
		"xclaim s g claims 1000000 1",
		"xautoclaim s g autoclaims 1000000 0",
		"xclaim s h jumps 0 4 force justid lastid 4",
		"xclaim s h jumps 0 5 4 force justid lastid 5",
		"xdel s 4", "xreadgroup group g first count 1 streams s >",
		"xreadgroup group g first streams s >",
		"xreadgroup group g done streams s >",
	} {
		primary.doStream(t, line, func(unit []Effect) {
			if err := a.Apply(primary.now, unit, primary.end, nil); err != nil {
				t.Fatalf("%s: %v", line, err)
			}
		})
		for _, look := range [][]string{{"xinfo", "groups", "s"}, {"xinfo", "stream", "s", "full"}} {
			want, _ := primary.do(look...)
			if got, _ := replica.do(look...); got != want {
				t.Fatalf("after %s\n%q: %s, but on the replica %s", line, look, want, got)
			}
		}
	}
}

// A replica whose clock is late takes the primary's word for when an item was
// delivered.
func TestReplicasTakeTheTimeOfADelivery(t *testing.T) {
	primary, replica := newNode(), newNode()
	a := NewApplier(replica.table, replica.exec, replica)
	for _, line := range []string{"xadd s 1 f v", "xgroup create s g 0", "xreadgroup group g c streams s >"} {
		primary.doStream(t, line, func(unit []Effect) {
			if err := a.Apply(primary.now-500, unit, primary.end, nil); err != nil {
				t.Fatal(err)
			}
		})
	}
	replica.now = primary.now
	want, _ := primary.do("xpending", "s", "g", "-", "+", "1")
	if got, _ := replica.do("xpending", "s", "g", "-", "+", "1"); got != want {
		t.Errorf("pending: %s, but on the replica %s", want, got)
	}
}

// The number of deliveries that a client has set to the most there is goes no further,
// where no replica and no restart could read it.
func TestDeliveriesAreCountedAsFarAsEffectsCanTell(t *testing.T) {
	primary, replica := newNode(), newNode()
	a := NewApplier(replica.table, replica.exec, replica)
	a.Failed = func(args [][]byte, err string) { t.Errorf("%q: %s", args, err) }
	for _, line := range []string{
		"xadd s 1 f v", "xgroup create s g 0", "xreadgroup group g first streams s >",
		"xclaim s g second 0 1 retrycount 9223372036854775807", "xclaim s g first 0 1", "xautoclaim s g second 0 0",
	} {
		primary.doStream(t, line, func(unit []Effect) {
			if err := a.Apply(primary.now, unit, primary.end, nil); err != nil {
				t.Fatal(err)
			}
		})
		want, _ := primary.do("xpending", "s", "g", "-", "+", "1")
		if got, _ := replica.do("xpending", "s", "g", "-", "+", "1"); got != want {
			t.Errorf("after %s: %s, but on the replica %s", line, want, got)
		}
	}
	if got, _ := primary.do("xpending", "s", "g", "-", "+", "1"); got != "1-0 second :0 :9223372036854775807" {
		t.Errorf("pending is %s", got)
	}
}
