package psync

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"

	"redoubt/replication"
)

// rig is a Primary over fakes, with one replica played by the test.
type rig struct {
	t       *testing.T
	stream  *memStream
	primary *Primary
	history replication.History
	set     Settings
	base    func(ctx context.Context, need Need) (*Base, error)

	conn net.Conn // the replica's end
	in   *bufio.Reader
	done chan error // what Serve returned
}

func newRig(t *testing.T) *rig {
	r := &rig{
		t:       t,
		stream:  newStream(100, cmd("SET", "k", "v")), // bytes 101 to 127
		history: replication.History{ID: idA, ID2: idB, Second: 111},
		set:     Settings{Timeout: 10 * time.Second, Diskless: true},
		base: func(context.Context, Need) (*Base, error) {
			return baseOf("the snapshot", true, 127), nil
		},
	}
	r.primary = NewPrimary(PrimaryConfig{
		Stream:    r.stream,
		Snapshots: snapshotsFunc(func(ctx context.Context, need Need) (*Base, error) { return r.base(ctx, need) }),
		History:   func() replication.History { return r.history },
		Settings:  func() Settings { return r.set },
		OnAck:     func() {},
		Log:       zap.NewNop(),
	})
	return r
}

// come lets a replica come with h and the id 7.
func (r *rig) come(h Handshake) {
	ours, theirs := net.Pipe()
	r.conn, r.in, r.done = theirs, bufio.NewReader(theirs), make(chan error, 1)
	go func() { r.done <- r.primary.Serve(context.Background(), ours, 7, h) }()
}

func psync(id string, from replication.Offset) Handshake {
	return Handshake{EOF: true, PSYNC2: true, ListeningPort: 6380, Request: &replication.Request{ID: id, From: from}}
}

// expect reads exactly want from the primary.
func (r *rig) expect(want string) {
	r.t.Helper()
	got := make([]byte, len(want))
	if n, err := io.ReadFull(r.in, got); err != nil || string(got) != want {
		r.t.Fatalf("got %q, %v\nwant %q", got[:n], err, want)
	}
}

// line reads a line from the primary.
func (r *rig) line() string {
	r.t.Helper()
	line, err := r.in.ReadString('\n')
	if err != nil {
		r.t.Fatal(err)
	}
	return strings.TrimSuffix(line, "\r\n")
}

func (r *rig) send(p string) {
	r.t.Helper()
	if _, err := io.WriteString(r.conn, p); err != nil {
		r.t.Fatal(err)
	}
}

// silent fails if the primary sends anything within d.
func (r *rig) silent(d time.Duration) {
	r.t.Helper()
	r.conn.SetReadDeadline(time.Now().Add(d))
	if b, err := r.in.ReadByte(); err == nil {
		r.t.Fatalf("the primary sent %q", b)
	}
	r.conn.SetReadDeadline(time.Time{})
}

// ended waits for the end of Serve, and of the connection.
func (r *rig) ended(want error) {
	r.t.Helper()
	if err := <-r.done; !errors.Is(err, want) {
		r.t.Fatalf("Serve returned %v, want %v", err, want)
	}
	if _, err := r.in.ReadByte(); err == nil {
		r.t.Fatal("the connection is still open")
	}
	if list := r.primary.Replicas(); len(list) != 0 {
		r.t.Fatalf("still attached: %+v", list)
	}
	if low, ok := r.stream.pinned(); ok {
		r.t.Fatalf("the stream is still pinned at %d", low)
	}
}

func TestPartialResync(t *testing.T) {
	cases := []struct {
		name      string
		handshake Handshake
		want      string
	}{
		{"from the middle of the stream", psync(idA, 111), "+CONTINUE " + idA + "\r\n" + cmd("SET", "k", "v")[10:]},
		{"in the previous history", psync(idB, 111), "+CONTINUE " + idA + "\r\n" + cmd("SET", "k", "v")[10:]},
		{"from the end", psync(idA, 128), "+CONTINUE " + idA + "\r\n"},
		{"for a replica that does not know of a second history",
			Handshake{Request: &replication.Request{ID: idA, From: 111}}, "+CONTINUE\r\n" + cmd("SET", "k", "v")[10:]},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				r.come(c.handshake)
				r.expect(c.want)
				r.stream.append(cmd("PING"))
				r.expect(cmd("PING"))
				list := r.primary.Replicas()
				if len(list) != 1 || list[0].State != Online || list[0].ID != 7 {
					t.Errorf("replicas %+v", list)
				}
				synctest.Wait()
				if low, _ := r.stream.pinned(); low != r.stream.End() {
					t.Errorf("pinned at %d, sent up to %d", low, r.stream.End())
				}
				r.counted(0, 1, 0)
				r.primary.Close()
				r.ended(ErrClosed)
			})
		})
	}
}

