package check

import (
	"fmt"
	"strconv"

	"redoubt/internal/tools/client"
	"redoubt/slots"
)

// key is a key under test with what is believed of it.
type key struct {
	name  string
	slot  slots.Slot
	shard int // index into Report.Shards
	history
}

// makeKeys returns n keys spread evenly over all slots; with slots.Count keys
// or more every slot has one. Slots that no shard owns have none.
func makeKeys(n int, prefix, run string, shards []client.Shard) []*key {
	owner := map[slots.Slot]int{}
	for i := range shards {
		shards[i].Slots.Each(func(s slots.Slot) bool {
			owner[s] = i
			return true
		})
	}
	tags := slotTags()
	keys := make([]*key, 0, n)
	for i := range n {
		s := slots.Slot(i % slots.Count)
		if n < slots.Count {
			s = slots.Slot(i * slots.Count / n)
		}
		shard, ok := owner[s]
		if !ok {
			continue
		}
		keys = append(keys, &key{
			name:    fmt.Sprintf("%s:{%s}:%d", prefix, tags[s], i),
			slot:    s,
			shard:   shard,
			history: history{run: run},
		})
	}
	return keys
}

// slotTags returns a hash tag for every slot.
func slotTags() *[slots.Count]string {
	var tags [slots.Count]string
	for n, left := 0, slots.Count; left > 0; n++ {
		tag := strconv.FormatInt(int64(n), 36)
		if s := slots.Of([]byte(tag)); tags[s] == "" {
			tags[s] = tag
			left--
		}
	}
	return &tags
}

// deal gives every shard its clients and every client its keys. There are at
// least as many clients as shards with keys; none is without keys.
func deal(keys []*key, clients, shards int) [][]*key {
	byShard := make([][]*key, shards)
	for _, k := range keys {
		byShard[k.shard] = append(byShard[k.shard], k)
	}
	var hands [][]*key
	for i, ks := range byShard {
		n := clients / shards
		if i < clients%shards {
			n++
		}
		n = min(max(n, 1), len(ks))
		first := len(hands)
		hands = append(hands, make([][]*key, n)...)
		for j, k := range ks {
			hands[first+j%n] = append(hands[first+j%n], k)
		}
	}
	return hands
}
