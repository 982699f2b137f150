package check

import (
	"slices"
	"time"

	"github.com/tidwall/resp"

	"redoubt/internal/tools/client"
)

// batch is how many keys the final reading asks for at once.
const batch = 500

// verify reads every key from its primary and returns those that could not be
// read. Keys that look damaged are read once more a second later, from a
// fresh map: the first answer may have been a deposed primary's.
func (r *runner) verify() (unread map[*key]bool) {
	left := r.readAll(r.keys)
	var damaged []*key
	for _, k := range r.keys {
		if len(k.lost()) > 0 {
			damaged = append(damaged, k)
		}
	}
	if len(damaged) > 0 {
		time.Sleep(time.Second)
		r.readAll(damaged)
	}
	unread = map[*key]bool{}
	for _, k := range left {
		unread[k] = true
	}
	return unread
}

// readAll observes the keys, again and again until each has answered or the
// limit has passed, and returns those that have not.
func (r *runner) readAll(keys []*key) []*key {
	client.Wait(r.cfg.Verify, func() error {
		var err error
		keys, err = r.eachBatch(keys, func(k *key) []string { return []string{"GET", k.name} }, func(k *key, v resp.Value) {
			r.note(k.observe(v.String()))
		})
		return err
	})
	return keys
}

// cleanup deletes the keys, as far as their primaries answer.
func (r *runner) cleanup() {
	r.eachBatch(r.keys, func(k *key) []string { return []string{"DEL", k.name} }, func(*key, resp.Value) {})
}

// eachBatch refreshes the map of slots, sends one command for each key to the
// owners in batches and hands the good replies to done. It returns the keys
// without a good reply and one of the errors.
func (r *runner) eachBatch(keys []*key, cmd func(*key) []string, done func(*key, resp.Value)) (left []*key, err error) {
	if _, err := r.cluster.Refresh(); err != nil {
		return keys, err
	}
	session := r.cluster.NewSession()
	defer session.Close()
	byOwner := map[string][]*key{}
	for _, k := range keys {
		owner := r.cluster.Owner(k.slot)
		if owner == "" {
			left, err = append(left, k), client.ErrNoOwner
			continue
		}
		byOwner[owner] = append(byOwner[owner], k)
	}
	for owner, ks := range byOwner {
		for part := range slices.Chunk(ks, batch) {
			cmds := make([][]string, len(part))
			for i, k := range part {
				cmds[i] = cmd(k)
			}
			vs, perr := session.Pipeline(owner, cmds...)
			if perr != nil {
				left, err = append(left, part...), perr
				continue
			}
			for i, v := range vs {
				if v.Type() == resp.Error {
					left, err = append(left, part[i]), v.Error()
					continue
				}
				done(part[i], v)
			}
		}
	}
	return left, err
}
