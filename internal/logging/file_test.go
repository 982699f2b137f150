package logging

import (
	"os"
	"path/filepath"
	"testing"
)

// What logrotate does to a log: it renames it, and makes a new one or does not.
func TestALogFileThatIsRotated(t *testing.T) {
	path := filepath.Join(t.TempDir(), "node.log")
	f, err := OpenFile(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	opened := 0
	f.Each(func(*os.File) { opened++ })
	write := func(line string) {
		t.Helper()
		if _, err := f.Write([]byte(line)); err != nil {
			t.Fatal(err)
		}
	}
	rename := func(to string) {
		t.Helper()
		if err := os.Rename(path, path+to); err != nil {
			t.Fatal(err)
		}
	}
	holds := func(file, want string) {
		t.Helper()
		if got, err := os.ReadFile(file); string(got) != want {
			t.Errorf("%s has %q (%v), want %q", filepath.Base(file), got, err, want)
		}
	}
	write("a\n")
	write("b\n")
	rename(".2")
	write("c\n")
	rename(".1")
	if err := os.WriteFile(path, nil, 0o640); err != nil { // as "create" of logrotate
		t.Fatal(err)
	}
	write("d\n")
	holds(path+".2", "a\nb\n")
	holds(path+".1", "c\n")
	holds(path, "d\n")
	if opened != 3 {
		t.Errorf("%d files were opened", opened)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o640 {
		t.Errorf("the mode of the file has changed: %v, %v", info.Mode(), err)
	}

	// Where no other can be made, the old one goes on.
	if err := os.Mkdir(path+".d", 0o755); err != nil {
		t.Fatal(err)
	}
	rename(".0")
	if err := os.Rename(path+".d", path); err != nil {
		t.Fatal(err)
	}
	write("e\n")
	holds(path+".0", "d\ne\n")
}
