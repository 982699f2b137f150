package journal

import (
	"bufio"
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"go.uber.org/zap"

	"redoubt/replication"
)

// childEnv names the directory and the policy of a process that only appends,
// for TestKillNineLosesNothingCommitted.
const childEnv = "JOURNAL_TEST_CHILD"

func TestMain(m *testing.M) {
	if args := os.Getenv(childEnv); args != "" {
		if err := appendForever(args); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func appendForever(args string) error {
	policy, dir, _ := strings.Cut(args, " ")
	cfg := Config{Dir: dir, Enabled: true, RingBytes: minRingBytes, BallastBytes: -1, Log: zap.NewNop()}
	if policy == Always.String() {
		cfg.Policy = Always
	}
	s, rec, err := Open(cfg)
	if err != nil {
		return err
	}
	if err := s.SaveHistory(testHistory, false); err != nil {
		return err
	}
	i := 0
	if rec.End > 0 { // units have one length, so the number of the next follows
		i = int(rec.End) / len(unit(0, 100))
	}
	for ; ; i++ {
		if i%3 == 0 {
			put(s, unit(i, 100))
		} else {
			commit(s, unit(i, 100))
		}
		if _, err := fmt.Println(s.Committed()); err != nil {
			return err
		}
	}
}

// TestKillNineLosesNothingCommitted kills a real process, twice on the same
// directory, while it appends.
func TestKillNineLosesNothingCommitted(t *testing.T) {
	for _, policy := range []Policy{EverySec, Always} {
		t.Run(policy.String(), func(t *testing.T) {
			dir := t.TempDir()
			for round, enough := range []int{4 * minRingBytes, 6 * minRingBytes} {
				cmd := exec.Command(os.Args[0])
				cmd.Env = append(os.Environ(), childEnv+"="+policy.String()+" "+dir)
				cmd.Stderr = os.Stderr
				out, err := cmd.StdoutPipe()
				if err != nil {
					t.Fatal(err)
				}
				if err := cmd.Start(); err != nil {
					t.Fatal(err)
				}
				sc := bufio.NewScanner(out)
				var committed int
				for sc.Scan() {
					if v, err := strconv.Atoi(sc.Text()); err == nil && v > committed { // the last line may be cut short
						committed = v
					}
					if committed >= enough {
						cmd.Process.Kill()
					}
				}
				cmd.Wait()
				if committed < enough {
					t.Fatalf("the process ended by itself, at %d", committed)
				}
				cfg := testConfig(t, dir)
				s, rec, err := Open(cfg)
				if err != nil {
					t.Fatal(err)
				}
				if int(rec.End) < committed || rec.Torn != "" {
					t.Errorf("round %d: recovered up to %d (%q), committed were %d", round, rec.End, rec.Torn, committed)
				}
				i := 0
				err = s.Replay(0, func(b []byte, _ replication.Offset) error {
					for ; len(b) > 0; i++ {
						u := unit(i, 100)
						if !bytes.HasPrefix(b, u) {
							t.Fatalf("round %d: unit %d is not what was appended", round, i)
						}
						b = b[len(u):]
					}
					return nil
				})
				if err != nil {
					t.Fatal(err)
				}
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}
