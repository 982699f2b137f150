package interop

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"redoubt/internal/redistest"
)

// Every mode of redis-cli works on a node of ours as on a redis-server.
func TestTheModesOfRedisCli(t *testing.T) {
	t.Parallel()
	s := start(t, ours(), "--appendonly", "no", "--maxmemory-policy", "allkeys-lfu", "--maxmemory", "1gb")
	s.Do("CONFIG", "SET", "lfu-log-factor", "0") // each access counts, none by chance
	for i := range 50 {
		s.Do("SET", fmt.Sprint("string:", i), strings.Repeat("x", i))
		s.Do("RPUSH", "list", i)
		s.Do("ZADD", "zset", i, fmt.Sprint("m", i))
		s.Do("HSET", "hash", fmt.Sprint("f", i), i)
	}
	s.Do("SADD", "set", "a", "b", "c")
	s.Do("XADD", "stream", "*", "f", "v")
	for range 30 {
		s.Do("GET", "string:7")
	}
	s.Do("FUNCTION", "LOAD", "#!lua name=lib\nredis.register_function('f', function() return 7 end)")
	cli := func(stdin string, args ...string) string {
		t.Helper()
		return mustRun(t, stdin, "redis-cli", append([]string{"-p", fmt.Sprint(s.Port)}, args...)...)
	}

	t.Run("rdb", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "dump.rdb")
		wantText(t, cli("", "--rdb", file), "Transfer finished with success")
		loads(t, file, digest(s))
		if piped := bounded(t, 1, s, "--rdb", "-"); !strings.HasPrefix(piped, "REDIS0") {
			t.Errorf("to the standard output it writes %.20q", piped)
		}
	})
	t.Run("functions-rdb", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "functions.rdb")
		wantText(t, cli("", "--functions-rdb", file), "Transfer finished with success")
		wantText(t, mustRun(t, "", "redis-check-rdb", file), "0 keys read")
		to := loads(t, file, "")
		if got := fmt.Sprint(to.Do("FCALL", "f", 0)); got != "7" {
			t.Errorf("redis-server has a function that says %s", got)
		}
	})
	t.Run("pipe", func(t *testing.T) {
		var commands strings.Builder
		for i := range 2000 {
			fmt.Fprintf(&commands, "*3\r\n$3\r\nSET\r\n$%d\r\npipe:%d\r\n$1\r\nv\r\n", len(fmt.Sprint("pipe:", i)), i)
		}
		commands.WriteString("*2\r\n$4\r\nINCR\r\n$4\r\nlist\r\n")
		out, _ := run(t, commands.String(), "redis-cli", "-p", fmt.Sprint(s.Port), "--pipe")
		wantText(t, out, "errors: 1, replies: 2001")
		if got := s.Do("EXISTS", "pipe:0", "pipe:1999"); got != int64(2) {
			t.Errorf("of two keys there are %v", got)
		}
	})
	t.Run("keys", func(t *testing.T) {
		wantText(t, cli("", "--bigkeys"), "Biggest   list found", "has 50 items", "Biggest   hash found", "Biggest    set found", "Biggest   zset found", "Biggest stream found", "Biggest string found")
		wantText(t, cli("", "--memkeys"), "Biggest   list found", "bytes", "Biggest stream found")
		wantText(t, cli("", "--memkeys-samples", "10"), "Biggest   list found")
		wantText(t, cli("", "--hotkeys"), "hot key found with counter", "keyname: \"list\"")
		wantText(t, cli("", "--scan", "--pattern", "string:1?"), "string:10", "string:19")
	})
	t.Run("figures", func(t *testing.T) {
		wantText(t, bounded(t, 20, s, "--stat", "-i", "0.1"), "keys", "requests")
		wantText(t, cli("", "--intrinsic-latency", "1"), "Max latency so far")
		// Where the output is no terminal these end after one line.
		if fields := strings.Fields(cli("", "--raw", "--latency")); len(fields) != 4 {
			t.Errorf("--latency prints %q", fields)
		}
		if out := bounded(t, 4, s, "--latency-history", "-i", "1"); len(strings.Fields(out)) < 4 {
			t.Errorf("--latency-history prints %q", out)
		}
		if out := bounded(t, 1, s, "--latency-dist", "-i", "1"); out == "" {
			t.Error("--latency-dist prints nothing")
		}
	})
	t.Run("replica", func(t *testing.T) {
		cmd := exec.Command(redistest.Tool(t, "redis-cli"), "-p", fmt.Sprint(s.Port), "--replica")
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		defer cmd.Wait()
		defer cmd.Process.Kill()
		lines := make(chan string, 1000)
		go func() {
			for scan := bufio.NewScanner(out); scan.Scan(); {
				lines <- scan.Text()
			}
			close(lines)
		}()
		deadline := time.After(settle)
		for n := 0; ; n++ {
			select {
			case line, ok := <-lines:
				if !ok {
					t.Fatal("it has ended")
				}
				if strings.Contains(line, "streamed") {
					return
				}
			case <-deadline:
				t.Fatal("the stream does not arrive")
			case <-time.After(50 * time.Millisecond):
				s.Do("SET", "streamed", n)
			}
		}
	})
}

// bounded runs a mode of redis-cli that does not end, until it has printed so many
// words, and returns what it has printed.
func bounded(t *testing.T, words int, s *redistest.Server, args ...string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), settle)
	defer cancel()
	// Without stdbuf it would print by the 4 KiB.
	line := append([]string{"-oL", redistest.Tool(t, "redis-cli"), "-p", fmt.Sprint(s.Port)}, args...)
	cmd := exec.CommandContext(ctx, redistest.Tool(t, "stdbuf"), line...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var printed []byte
	chunk := make([]byte, 4096)
	for len(strings.Fields(string(printed))) < words {
		n, err := out.Read(chunk)
		printed = append(printed, chunk[:n]...)
		if err != nil {
			break
		}
	}
	cancel()
	_ = cmd.Wait() // it was killed
	return string(printed)
}

// loads starts a redis-server with a dump, and wants the digest.
func loads(t *testing.T, file, want string) *redistest.Server {
	t.Helper()
	to := start(t, redistest.Redis, "--appendonly", "no")
	to.Kill()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(to.Dir, "dump.rdb"), b, 0o600); err != nil {
		t.Fatal(err)
	}
	to.Restart()
	if got := digest(to); want != "" && got != want {
		t.Errorf("redis-server has the digest %s, want %s", got, want)
	}
	return to
}
