package bus

import "testing"

func TestFlagsAreShownAsInClusterNodes(t *testing.T) {
	for _, c := range []struct {
		flags Flags
		want  string
	}{
		{0, "noflags"},
		{FlagMeet | FlagMigrateTo | FlagExtensions | FlagLightPublish | FlagLightModule | FlagMyPrimaryFail, "noflags"},
		{FlagMyself | FlagPrimary, "myself,master"},
		{FlagReplica | FlagPFail, "slave,fail?"},
		{FlagPrimary | FlagFail | FlagMigrateTo, "master,fail"},
		{FlagHandshake, "handshake"},
		{0x00ff | FlagNoFailover, "myself,master,slave,fail?,fail,handshake,noaddr,nofailover"},
	} {
		if got := c.flags.String(); got != c.want {
			t.Errorf("%#x is shown as %q, want %q", uint16(c.flags), got, c.want)
		}
		shown := c.flags &^ (FlagMeet | FlagMigrateTo | FlagExtensions | FlagLightPublish | FlagLightModule | FlagMyPrimaryFail)
		if got, err := ParseFlags(c.want); err != nil || got != shown {
			t.Errorf("ParseFlags(%q) = %#x, %v; want %#x", c.want, uint16(got), err, uint16(shown))
		}
	}
}

func TestFlagsMayBeWrittenInNewWords(t *testing.T) {
	if got, err := ParseFlags("myself,primary"); err != nil || got != FlagMyself|FlagPrimary {
		t.Errorf("got %v, %v", got, err)
	}
	if got, err := ParseFlags("replica,fail?"); err != nil || got != FlagReplica|FlagPFail {
		t.Errorf("got %v, %v", got, err)
	}
	for _, bad := range []string{"", "Master", "master,", "myself master", "noflags,master"} {
		if got, err := ParseFlags(bad); err == nil {
			t.Errorf("ParseFlags(%q) = %v, want an error", bad, got)
		}
	}
}

func TestNamesOfTypesInClusterInfo(t *testing.T) {
	want := []string{"ping", "pong", "meet", "fail", "publish", "auth-req", "auth-ack", "update", "mfstart", "module", "publishshard", "unknown"}
	for i, name := range want {
		if got := Type(i).String(); got != name {
			t.Errorf("type %d is called %q, want %q", i, got, name)
		}
	}
}

func TestNodeIDs(t *testing.T) {
	for _, c := range []struct {
		name string
		id   NodeID
		want bool
	}{
		{"40 hexadecimal digits", idA, true},
		{"40 letters", idC, true},
		{"nothing", "", false},
		{"39 digits", NodeID(idA[1:]), false},
		{"41 digits", idA + "0", false},
		{"a capital letter", NodeID("A" + idA[1:]), false},
		{"a NUL", NodeID("\x00" + idA[1:]), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := c.id.Valid(); got != c.want {
				t.Errorf("Valid() = %v, want %v", got, c.want)
			}
		})
	}
}
