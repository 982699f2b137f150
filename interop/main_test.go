package interop

import (
	"flag"
	"os"
	"testing"
)

// TestMain lets more tests run side by side than there are processors, unless -parallel
// says how many: for most of the time each waits for a timeout of its nodes.
func TestMain(m *testing.M) {
	flag.Parse()
	asked := false
	flag.Visit(func(f *flag.Flag) { asked = asked || f.Name == "test.parallel" })
	if !asked {
		if err := flag.Set("test.parallel", "4"); err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run())
}
