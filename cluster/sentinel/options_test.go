package sentinel

import (
	"strings"
	"testing"
	"time"
)

func TestOptionsAreParsed(t *testing.T) {
	args := strings.Fields("Down-After-Milliseconds 5000 failover-timeout 60000 parallel-syncs 2 quorum 3 " +
		"notification-script /n client-reconfig-script /c auth-pass p auth-user u rename-command CONFIG cfg " +
		"master-reboot-down-after-period 0 fast-down yes forget-after-milliseconds 3600000")
	options, err := ParseOptions(args)
	if err != nil {
		t.Fatal(err)
	}
	o := DefaultOptions()
	for _, opt := range options {
		o.Apply(opt)
	}
	if o.DownAfter != 5*time.Second || o.FailoverTimeout != time.Minute || o.ParallelSyncs != 2 || o.NotificationScript != "/n" ||
		o.ClientReconfigScript != "/c" || o.AuthPass != "p" || o.AuthUser != "u" || o.RebootDownAfter != 0 || !o.FastDown ||
		o.ForgetAfter != time.Hour || len(o.RenamedCommands) != 1 || o.RenamedCommands[0] != (RenamedCommand{"CONFIG", "cfg"}) {
		t.Errorf("%+v", o)
	}
	o.Apply(Option{"rename-command", []string{"config", "CONFIG"}})
	if len(o.RenamedCommands) != 0 {
		t.Errorf("a command that has its own name is renamed: %v", o.RenamedCommands)
	}
}

func TestOptionsThatAreRefused(t *testing.T) {
	for _, c := range []struct{ args, want string }{
		{"bogus 1", "ERR Unknown option or number of arguments for SENTINEL SET 'bogus'"},
		{"quorum", "ERR Unknown option or number of arguments for SENTINEL SET 'quorum'"},
		{"rename-command a", "ERR Unknown option or number of arguments for SENTINEL SET 'rename-command'"},
		{"quorum 0", "ERR Invalid argument '0' for SENTINEL SET 'quorum'"},
		{"down-after-milliseconds -5", "ERR Invalid argument '-5' for SENTINEL SET 'down-after-milliseconds'"},
		{"failover-timeout soon", "ERR Invalid argument 'soon' for SENTINEL SET 'failover-timeout'"},
		{"failover-timeout 9223372036854775807", "ERR Invalid argument '9223372036854775807' for SENTINEL SET 'failover-timeout'"},
		{"fast-down perhaps", "ERR Invalid argument 'perhaps' for SENTINEL SET 'fast-down'"},
		{"parallel-syncs 1 quorum x", "ERR Invalid argument 'x' for SENTINEL SET 'quorum'"},
	} {
		if _, err := ParseOptions(strings.Fields(c.args)); err == nil || err.Error() != c.want {
			t.Errorf("%s: %v, want %s", c.args, err, c.want)
		}
	}
	for _, name := range []string{"auth-pass", "auth-user", "notification-script", "client-reconfig-script"} {
		if _, err := ParseOptions([]string{name, "x\nsentinel monitor evil 1.1.1.1 1 1"}); err == nil {
			t.Errorf("%s with a line break is taken", name)
		}
	}
	if _, err := ParseOptions([]string{"rename-command", "", "x"}); err == nil {
		t.Error("an empty command is renamed")
	}
	if o, err := ParseOptions([]string{"auth-pass", ""}); err != nil || len(o) != 1 {
		t.Errorf("no password: %v", err)
	}
}

func FuzzOptions(f *testing.F) {
	f.Add("quorum", "3", "auth-pass")
	f.Add("rename-command", "a", "b")
	f.Fuzz(func(t *testing.T, a, b, c string) {
		options, err := ParseOptions([]string{a, b, c})
		if err != nil {
			return
		}
		o := DefaultOptions()
		for _, opt := range options {
			o.Apply(opt)
		}
		if err := o.validate(); err != nil || o.RebootDownAfter < 0 || o.ForgetAfter < 0 {
			t.Fatalf("%q %q %q gives %+v: %v", a, b, c, o, err)
		}
	})
}
