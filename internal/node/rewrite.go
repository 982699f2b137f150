package node

import (
	"errors"
	"fmt"

	"go.uber.org/zap"

	"redoubt/internal/aof"
	"redoubt/internal/resp"
)

// errSwitchedOff ends a base that is being made while the journal is switched off, or
// on.
var errSwitchedOff = errors.New("node: the journal is switched off or on")

// Rewrite is BGREWRITEAOF: it makes a new base of the journal. There is no forked
// process that could be in the way, but what waits for one snapshot after the other
// reads the answer "scheduled", so it is as with Redis: within a transaction, or
// while a BGSAVE is under way, the base is made later.
//
// Without a journal there is nothing to make a base of. Then the command does what
// it does in Redis as well: appendonlydir gets an RDB file and a manifest that names
// it alone, as append-only files that redis-server can start with.
func (p *persistence) Rewrite(inTransaction bool) (scheduled bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.base != nil:
		return false, resp.ErrRewriting
	case p.saving || inTransaction:
		p.rewrite = true
		return true, nil
	}
	p.base = p.order(&order{purpose: forBase})
	return false, nil
}

// beginScheduled begins a rewrite that has waited, if there is nothing any more that
// it has to wait for.
func (p *persistence) beginScheduled() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.rewrite || p.saving || p.base != nil {
		return
	}
	p.rewrite = false
	p.base = p.order(&order{purpose: forBase})
}

// giveUpBase ends the base that is being made, because the journal is about to be
// switched off (Redis's killAppendOnlyChild), and forgets one that waits.
func (p *persistence) giveUpBase() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.rewrite, p.again = false, false
	if p.base != nil {
		p.log.Info("Killing running AOF rewrite child: the base under way is given up")
		p.dropBase()
	}
}

// dropBase gives up the base that was ordered, whether its order has been begun or
// not. p.mu is held.
func (p *persistence) dropBase() {
	p.base.dropped = errSwitchedOff
	if drop := p.drop[forBase]; drop != nil {
		drop(errSwitchedOff)
	}
}

// askFirstBase orders the base of a journal that has just been switched on. What is
// being made for another one, or for redis-server, is of no use to it.
func (p *persistence) askFirstBase() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.unmarked.Store(true)
	if p.base == nil {
		p.base = p.order(&order{purpose: forBase})
		return
	}
	p.again = true
	p.dropBase()
}

// place is where append-only files of Redis are.
func (p *persistence) place() aof.Place {
	c := p.config.Current()
	return aof.Place{Dir: c.Dir, DirName: c.AppendDirName, FileName: c.AppendFilename}
}

// markFiles is called when other data have become the journal's. If it was switched on
// before, append-only files of Redis that are in its directory are what it has
// replaced, whatever their times; up to now they or an earlier journal counted.
func (p *persistence) markFiles() {
	if !p.stream.Enabled() || !p.unmarked.CompareAndSwap(true, false) {
		return
	}
	if err := markFiles(p.place(), p.stream.Dir()); err != nil {
		p.log.Warn("The append-only files of Redis here could not be marked as older than the journal. The next start goes by their times", zap.Error(err))
	}
}

// publish makes an RDB file all there is of append-only files.
func (p *persistence) publish(file string) error {
	return p.unused(func() error {
		name, err := aof.Publish(p.place(), file)
		if err == nil {
			p.log.Info("The keys are written as an append-only file of Redis, as there is no journal: " + name)
		}
		return err
	})
}

// published is the RDB file of publish.
func (p *persistence) published() (path string, err error) {
	files, err := aof.Find(p.place())
	switch {
	case err != nil:
		return "", err
	case files == nil:
		return "", errors.New("there is no append-only file")
	case len(files.Parts) > 1:
		return "", fmt.Errorf("%s: the append-only files are not loaded while the journal is off", files.Manifest)
	}
	return files.Parts[0].Path, nil
}

// delay is rdb-key-save-delay, nil if it is 0.
func (p *persistence) delay() func(stop <-chan struct{}) {
	return keyDelay(func() int { return p.config.Current().KeySaveDelayMicros })
}
