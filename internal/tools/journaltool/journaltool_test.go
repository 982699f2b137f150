package journaltool

import (
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/zap"

	"redoubt/internal/rewound"
	"redoubt/replication"
	"redoubt/storage/journal"
)

const (
	id      = "0123456789012345678901234567890123456789"
	set     = "*3\r\n$3\r\nset\r\n$1\r\na\r\n$2\r\n1\n\r\n"
	ping    = "*1\r\n$4\r\nping\r\n"
	select3 = "*2\r\n$6\r\nSELECT\r\n$1\r\n3\r\n"
	multi   = "*1\r\n$5\r\nMULTI\r\n" + select3 + "*2\r\n$3\r\nDEL\r\n$1\r\na\r\n*3\r\n$5\r\nLPUSH\r\n$1\r\nl\r\n$5\r\nhello\r\n*1\r\n$4\r\nEXEC\r\n"
	stream  = set + ping + multi
)

// file is what was given up behind offset 100.
func file(t *testing.T, db int) string {
	t.Helper()
	w, err := rewound.Create(t.TempDir(), rewound.Header{ID: id, First: 101, Last: 100 + replication.Offset(len(stream)), At: time.UnixMilli(1_790_000_000_123), DB: db})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(w, stream); err != nil {
		t.Fatal(err)
	}
	path, err := w.Commit()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func shown(t *testing.T, path string, o Options) string {
	t.Helper()
	var out strings.Builder
	if err := Show(&out, path, o); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestWhatWasGivenUpIsShown(t *testing.T) {
	path := file(t, 2)
	for _, c := range []struct {
		name string
		o    Options
		want string
	}{
		{"all", Options{}, "101 [2] SET \"a\" \"1\\n\"\n143 [3] DEL \"a\"\n143 [3] LPUSH \"l\" \"hello\"\n"},
		{"short", Options{Width: 3}, "101 [2] SET \"a\" \"1\\n\"\n143 [3] DEL \"a\"\n143 [3] LPUSH \"l\" \"hel\"... (5 bytes)\n"},
		{"the first", Options{To: 142}, "101 [2] SET \"a\" \"1\\n\"\n"},
		{"none that is not whole", Options{From: 102, To: 150}, ""},
		{"the rest", Options{From: 102}, "143 [3] DEL \"a\"\n143 [3] LPUSH \"l\" \"hello\"\n"},
		{"for redis-cli --pipe", Options{Raw: true}, "*2\r\n$6\r\nSELECT\r\n$1\r\n2\r\n" + stream},
	} {
		if got := shown(t, path, c.o); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
	if got := shown(t, file(t, -1), Options{To: 142}); got != "101 [?] SET \"a\" \"1\\n\"\n" {
		t.Errorf("in a database that nobody knows: %q", got)
	}
	var out strings.Builder
	if err := Info(&out, path); err != nil || !strings.HasSuffix(out.String(), "commands       3\n") || !strings.Contains(out.String(), id) {
		t.Errorf("info: %v\n%s", err, out.String())
	}
}

// TestAJournalIsShown: by its data directory, or its own.
func TestAJournalIsShown(t *testing.T) {
	dir := t.TempDir()
	s, _, err := journal.Open(journal.Config{Dir: filepath.Join(dir, "appendonlydir"), Enabled: true, RingBytes: 64 << 10, BallastBytes: -1, Log: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.SaveHistory(replication.NewHistory(id), false); err != nil {
		t.Fatal(err)
	}
	s.AppendRaw([]byte(set))
	s.AppendRaw([]byte(ping))
	s.AppendRaw([]byte(multi))
	if err := Show(io.Discard, dir, Options{}); err == nil {
		t.Error("the journal of a node that runs is shown")
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{dir, filepath.Join(dir, "appendonlydir")} {
		if got := shown(t, path, Options{}); got != "1 [0] SET \"a\" \"1\\n\"\n43 [3] DEL \"a\"\n43 [3] LPUSH \"l\" \"hello\"\n" {
			t.Errorf("%s: %q", path, got)
		}
		var out strings.Builder
		if err := Info(&out, path); err != nil || !strings.Contains(out.String(), "no data, as of offset 0") || !strings.HasSuffix(out.String(), "commands       3\n") {
			t.Errorf("info: %v\n%s", err, out.String())
		}
	}
}

func TestWhatIsNoJournalIsRefused(t *testing.T) {
	dir := t.TempDir()
	text := filepath.Join(dir, "text")
	if err := os.WriteFile(text, []byte("hello"), 0o600); err != nil {
		t.Fatal(err)
	}
	damaged := file(t, 0)
	b, err := os.ReadFile(damaged)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)-9]++
	if err := os.WriteFile(damaged, b, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{dir, text, filepath.Join(dir, "nothing"), damaged} {
		if err := Show(io.Discard, path, Options{}); err == nil {
			t.Errorf("%s is shown", path)
		}
		if err := Info(io.Discard, path); err == nil {
			t.Errorf("there is information on %s", path)
		}
	}
}
