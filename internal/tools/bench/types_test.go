package main

import (
	"slices"
	"testing"
)

func TestSupply(t *testing.T) {
	for _, c := range []struct {
		name                        string
		requests, keys, least, most int
	}{
		{"one key has all", 1000, 1, 1000, 1200},
		{"of many keys each has more than its share", 1000, 100, 20, 40},
		{"a key that is rarely asked has some", 10, 1000, 4, 8},
	} {
		if got := supply(c.requests, c.keys); got < c.least || got > c.most {
			t.Errorf("%s: %d, want %d to %d", c.name, got, c.least, c.most)
		}
	}
}

func TestWordsOfACommand(t *testing.T) {
	zadd, err := testNamed("ZADD")
	if err != nil {
		t.Fatal(err)
	}
	for keys, want := range map[int][]string{
		1:        {"ZADD", "key", "__rand_int__", "element:__rand_int__"},
		manyKeys: {"ZADD", "key:__rand_int__", "__rand_int__", "element:000000000005"},
	} {
		if got := zadd.words(keys); !slices.Equal(got, want) {
			t.Errorf("%d keys: %q, want %q", keys, got, want)
		}
	}
	if _, err := testNamed("NOTHING"); err == nil {
		t.Error("a test that does not exist is found")
	}
}

func TestTestsByName(t *testing.T) {
	all, err := testsNamed("collections,others")
	if err != nil || len(all) != len(typeTests) {
		t.Errorf("all groups: %d tests of %d, %v", len(all), len(typeTests), err)
	}
	some, err := testsNamed("XACK,collections")
	if err != nil || len(some) != 1+collections || some[0].name != "XACK" || some[collections].name != "ZRANK" {
		t.Errorf("XACK and a group: %v, %v", some, err)
	}
	if _, err := testsNamed("XADD,NOTHING"); err == nil {
		t.Error("a test that does not exist is found")
	}
}
