package psync

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"
	"go.uber.org/zap/zaptest/observer"

	"redoubt/replication"
)

// What the log says when nobody is sent a snapshot any more.
func TestTheEndOfTransfersIsLogged(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		core, logs := observer.New(zap.InfoLevel)
		r.primary.cfg.Log = zap.New(core)
		said := func() (lines []string) {
			for _, e := range logs.TakeAll() {
				if strings.HasPrefix(e.Message, "Diskless") || strings.HasPrefix(e.Message, "Disconnecting") {
					lines = append(lines, e.Message)
				}
			}
			return lines
		}
		come := func(id replication.ReplicaID) (conn net.Conn, in *bufio.Reader, mark string) {
			ours, theirs := net.Pipe()
			go r.primary.Serve(context.Background(), ours, id, psync("?", -1))
			in = bufio.NewReader(theirs)
			in.ReadString('\n')
			line, err := in.ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			return theirs, in, strings.TrimSuffix(strings.TrimPrefix(line, "$EOF:"), "\r\n")
		}
		fast, in, mark := come(1)
		slow, _, _ := come(2)
		io.CopyN(io.Discard, in, int64(len("the snapshot"+mark)))
		synctest.Wait()
		if lines := said(); lines != nil {
			t.Errorf("while one is being sent the log says %q", lines)
		}
		slow.Close()
		synctest.Wait()
		if lines := said(); !slices.Equal(lines, []string{"Diskless rdb transfer, done reading from pipe, 1 replicas still up"}) {
			t.Errorf("when one has gone the log says %q", lines)
		}
		fast.Close()
		only, _, _ := come(3)
		only.Close()
		synctest.Wait()
		if lines := said(); !slices.Equal(lines, []string{"Diskless rdb transfer, last replica dropped"}) {
			t.Errorf("when all have gone the log says %q", lines)
		}
		come(4) // and reads no more
		time.Sleep(r.set.Timeout + second)
		synctest.Wait()
		want := []string{"Diskless rdb transfer, last replica dropped", "Disconnecting timedout replica (full sync): pipe:6380"}
		if lines := said(); !slices.Equal(lines, want) {
			t.Errorf("of one that does not read the log says %q", lines)
		}
	})
}

// A replica that leaves while its snapshot is made and sent leaves nobody waiting for that.
func TestAReplicaLeavesWhileItsSnapshotIsMade(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		in, out := io.Pipe()
		r.base = func(context.Context, Need) (*Base, error) {
			return &Base{ReadCloser: in, Size: -1, At: 127}, nil
		}
		r.come(psync("?", -1))
		r.expect("+FULLRESYNC " + idA + " 127\r\n")
		r.line()
		out.Write([]byte("the beginning"))
		r.expect("the beginning")
		synctest.Wait()
		if list := r.primary.Replicas(); list[0].State != WaitBGSave {
			t.Errorf("meanwhile it is %s", list[0].State)
		}
		r.conn.Close()
		r.ended(io.EOF)
	})
}

// A timeout that is lowered counts for a replica that has stopped reading before.
func TestALoweredTimeoutCountsAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		var timeout atomic.Int64
		timeout.Store(int64(time.Hour))
		r.primary.cfg.Settings = func() Settings {
			return Settings{Timeout: time.Duration(timeout.Load()), Diskless: true}
		}
		r.come(psync("?", -1))
		r.expect("+FULLRESYNC " + idA + " 127\r\n")
		synctest.Wait() // the primary is writing
		lowered := time.Now()
		timeout.Store(int64(3 * time.Second))
		if err := <-r.done; !errors.Is(err, ErrTimeout) {
			t.Errorf("it ends with %v", err)
		}
		if took := time.Since(lowered); took > 5*time.Second {
			t.Errorf("after %v", took)
		}
	})
}
