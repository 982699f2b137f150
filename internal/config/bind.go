package config

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// A binding stores the canonical text of a directive in the typed field of
// Settings that the server reads.
type binding func(s *Settings, text string)

func toBool(field func(*Settings) *bool) binding {
	return func(s *Settings, text string) { *field(s) = text == "yes" }
}

func toInt[I ~int | ~int64](field func(*Settings) *I) binding {
	return func(s *Settings, text string) { *field(s) = I(number(text)) }
}

func toDuration(unit time.Duration, field func(*Settings) *time.Duration) binding {
	return func(s *Settings, text string) { *field(s) = scaled(text, unit) }
}

func toText(field func(*Settings) *string) binding {
	return func(s *Settings, text string) { *field(s) = text }
}

// toChoice stores the place of the word among names.
func toChoice[E ~uint8](names choice, field func(*Settings) *E) binding {
	return func(s *Settings, text string) {
		for i, name := range names.names {
			if name == text {
				*field(s) = E(i)
			}
		}
	}
}

func toWords(field func(*Settings) *[]string) binding {
	return func(s *Settings, text string) { *field(s) = strings.Fields(text) }
}

// number reads a canonical number.
func number(text string) int64 {
	n, _ := strconv.ParseInt(text, 10, 64)
	return n
}

// scaled reads a canonical number of units. What a Duration cannot hold is as
// long as it can hold, 292 years.
func scaled(text string, unit time.Duration) time.Duration {
	n := number(text)
	if n > math.MaxInt64/int64(unit) {
		return math.MaxInt64
	}
	return time.Duration(n) * unit
}