// counted fails the test unless the resyncs so far were these.
func (r *rig) counted(full, partial, refused int64) {
	r.t.Helper()
	f, p, n := r.primary.Syncs()
	if f != full || p != partial || n != refused {
		r.t.Errorf("%d full resyncs, %d partial, %d refused; want %d, %d, %d", f, p, n, full, partial, refused)
	}
}

func TestARefusedPartialResync(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.come(psync(strings.Repeat("c", 40), 111))
		r.expect("+FULLRESYNC " + idA + " 127\r\n")
		r.counted(1, 0, 1)
		r.primary.Close()
		r.ended(ErrClosed)
	})
}

// A primary that has just started may have less than a replica: that is not to
// throw its data away before it is settled who goes on.
func TestAReplicaKeepsItsDataUntilThePrimaryIsSettled(t *testing.T) {
	cases := []struct {
		name      string
		handshake Handshake
		want      string
	}{
		{"a replica that is ahead", psync(idA, 500), "-LOADING"},
		{"of another history", psync(strings.Repeat("c", 40), 120), "-LOADING"},
		{"a replica that can go on", psync(idA, 128), "+CONTINUE"},
		{"a new replica", psync("?", -1), "+FULLRESYNC"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				settled := false
				r.primary.cfg.Later = func(v replication.Verdict, got replication.Request) bool {
					if v == replication.Partial || v == replication.FullAsked || got != *c.handshake.Request {
						t.Errorf("asked about %+v, which is %v", got, v)
					}
					return !settled
				}
				r.come(c.handshake)
				if got := r.line(); !strings.HasPrefix(got, c.want) {
					t.Errorf("unsettled: %q, want %s", got, c.want)
				}
				r.conn.Close()
				<-r.done
				settled = true
				r.come(c.handshake)
				if got := r.line(); got[0] != '+' {
					t.Errorf("settled: %q", got)
				}
				r.conn.Close()
				<-r.done
			})
		})
	}
}

func TestFullResyncWithMark(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.come(psync("?", -1))
		r.expect("+FULLRESYNC " + idA + " 127\r\n")
		r.counted(1, 0, 0)
		mark, ok := strings.CutPrefix(r.line(), "$EOF:")
		if !ok || len(mark) != markBytes {
			t.Fatalf("mark %q", mark)
		}
		r.stream.append(cmd("PING"))
		r.expect("the snapshot" + mark)
		// Nothing may follow the mark before the first ACK.
		r.silent(3 * time.Second)
		if list := r.primary.Replicas(); list[0].State != SendBulk {
			t.Errorf("before the first ACK it is %s", list[0].State)
		}
		if r.primary.Applied(0) != 0 {
			t.Error("a replica that is loading counts for WAIT")
		}
		r.send("\n" + cmd("REPLCONF", "ACK", "127"))
		r.expect(cmd("PING"))
		if list := r.primary.Replicas(); list[0].State != Online || list[0].Port != 6380 {
			t.Errorf("after it, it is %+v", list[0])
		}
		r.conn.Close()
		r.ended(io.EOF)
	})
}

func TestFullResyncWithLength(t *testing.T) {
	cases := []struct {
		name      string
		handshake Handshake
		diskless  bool
	}{
		{"because the replica cannot take a mark", Handshake{PSYNC2: true, Request: &replication.Request{ID: "?", From: -1}}, true},
		{"because the administrator wants it", psync("?", -1), false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				r.set.Diskless = c.diskless
				r.come(c.handshake)
				r.stream.append(cmd("PING"))
				r.expect("+FULLRESYNC " + idA + " 127\r\n$12\r\nthe snapshot" + cmd("PING"))
				r.primary.Close()
				r.ended(ErrClosed)
			})
		})
	}
}

