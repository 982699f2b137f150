package vouch

import (
	"cmp"
	"slices"
	"time"
)

// A Record is what a node remembers of Sentinels that vouch: how many watch it, by the
// name under which they do. It is kept only if most of those do vouch: real
// redis-sentinel processes do not, and a majority of them never would.
type Record struct {
	Master string
	Voters int
}

// A State is what the node's Sentinels make of it.
type State uint8

const (
	// Waiting: too few have said anything yet.
	Waiting State = iota
	// Confirmed: most have said that the node is the primary.
	Confirmed
	// Replaced: the newest configuration that anybody knows has another primary.
	Replaced
)

// freshness is for how long a word counts. Sentinels say theirs again every ten
// seconds, and each second to a node that waits.
const freshness = 30 * time.Second

// maxMasters bounds under how many names a node is watched, and maxCallers by how many
// Sentinels under each: what is beyond is not heard.
const (
	maxMasters = 64
	maxCallers = 64
)

// A Watch is what a node has heard, and what follows from it. Its methods take the
// time, which must not go back.
type Watch struct {
	masters []*watched // by name
	asking  bool       // between Ask and Settle
}

// watched is one name under which the node is watched.
type watched struct {
	Record
	// vouched: most of the voters do vouch; this is a Record worth keeping.
	vouched bool
	calls   map[string]call // by the id of the Sentinel

	// newest is the word about the newest configuration that was heard of; any: there
	// was one since the node asked.
	newest Word
	any    bool
	// ignored: up to this configuration it does not matter that there is another
	// primary, because the node has been told to be one since.
	ignored    uint64
	hasIgnored bool
}

type call struct {
	word Word
	at   time.Time
}

// NewWatch makes a Watch of a node that remembers records.
func NewWatch(records []Record) *Watch {
	w := &Watch{}
	for _, r := range records {
		if len(w.masters) < maxMasters {
			m := w.master(r.Master)
			m.Record, m.vouched = r, true
		}
	}
	return w
}

// Records are what is to be remembered, by name.
func (w *Watch) Records() []Record {
	var all []Record
	for _, m := range w.masters {
		if m.vouched {
			all = append(all, m.Record)
		}
	}
	return all
}

// master finds or makes the entry of a name.
func (w *Watch) master(name string) *watched {
	i, ok := slices.BinarySearchFunc(w.masters, name, func(m *watched, name string) int { return cmp.Compare(m.Master, name) })
	if !ok {
		w.masters = slices.Insert(w.masters, i, &watched{Record: Record{Master: name}, calls: map[string]call{}})
	}
	return w.masters[i]
}

// Hear takes a word.
func (w *Watch) Hear(now time.Time, word Word) {
	known := slices.ContainsFunc(w.masters, func(m *watched) bool { return m.Master == word.Master })
	if !known && len(w.masters) >= maxMasters {
		return
	}
	m := w.master(word.Master)
	for id, c := range m.calls {
		if now.Sub(c.at) > freshness {
			delete(m.calls, id)
		}
	}
	if _, ok := m.calls[word.Sentinel]; !ok && len(m.calls) >= maxCallers {
		return
	}
	m.calls[word.Sentinel] = call{word, now}
	if !m.any || word.ConfigEpoch > m.newest.ConfigEpoch ||
		word.ConfigEpoch == m.newest.ConfigEpoch && word.Sentinel == m.newest.Sentinel {
		m.newest, m.any = word, true
	}
	// Their number is believed once most of them have said something, of those that are
	// remembered too: one that has just been set up knows no other yet.
	voters := m.voters(now)
	switch most := len(m.calls) > max(voters, m.Voters)/2; {
	case most:
		m.Voters, m.vouched = voters, true
	case voters > m.Voters && !w.asking:
		// There are others that it did not know of, or that have been added.
		m.Voters, m.vouched = voters, false
	}
}

// voters is the greatest number of Sentinels that any of them knows of.
func (m *watched) voters(now time.Time) int {
	most := 0
	for _, c := range m.calls {
		if now.Sub(c.at) <= freshness {
			most = max(most, c.word.Voters)
		}
	}
	return most
}

