package sentinel

import (
	"bufio"
	"context"
	"errors"
	"net"
	"strconv"
	"strings"
	"syscall"
	"time"

	"go.uber.org/zap"

	core "redoubt/cluster/sentinel"
	"redoubt/internal/reason"
	"redoubt/internal/resp"
)

const (
	// dialTimeout bounds the resolution of a name and the dial together, and
	// writeTimeout a write: an instance that takes no more for so long is lost.
	dialTimeout  = 10 * time.Second
	writeTimeout = 10 * time.Second
	// maxUnsent is how many writes may wait for a connection's writer. The core
	// has a lower limit on those without a reply.
	maxUnsent = 128
)

// A link is a connection to an instance, or one on its way. The loop owns it; a
// goroutine dials and then reads, another one writes.
type link struct {
	id     core.LinkID
	addr   core.Addr
	pubsub bool
	// drop is how many replies belong to the commands of the set-up. Further ones
	// are those of waiting, the oldest first.
	drop    int
	waiting []awaited

	unsent []byte      // requests of the event at hand; flush gives them to the writer
	out    chan []byte // to the writer
	cancel func()      // ends the dial, or the connection
}

// awaited is a request without its reply.
type awaited struct {
	id      core.RequestID
	replies int // that are still to come; the last one counts
}

// connect begins a connection.
func (d *driver) connect(c core.Connect) {
	ctx, cancel := context.WithCancel(d.ctx)
	l := &link{id: c.Link, addr: c.Addr, pubsub: c.PubSub, drop: len(c.Setup), out: make(chan []byte, maxUnsent), cancel: cancel}
	d.links[c.Link] = l
	l.out <- encode(c.Setup)
	dial := dialer{resolve: d.settings.ResolveHostnames, source: d.config.Current().BindSourceAddr}
	d.goroutines.Go(func() {
		defer cancel()
		d.serve(ctx, l, dial, c.Addr)
	})
}

// serve dials, and reads what the instance says until the connection ends.
func (d *driver) serve(ctx context.Context, l *link, dial dialer, addr core.Addr) {
	dial.resolved = func(host, ip string) { d.post(func() { d.step(core.Resolved{Host: host, IP: ip}) }) }
	nc, err := dial.dial(ctx, addr)
	if err == nil {
		stop := context.AfterFunc(ctx, func() { nc.Close() })
		defer stop()
		defer nc.Close()
		local, _, _ := net.SplitHostPort(nc.LocalAddr().String())
		d.postTo(l, func() { d.step(core.LinkUp{Link: l.id, LocalIP: local}) })
		d.goroutines.Go(func() { write(ctx, nc, l) })
		err = d.read(nc, l)
	}
	d.postTo(l, func() { d.lost(l, err) })
}

// read passes replies to the loop, one after the other, until the connection ends.
func (d *driver) read(nc net.Conn, l *link) error {
	r := bufio.NewReader(nc)
	for {
		reply, err := readReply(r)
		if err != nil {
			return err
		}
		if !d.postTo(l, func() { d.replied(l, reply) }) {
			return net.ErrClosed
		}
	}
}

// write sends what the loop gives it. If it cannot, the reader learns of it: the
// connection is closed.
func write(ctx context.Context, nc net.Conn, l *link) {
	for {
		select {
		case <-ctx.Done():
			return
		case b := <-l.out:
			// The error of a deadline that cannot be set is that of the write.
			_ = nc.SetWriteDeadline(time.Now().Add(writeTimeout))
			if _, err := nc.Write(b); err != nil {
				nc.Close()
				return
			}
		}
	}
}

// postTo has the loop call f, if the link is still one of its own then. It reports
// false if the loop has ended.
func (d *driver) postTo(l *link, f func()) bool {
	return d.post(func() {
		if d.links[l.id] == l {
			f()
		}
	})
}

// send takes a request for a link, which flush gives to its writer. A request for a
// link that is gone is dropped.
func (d *driver) send(r core.Request) {
	l := d.links[r.Link]
	if l == nil || len(r.Commands) == 0 {
		return
	}
	if len(l.unsent) == 0 {
		d.unflushed = append(d.unflushed, l)
	}
	l.unsent = appendCommands(l.unsent, r.Commands)
	l.waiting = append(l.waiting, awaited{r.ID, len(r.Commands)})
}