func TestReplicaIsKeptAliveWhileTheSnapshotIsMade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.base = func(ctx context.Context, need Need) (*Base, error) {
			if need != (Need{}) {
				t.Errorf("need %+v", need)
			}
			time.Sleep(3500 * time.Millisecond)
			return baseOf("the snapshot", true, 127), nil
		}
		r.come(psync("?", -1))
		r.expect("\n\n\n+FULLRESYNC ")
		r.conn.Close()
		<-r.done
	})
}

func TestSnapshotNeeds(t *testing.T) {
	cases := []struct {
		name      string
		handshake Handshake
		want      Need
	}{
		{"a replica without capa eof needs a length", Handshake{Request: psync("?", -1).Request}, Need{Sized: true}},
		{"a filtered one needs no keys", Handshake{EOF: true, Filtered: true}, Need{Empty: true, Current: true}},
		{"SYNC without PSYNC needs a current one", Handshake{EOF: true}, Need{Current: true}},
		{"a backup needs a current one", Handshake{EOF: true, RDBOnly: true, Request: psync("?", -1).Request}, Need{Current: true}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				broken := errors.New("no snapshot")
				r.base = func(_ context.Context, need Need) (*Base, error) {
					if need != c.want {
						t.Errorf("need %+v, want %+v", need, c.want)
					}
					return nil, broken
				}
				r.come(c.handshake)
				r.ended(broken)
			})
		})
	}
}

func TestSnapshotFailures(t *testing.T) {
	cases := []struct {
		name string
		base *Base
		want error
	}{
		{"shorter than it said", &Base{ReadCloser: io.NopCloser(strings.NewReader("short")), Size: 12, At: 127}, io.ErrUnexpectedEOF},
		{"breaks", &Base{ReadCloser: io.NopCloser(io.MultiReader(strings.NewReader("short"), brokenReader{})), Size: 12, At: 127}, errTrimmed},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				r.base = func(context.Context, Need) (*Base, error) { return c.base, nil }
				r.set.Diskless = false
				r.come(psync("?", -1))
				r.expect("+FULLRESYNC " + idA + " 127\r\n$12\r\nshort")
				r.ended(c.want)
			})
		})
	}
	t.Run("unknown length for a replica that needs it", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t)
			r.base = func(context.Context, Need) (*Base, error) { return baseOf("x", false, 127), nil }
			r.come(Handshake{})
			if err := <-r.done; err == nil || !strings.Contains(err.Error(), "unknown length") {
				t.Errorf("got %v", err)
			}
		})
	})
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, errTrimmed }

// A base may be taken away by a trim before the stream behind it is pinned.
func TestOutdatedSnapshotIsNotSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		asked := 0
		r.base = func(context.Context, Need) (*Base, error) {
			asked++
			if asked == 1 {
				r.stream.trim(110)
				return baseOf("old", true, 105), nil
			}
			return baseOf("new", true, 110), nil
		}
		r.set.Diskless = false
		r.come(psync("?", -1))
		r.expect("+FULLRESYNC " + idA + " 110\r\n$3\r\nnew" + cmd("SET", "k", "v")[10:])
		r.primary.Close()
		r.ended(ErrClosed)
	})
	t.Run("and if none lasts, the replica has to come again", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t)
			r.stream.trim(110)
			r.base = func(context.Context, Need) (*Base, error) { return baseOf("old", true, 105), nil }
			r.come(psync("?", -1))
			if err := <-r.done; err == nil || !strings.Contains(err.Error(), "outdated") {
				t.Errorf("got %v", err)
			}
		})
	})
}

// What follows a snapshot is not trimmed while that is made, however long it takes.
func TestTheStreamIsKeptWhileTheSnapshotIsMade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.base = func(context.Context, Need) (*Base, error) {
			if low, ok := r.stream.pinned(); !ok || low != 127 {
				t.Errorf("the stream is pinned at %d, %v", low, ok)
			}
			r.stream.append(cmd("PING"))
			at := r.stream.End()
			r.stream.append(cmd("SET", "k", "w"))
			return baseOf("new", true, at), nil
		}
		r.set.Diskless = false
		r.come(psync("?", -1))
		r.expect("+FULLRESYNC " + idA + " 141\r\n$3\r\nnew" + cmd("SET", "k", "w"))
		r.primary.Close()
		r.ended(ErrClosed)
	})
}

