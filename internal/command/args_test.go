package command

import "testing"

func TestParseFloatTakesWhatCsStrtoldTakes(t *testing.T) {
	for _, c := range []struct{ in, out string }{
		{"3", "3"}, {"+3", "3"}, {"-0", "0"}, {"010", "10"}, {".5", "0.5"}, {"5.", "5"}, {"5e3", "5000"}, {"5E-1", "0.5"},
		{"0x10", "16"}, {"0X1P4", "16"}, {"0x1.8", "1.5"}, {"-0x.8p1", "-1"}, {"0e99999999999", "0"},
		{"", ""}, {"+", ""}, {".", ""}, {"-.", ""}, {"e5", ""}, {"1e", ""}, {"1e+", ""}, {"1e5x", ""}, {"0x", ""}, {"0x.p1", ""},
		{" 1", ""}, {"1 ", ""}, {"1\x00", ""}, {"1_0", ""}, {"0b1", ""}, {"0o7", ""}, {"1p3", ""}, {"--1", ""}, {"1.2.3", ""},
		{"nan", ""}, {"1e4933", ""}, {"1e999999999", ""}, {"1e99999999999999999999", ""}, {"1e-5000", ""}, {"1e-999999999999", ""},
	} {
		f := parseFloat([]byte(c.in))
		switch {
		case f == nil && c.out != "":
			t.Errorf("%q is no number, want %s", c.in, c.out)
		case f != nil && string(formatFloat(f)) != c.out:
			t.Errorf("%q is %.40s, want %q", c.in, formatFloat(f), c.out)
		}
	}
	for _, in := range []string{"inf", "-INF", "+Infinity"} {
		if f := parseFloat([]byte(in)); f == nil || !f.IsInf() || f.Signbit() != (in[0] == '-') {
			t.Errorf("%q is %v", in, f)
		}
	}
}

func FuzzParseFloat(f *testing.F) {
	for _, seed := range []string{"1.5", "-0x1p-3", "1e4932", "inf", "1e-4950"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		n := parseFloat(in)
		if n == nil || n.IsInf() {
			return
		}
		text := formatFloat(n)
		if len(text) >= maxFloat {
			t.Fatalf("%q is printed with %d digits", in, len(text))
		}
		if again := parseFloat(text); again == nil {
			t.Fatalf("%q is printed as %q, which is no number", in, text)
		}
	})
}
