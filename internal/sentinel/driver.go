package sentinel

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"go.uber.org/zap"

	core "redoubt/cluster/sentinel"
	"redoubt/internal/config"
	"redoubt/internal/logging"
	"redoubt/internal/reason"
	"redoubt/internal/resp"
	"redoubt/internal/supervisor"
	"redoubt/internal/tlsconf"
)

// driver owns the core and everything that the core's effects are carried out
// with. One goroutine, run, may use its fields; others post functions to it.
type driver struct {
	saveErrors logging.Seldom
	config     *config.Config
	log        *zap.Logger
	tls        *tlsconf.Source // loaded by the server
	// publish sends an event to the subscribers of its channel.
	publish func(channel, payload string)
	// exit ends the process: a failure that SENTINEL SIMULATE-FAILURE asked for.
	exit func()

	node        *core.Node
	settings    core.Settings
	denyScripts bool
	links       map[core.LinkID]*link
	unflushed   []*link // those that have something unsent
	scripts     scripts
	saver       saver
	strangers   map[core.Addr]string // why there was no TLS with them, as the log knows

	events   []stepped // events that wait for the one at hand to be carried out
	stepping bool

	ctx        context.Context // of everything that run started
	inbox      chan func()
	pulse      supervisor.Pulse
	ended      chan struct{} // closed when run has ended
	goroutines sync.WaitGroup
}

// stepped is an event for the core; done takes the result if it is a command.
type stepped struct {
	event core.Event
	done  func(core.Result)
}

// inboxSize is how many functions may wait for the loop. Whoever posts more waits.
const inboxSize = 1024

// errSaveFailed is the answer to a command whose effect is not on disk.
const errSaveFailed core.Error = "ERR Failed to save config file. Check server logs."

// newDriver makes a driver whose goroutine does not run yet.
func newDriver(c *config.Config, f *file, node *core.Node, log *zap.Logger) *driver {
	d := &driver{
		config: c, log: log, tls: new(tlsconf.Source), node: node, settings: f.settings, denyScripts: f.denyScripts,
		links: make(map[core.LinkID]*link), inbox: make(chan func(), inboxSize), ended: make(chan struct{}),
	}
	d.saver = saver{write: d.save}
	d.scripts = scripts{
		maxRuntime: time.Minute, retryDelay: 30 * time.Second,
		event: func(name, text string) {
			d.notice(core.Notice{Level: core.LevelWarning, Type: name, Text: text})
		},
		log:  func(name, text string) { d.log.Debug(name + " " + text) },
		post: func(f func()) { d.post(f) },
	}
	return d
}

// post has the loop call f. It reports false if the loop has ended, and f is not
// called. The loop itself must not call it: the inbox may be full.
func (d *driver) post(f func()) bool {
	select {
	case <-d.ended:
		return false
	default:
	}
	select {
	case d.inbox <- f:
		return true
	case <-d.ended:
		return false
	}
}

// call has the loop call f and waits for that. It reports false if the loop has
// ended first.
func (d *driver) call(f func()) bool {
	done := make(chan struct{})
	if !d.post(func() { f(); close(done) }) {
		return false
	}
	select {
	case <-done:
		return true
	case <-d.ended:
		return false
	}
}

// scriptPeriod is how often the scripts are looked at while there are any.
const scriptPeriod = 100 * time.Millisecond

// run drives the core until ctx ends. All that it started has ended then, but for
// scripts: they may outlive a Sentinel that has told of a failover.
func (d *driver) run(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	d.ctx = ctx
	timer := time.NewTimer(0)
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
		case f := <-d.inbox:
			f()
		case <-timer.C:
			d.step(core.Tick{})
			d.scripts.run(time.Now())
		}
		timer.Reset(d.rest(time.Now()))
	}
	cancel()
	close(d.ended)
	d.goroutines.Wait()
	d.saveLast()
}

// rest is how long the loop may wait for something to do.
func (d *driver) rest(now time.Time) time.Duration {
	rest := time.Hour // while nothing is monitored
	if at := d.node.Deadline(); !at.IsZero() {
		rest = max(at.Sub(now), 0)
	}
	if len(d.scripts.queue) > 0 {
		rest = min(rest, scriptPeriod)
	}
	return rest
}

// step takes an event to the core and carries out its effects.
func (d *driver) step(e core.Event) { d.command(e, nil) }