// A replica may join a snapshot that was begun for another. It must not depend on the
// other's staying.
func TestTheStreamBehindASharedSnapshotIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		slow := slowSnapshots{at: 101, released: make(chan *Base)}
		r.primary.cfg.Snapshots = slow
		other := r.stream.Pin(101)
		r.come(psync("?", -1))
		r.expect("+FULLRESYNC " + idA + " 101\r\n")
		other.Release()
		if low, ok := r.stream.pinned(); !ok || low != 101 {
			t.Errorf("while the snapshot as of 101 is made the stream is pinned at %d, %v", low, ok)
		}
		go io.Copy(io.Discard, r.conn)
		slow.released <- baseOf("new", true, 101)
		synctest.Wait()
		r.primary.Close()
		<-r.done
	})
}

// A replica is told of a snapshot that has begun, and kept alive until it comes. It
// must be the one that it was told of.
func TestASnapshotIsAnnouncedWhenItBegins(t *testing.T) {
	for _, got := range []replication.Offset{127, 110} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t)
			slow := slowSnapshots{at: 127, released: make(chan *Base)}
			r.primary.cfg.Snapshots = slow
			r.set.Diskless = false
			r.come(psync("?", -1))
			r.expect("+FULLRESYNC " + idA + " 127\r\n\n\n")
			if list := r.primary.Replicas(); len(list) != 1 || list[0].State != WaitBGSave {
				t.Errorf("attached: %+v", list)
			}
			slow.released <- baseOf("new", true, got)
			if got != 127 {
				if err := <-r.done; err == nil || !strings.Contains(err.Error(), "announced") {
					t.Errorf("Serve returned %v", err)
				}
				return
			}
			r.expect("$3\r\nnew")
			r.primary.Close()
			r.ended(ErrClosed)
		})
	}
}

// A replica that waits for its snapshot to be made is behind by what has come since that
// began. As long as it has not begun there is nothing that the replica is to get, as with
// Redis, which buffers nothing for it.
func TestALimitCountsWhileTheSnapshotIsMade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.set.Limit = Limit{HardBytes: 1000}
		slow := slowSnapshots{at: 127, begins: make(chan struct{}), released: make(chan *Base)}
		r.primary.cfg.Snapshots = slow
		r.come(psync("?", -1))
		go io.Copy(io.Discard, r.conn)
		synctest.Wait() // it has asked
		r.stream.append(strings.Repeat(cmd("PING"), 100))
		time.Sleep(time.Hour)
		if len(r.primary.Replicas()) != 1 || r.primary.Attached() != 1 {
			t.Error("it was sent away before the snapshot began")
		}
		close(slow.begins)
		time.Sleep(2 * time.Second)
		if len(r.primary.Replicas()) != 0 || r.primary.Attached() != 0 {
			t.Error("it was not sent away when the snapshot had begun")
		}
		r.primary.Close()
		if err := <-r.done; !errors.Is(err, ErrLag) {
			t.Errorf("Serve returned %v", err)
		}
	})
}

// A backup does not need the stream behind its snapshot, so it may take longer than a
// replica, and nobody holds memory for it or waits until it has that stream.
func TestABackupMayBeSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.set.Limit = Limit{HardBytes: 1000}
		slow := slowSnapshots{at: 127, released: make(chan *Base)}
		r.primary.cfg.Snapshots = slow
		r.come(Handshake{EOF: true, RDBOnly: true})
		unneeded := func(when string) {
			t.Helper()
			r.stream.append(strings.Repeat(cmd("PING"), 100))
			time.Sleep(2500 * time.Millisecond)
			if low, ok := r.stream.pinned(); ok {
				t.Errorf("%s: the stream is pinned at %d", when, low)
			}
			began := time.Now()
			r.primary.Drain(time.Second)
			if time.Since(began) > 0 {
				t.Errorf("%s: Drain waits for it", when)
			}
		}
		unneeded("while the snapshot is made")
		r.stream.trim(r.stream.End())
		slow.released <- baseOf("the snapshot", true, 127)
		line := r.line()
		for line == "\n" { // one or two: the second is due when the snapshot is there
			line = r.line()
		}
		mark, _ := strings.CutPrefix(line, "$EOF:")
		unneeded("while it is sent")
		r.expect("the snapshot" + mark)
		unneeded("after that")
		r.conn.Close()
		r.ended(nil)
	})
}