// flush gives the links what there is for them. What one event brings about is written at
// once: most of the time of a Sentinel with many masters goes into calls of the system.
func (d *driver) flush() {
	for len(d.unflushed) > 0 {
		l := d.unflushed[0]
		d.unflushed = d.unflushed[1:]
		b := l.unsent
		l.unsent = nil
		if d.links[l.id] != l {
			continue // closed meanwhile
		}
		select {
		case l.out <- b:
		default:
			d.lost(l, errors.New("too many requests are unsent")) // which steps the core, and may send
		}
	}
	d.unflushed = nil
}

// replied takes the next reply of a link.
func (d *driver) replied(l *link, reply core.Reply) {
	switch {
	case l.drop > 0:
		l.drop--
		d.logRefusal(l, reply)
		if l.pubsub && l.drop == 0 && reply.Kind == core.ReplyError {
			d.lost(l, errors.New(reply.Text)) // it will hear nothing
		}
	case l.pubsub:
		if channel, payload, ok := message(reply); ok && channel == core.HelloChannel {
			d.step(core.HelloReceived{Link: l.id, Payload: payload})
		}
	case len(l.waiting) == 0:
		d.lost(l, errors.New("a reply that nobody asked for"))
	default:
		first := &l.waiting[0]
		if first.replies--; first.replies == 0 {
			id := first.id
			l.waiting = l.waiting[1:]
			d.step(core.Replied{Link: l.id, ID: id, Reply: reply})
		}
	}
}

// logRefusal says in the log that an instance does not let the Sentinel in: SDOWN alone
// would not tell that from one that is dead. Of the reply it has the code only, as the
// text may repeat the password (an unknown command AUTH). One of the two links of an
// instance says it.
func (d *driver) logRefusal(l *link, reply core.Reply) {
	if l.pubsub || reply.Kind != core.ReplyError {
		return
	}
	switch code, _, _ := strings.Cut(reply.Text, " "); code {
	case "WRONGPASS", "NOAUTH", "NOPERM":
		d.log.Warn("An instance refuses AUTH or CLIENT SETNAME.", zap.String("instance", l.addr.String()), zap.String("error", code))
	}
}

// message takes a message of pub/sub apart.
func message(r core.Reply) (channel, payload string, ok bool) {
	if r.Kind != core.ReplyArray || len(r.Array) != 3 || r.Array[0].Text != "message" {
		return "", "", false
	}
	return r.Array[1].Text, r.Array[2].Text, true
}

// lost tells the core that a link is gone.
func (d *driver) lost(l *link, err error) {
	d.hangUp(l.id)
	d.step(core.LinkDown{Link: l.id, Refused: errors.Is(err, syscall.ECONNREFUSED), Reason: reason.Peer(err)})
}

// hangUp closes a link, or ends its dial.
func (d *driver) hangUp(id core.LinkID) {
	if l := d.links[id]; l != nil {
		l.cancel()
		delete(d.links, id)
	}
}

// encode writes commands as requests.
func encode(commands [][]string) []byte { return appendCommands(nil, commands) }

func appendCommands(b []byte, commands [][]string) []byte {
	for _, command := range commands {
		args := make([][]byte, len(command))
		for i, a := range command {
			args[i] = []byte(a)
		}
		b = resp.AppendArray(b, args...)
	}
	return b
}

// dialer opens a connection to an instance.
type dialer struct {
	resolve  bool                  // a host may be a name
	source   string                // bind-source-addr; empty: any
	resolved func(host, ip string) // told what a name stands for; ip "" is nothing
}

func (d dialer) dial(ctx context.Context, addr core.Addr) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	host := addr.Host
	if !isIP(host) {
		if !d.resolve {
			return nil, errors.New("names are not resolved (resolve-hostnames no)")
		}
		ip, err := lookUp(ctx, host)
		d.resolved(host, ip)
		if err != nil {
			return nil, err
		}
		host = ip
	}
	var nd net.Dialer
	if d.source != "" {
		nd.LocalAddr = &net.TCPAddr{IP: net.ParseIP(d.source)}
	}
	return nd.DialContext(ctx, "tcp", net.JoinHostPort(host, strconv.Itoa(int(addr.Port))))
}

// lookUp finds the address of a name: the first IPv4 one, or else the first.
func lookUp(ctx context.Context, host string) (ip string, err error) {
	found, err := net.DefaultResolver.LookupIPAddr(ctx, host)
	if err == nil && len(found) == 0 {
		err = errors.New("no such host")
	}
	if err != nil {
		return "", err
	}
	for _, a := range found {
		if a.IP.To4() != nil {
			return a.IP.String(), nil
		}
	}
	return found[0].String(), nil
}