// command is step for a command; done takes the result, when what it depends on
// is on disk.
func (d *driver) command(e core.Event, done func(core.Result)) {
	d.events = append(d.events, stepped{e, done})
	if d.stepping {
		return // carrying out effects has brought this one about
	}
	d.stepping = true
	for len(d.events) > 0 {
		next := d.events[0]
		d.events = d.events[1:]
		d.carryOut(d.node.Step(time.Now(), next.event), next.done)
		if len(d.events) == 0 {
			d.flush()
		}
	}
	d.stepping = false
}

// carryOut does what the core asks for, in the order that core.Effects gives.
func (d *driver) carryOut(fx core.Effects, done func(core.Result)) {
	for _, line := range fx.Log {
		d.logAt(line.Level, line.Text)
	}
	for _, c := range fx.Connect {
		d.connect(c)
	}
	for _, id := range fx.Close {
		d.hangUp(id)
	}
	for _, r := range fx.Send {
		d.send(r)
	}
	if fx.Persist != nil {
		d.saver.take(fx.Persist)
	}
	if w := (waiting{effects: fx, done: done}); !d.saver.await(w) {
		d.release(w)
	}
}

// release carries out the effects that had to wait for the disk.
func (d *driver) release(w waiting) {
	fx := &w.effects
	for _, r := range fx.SendAfterPersist {
		d.send(r)
	}
	for _, n := range fx.Notices {
		d.notice(n)
	}
	for _, s := range fx.Scripts {
		d.scripts.schedule(append([]string{s.Path}, s.Args...))
	}
	if fx.Result != nil && w.done != nil {
		w.done(*fx.Result)
	}
	if fx.Exit {
		d.exit()
	}
}

// notice logs an event and publishes it, as sentinelEvent does.
func (d *driver) notice(n core.Notice) {
	d.logAt(n.Level, n.Type+" "+n.Text)
	if n.Level != core.LevelDebug {
		d.publish(n.Type, n.Text)
	}
}

func (d *driver) logAt(level core.Level, text string) {
	switch level {
	case core.LevelDebug:
		d.log.Log(logging.Debug, text)
	case core.LevelVerbose:
		d.log.Log(logging.Verbose, text)
	case core.LevelNotice:
		d.log.Info(text)
	default:
		d.log.Warn(text)
	}
}

// save writes a state to the configuration file in a goroutine, and tells the loop
// how that went.
func (d *driver) save(state *core.State) {
	lines := statements(d.settings, d.denyScripts, state)
	d.goroutines.Go(func() {
		err := d.config.RewriteSentinel(lines)
		d.post(func() { d.saved(state, err) })
	})
}

// retryDelay is the wait after a state could not be written.
const retryDelay = time.Second

// saved goes on after a state was written, or was not.
func (d *driver) saved(state *core.State, err error) {
	if err != nil {
		d.saveErrors.Warn(d.log, "WARNING: Sentinel was not able to save the new configuration on disk!!!: "+d.notSaved(err)+
			". It is tried again each second; what must not leave before it is saved waits.")
		d.saver.refuse(errSaveFailed)
		d.goroutines.Go(func() {
			select {
			case <-time.After(retryDelay):
				d.post(d.saver.again)
			case <-d.ctx.Done():
			}
		})
		return
	}
	d.log.Info("Sentinel new configuration saved on disk")
	d.stepping = true // what this brings about comes after all that waited
	for _, w := range d.saver.saved(state.Version) {
		d.release(w)
	}
	d.flush()
	d.stepping = false
	d.step(core.Persisted{Version: state.Version})
}

// saveLast writes what is not on disk when everything has ended. Nothing depends on
// it: the next start would only have to learn it again.
func (d *driver) saveLast() {
	if !d.saver.unsaved() {
		return
	}
	if err := d.saveFirst(); err != nil {
		d.log.Warn(reason.Of(err))
	}
}

// saveFirst writes the state that the Sentinel begins with: one that cannot keep
// its votes must not begin.
func (d *driver) saveFirst() error {
	err := d.config.RewriteSentinel(statements(d.settings, d.denyScripts, d.node.Snapshot()))
	if err != nil {
		return errors.New("Sentinel was not able to save its configuration on disk: " + d.notSaved(err))
	}
	return nil
}

// notSaved says of which file, and why it was not written. The code that the error has
// for clients is no part of that.
func (d *driver) notSaved(err error) string {
	return d.config.Path() + ": " + strings.TrimPrefix(err.Error(), "ERR ")
}

// replyResult answers with OK or with what went wrong.
func replyResult(w *resp.Writer, r core.Result) {
	var refusal core.Error
	switch {
	case r.Err == nil:
		w.OK()
	case errors.As(r.Err, &refusal):
		w.Error(resp.Error(refusal))
	default:
		w.Error(resp.Error("ERR " + r.Err.Error()))
	}
}