// redis-cli --rdb and --replica send SYNC, which knows no offsets.
func TestSync(t *testing.T) {
	t.Run("the snapshot only", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t)
			r.come(Handshake{EOF: true, RDBOnly: true})
			mark, _ := strings.CutPrefix(r.line(), "$EOF:")
			r.expect("the snapshot" + mark)
			r.stream.append(cmd("PING"))
			r.silent(time.Hour) // without a time-out
			r.conn.Close()
			r.ended(nil)
		})
	})
	t.Run("the stream, too", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t)
			r.come(Handshake{})
			r.expect("$12\r\nthe snapshot")
			r.stream.append(cmd("PING"))
			r.expect(cmd("PING"))
			r.silent(time.Hour)
			r.conn.Close()
			r.ended(nil)
		})
	})
}

func TestAcknowledgements(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.come(psync(idA, 128))
		r.expect("+CONTINUE " + idA + "\r\n")
		r.send(cmd("REPLCONF", "ACK", "120", "FACK", "110"))
		synctest.Wait()
		start := time.Now()
		if r.primary.Applied(120) != 1 || r.primary.Applied(121) != 0 ||
			r.primary.Synced(110) != 1 || r.primary.Synced(111) != 0 {
			t.Errorf("after one acknowledgement: %+v", r.primary.Replicas())
		}
		r.send(cmd("replconf", "ack", "127") + "\n" + cmd("REPLCONF", "ACK", "junk") + cmd("REPLCONF", "ACK", "-5") + cmd("PING"))
		synctest.Wait()
		if r.primary.Applied(127) != 1 || r.primary.Synced(111) != 0 {
			t.Errorf("after two: %+v", r.primary.Replicas())
		}
		if r.primary.Good(start.Add(10*time.Second), 10*time.Second) != 1 ||
			r.primary.Good(start.Add(11*time.Second), 10*time.Second) != 0 {
			t.Error("the age of the last acknowledgement is not what counts")
		}
		r.send("junk\r\n")
		r.ended(ErrStream)
	})
}

// TestStrayCommandsOfAReplica: all that is no acknowledgement is judged, even what the
// stream's Reader would keep for itself, and ends the connection if it is to.
func TestStrayCommandsOfAReplica(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		h := psync(idA, 128)
		var stray []string
		errStray := errors.New("stray")
		h.Stray = func(args [][]byte) error {
			line := string(bytes.Join(args, []byte(" ")))
			stray = append(stray, line)
			if line == "PING" {
				return errStray
			}
			return nil
		}
		r.come(h)
		r.expect("+CONTINUE " + idA + "\r\n")
		r.send("\n" + cmd("MULTI") + cmd("SELECT", "x") + cmd("EXEC") + cmd("EXEC") + cmd("REPLCONF", "GETACK", "*") +
			cmd("REPLCONF", "ACK", "junk") + cmd("REPLCONF", "ACK", "127") + cmd("PING") + cmd("GET", "k"))
		r.ended(errStray)
		want := []string{"MULTI", "SELECT x", "EXEC", "EXEC", "REPLCONF GETACK *", "REPLCONF ACK junk", "PING"}
		if !slices.Equal(stray, want) {
			t.Errorf("judged were %q, want %q", stray, want)
		}
	})
}

func TestSilentReplicaTimesOut(t *testing.T) {
	t.Run("when online", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t)
			r.come(psync(idA, 128))
			r.expect("+CONTINUE " + idA + "\r\n")
			for range 5 { // what keeps it alive
				time.Sleep(9 * time.Second)
				r.send("\n")
			}
			last := time.Now()
			r.ended(ErrTimeout)
			if after := time.Since(last); after != 10*time.Second {
				t.Errorf("after %v", after)
			}
		})
	})
	t.Run("when it does not load", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t)
			r.come(psync("?", -1))
			r.expect("+FULLRESYNC " + idA + " 127\r\n")
			mark, _ := strings.CutPrefix(r.line(), "$EOF:")
			r.expect("the snapshot" + mark)
			r.ended(ErrTimeout)
		})
	})
	t.Run("when it does not read", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t)
			r.come(psync("?", -1))
			if err := <-r.done; !errors.Is(err, ErrTimeout) {
				t.Errorf("got %v", err)
			}
		})
	})
}

