package seedtest

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

// toy fails if two certain faults happen to it.
type toy struct{ out []int }

func (s *toy) Run() error {
	if slices.Contains(s.out, 1) || slices.Contains(s.out, 3) {
		return nil
	}
	return errors.New("b and d do not go together")
}
func (s *toy) Trace() string     { return "" }
func (s *toy) String() string    { return "a toy" }
func (s *toy) Plan() []string    { return []string{"a", "b", "c", "d", "e"} }
func (s *toy) LeaveOut(is []int) { s.out = is }

func TestAFailureNamesTheFewestFaults(t *testing.T) {
	s := &toy{}
	text := report(func(uint64) *toy { return &toy{} }, 7, s, s.Run())
	for _, want := range []string{"the fewest faults with which it fails: 1 b, 3 d", "-seed=7 -without=0,2,4"} {
		if !strings.Contains(text, want) {
			t.Errorf("the report does not say %q:\n%s", want, text)
		}
	}
}
