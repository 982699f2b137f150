//go:build profile

package main

import (
	"log"
	"os"
	"runtime/pprof"
	"time"
)

// profile: a binary with the tag profile writes a profile of the processor's time to
// $PROFILE, from a second after its start on for $PROFILE_FOR. scripts/pgo.sh makes
// default.pgo of it.
func profile() {
	long, err := time.ParseDuration(os.Getenv("PROFILE_FOR"))
	if err != nil {
		log.Fatal("PROFILE_FOR: ", err)
	}
	f, err := os.Create(os.Getenv("PROFILE"))
	if err != nil {
		log.Fatal("PROFILE: ", err)
	}
	time.AfterFunc(time.Second, func() {
		if err := pprof.StartCPUProfile(f); err != nil {
			log.Fatal(err)
		}
		time.Sleep(long)
		pprof.StopCPUProfile()
		if err := f.Close(); err != nil {
			log.Fatal(err)
		}
	})
}