// Ask forgets what was heard so far, but not by whom the node is watched: words are
// waited for from now on. It reports whether there is anybody to wait for.
func (w *Watch) Ask() bool {
	any := false
	w.asking = true
	for _, m := range w.masters {
		clear(m.calls)
		m.newest, m.any, m.hasIgnored = Word{}, false, false
		any = any || m.vouched
	}
	return any
}

// Settle ends what Ask has begun: the node takes writes.
func (w *Watch) Settle() { w.asking = false }

// Promote says that the node was made a primary by a command. That is not undone by
// configurations that were known before.
func (w *Watch) Promote() {
	for _, m := range w.masters {
		m.ignored, m.hasIgnored = m.newest.ConfigEpoch, m.any
	}
}

// Forget ends the memory of those who have not said anything: nobody is waited for on
// their account again until they do.
func (w *Watch) Forget(now time.Time) {
	w.masters = slices.DeleteFunc(w.masters, func(m *watched) bool { return m.voters(now) == 0 })
	for _, m := range w.masters {
		m.Voters = m.voters(now)
		m.vouched = len(m.calls) > m.Voters/2
	}
}

// State is what follows from what was heard by now.
func (w *Watch) State(now time.Time) State {
	state := Confirmed
	for _, m := range w.masters {
		switch m.state(now) {
		case Replaced:
			return Replaced
		case Waiting:
			state = Waiting
		}
	}
	return state
}

// Count is how many Sentinels have said by now that the node is the primary, and how
// many there are, of the name under which that is the fewest.
func (w *Watch) Count(now time.Time) (for_, of int, master string) {
	for _, m := range w.masters {
		n, voters := m.primaries(now), max(m.Voters, m.voters(now))
		if m.vouched && (master == "" || n*of < for_*voters) {
			for_, of, master = n, voters, m.Master
		}
	}
	return for_, of, master
}

// Newer is the word that made the node a primary that was replaced.
func (w *Watch) Newer(now time.Time) (Word, bool) {
	for _, m := range w.masters {
		if m.state(now) == Replaced {
			return m.newest, true
		}
	}
	return Word{}, false
}

func (m *watched) state(now time.Time) State {
	switch {
	case m.any && !m.newest.Primary && !(m.hasIgnored && m.newest.ConfigEpoch <= m.ignored):
		return Replaced
	case !m.vouched:
		return Confirmed // nobody is waited for
	case m.primaries(now) <= max(m.Voters, m.voters(now))/2, m.mayBeReplaced(now):
		return Waiting
	}
	return Confirmed
}

// primaries counts those who say that the node is the primary in the newest
// configuration.
func (m *watched) primaries(now time.Time) int {
	n := 0
	for _, c := range m.calls {
		if now.Sub(c.at) <= freshness && c.word.Primary && c.word.ConfigEpoch == m.newest.ConfigEpoch {
			n++
		}
	}
	return n
}

// mayBeReplaced reports whether a failover may be under way: a Sentinel is busy with
// one, or has voted for one that has not said since that it has ended.
func (m *watched) mayBeReplaced(now time.Time) bool {
	for _, c := range m.calls {
		if now.Sub(c.at) > freshness {
			continue
		}
		if c.word.Busy {
			return true
		}
		if c.word.VoteEpoch > m.newest.ConfigEpoch && !m.over(now, c.word) {
			return true
		}
	}
	return false
}

// over reports whether nothing comes any more of the failover that a Sentinel has voted
// for. Whoever led it has to say so; if nobody knows who that was, all have to.
func (m *watched) over(now time.Time, vote Word) bool {
	calm := 0
	for _, c := range m.calls {
		if now.Sub(c.at) > freshness || c.word.Busy {
			continue
		}
		calm++
		if c.word.Sentinel == vote.Vote && c.word.Epoch >= vote.VoteEpoch {
			return true
		}
	}
	return vote.Vote == "" && calm >= max(m.Voters, m.voters(now))
}