func TestReplicaTooFarBehind(t *testing.T) {
	cases := []struct {
		name  string
		limit Limit
		after time.Duration
	}{
		{"beyond the hard limit", Limit{HardBytes: 1000}, 1 * time.Second},
		{"beyond the soft limit for its time", Limit{HardBytes: 1 << 20, SoftBytes: 1000, SoftTime: 3 * time.Second}, 4 * time.Second},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				r.set.Limit = c.limit
				start := time.Now()
				r.come(psync(idA, 128))
				r.expect("+CONTINUE " + idA + "\r\n")
				r.stream.append(strings.Repeat(cmd("PING"), 100))
				r.ended(ErrLag)
				if took := time.Since(start); took != c.after {
					t.Errorf("after %v, want %v", took, c.after)
				}
			})
		})
	}
	t.Run("a replica that catches up stays", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t)
			r.set.Limit = Limit{HardBytes: 1 << 20, SoftBytes: 1000, SoftTime: 3 * time.Second}
			r.come(psync(idA, 128))
			r.expect("+CONTINUE " + idA + "\r\n")
			many := strings.Repeat(cmd("PING"), 100)
			for range 4 {
				r.stream.append(many)
				time.Sleep(1600 * time.Millisecond)
				r.expect(many)
				r.send("\n")
				time.Sleep(2 * time.Second)
			}
			r.primary.Close()
			r.ended(ErrClosed)
		})
	})
}

func TestTrimmedUnderAReplica(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.come(psync(idA, 111))
		synctest.Wait() // it is granted
		r.stream.trim(120)
		r.expect("+CONTINUE " + idA + "\r\n")
		r.ended(errTrimmed)
	})
}

// A change of history must reach every replica: Hold disconnects them, and who
// comes before it is released is decided on afterwards.
func TestHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.come(psync(idA, 128))
		r.expect("+CONTINUE " + idA + "\r\n")
		release := r.primary.Bar()
		release2 := r.primary.Bar()
		r.stream.append(cmd("PING"))
		r.ended(ErrDisconnected)

		r.come(psync(idA, 128))
		r.silent(time.Second)
		release()
		release() // once is enough, twice no harm
		r.silent(time.Second)
		r.history = replication.History{ID: strings.Repeat("c", 40), ID2: idA, Second: 128}
		release2()
		r.expect("+CONTINUE " + strings.Repeat("c", 40) + "\r\n" + cmd("PING"))
		r.primary.Close()
	})
}

func TestDrainWaitsForBytesThatComeTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.come(psync(idA, 128))
		r.expect("+CONTINUE " + idA + "\r\n")
		r.stream.append(cmd("SET", "first", "1"))
		r.expect(cmd("SET", "first", "1"))
		r.stream.append(cmd("SET", "second", "2")) // which waits for others
		go func() {
			r.primary.Drain(time.Second)
			r.primary.Bar()
		}()
		r.expect(cmd("SET", "second", "2"))
		r.ended(ErrDisconnected)

		began := time.Now()
		r.primary.Drain(time.Second)
		if time.Since(began) > 0 {
			t.Error("Drain waits for nobody")
		}
	})
}

func TestDrainDoesNotWaitForEver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.come(psync(idA, 128))
		r.expect("+CONTINUE " + idA + "\r\n")
		r.stream.append(cmd("PING")) // and nobody reads it
		synctest.Wait()
		began := time.Now()
		r.primary.Drain(50 * time.Millisecond)
		if took := time.Since(began); took < 50*time.Millisecond || took > 60*time.Millisecond {
			t.Errorf("Drain took %v", took)
		}
		r.primary.Close()
	})
}

func TestCloseReachesThoseWhoWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		r.primary.Bar()
		r.come(psync(idA, 128))
		synctest.Wait()
		r.primary.Close()
		r.ended(ErrClosed)
		r.come(psync(idA, 128))
		r.ended(ErrClosed)
	})
}

func TestReplicaNames(t *testing.T) {
	conn, _ := net.Pipe()
	f := &feeder{id: 7, conn: conn, handshake: Handshake{IP: "10.0.0.1", ListeningPort: 6380}}
	if f.name() != "10.0.0.1:6380" {
		t.Error(f.name())
	}
	f.handshake = Handshake{}
	if want := fmt.Sprint("client id #", 7); f.name() != want {
		t.Error(f.name())
	}
}
