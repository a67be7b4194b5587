package main

import (
	"runtime/debug"
	"testing"
)

func TestTheEnvironmentSaysHowMuchGarbageMayGather(t *testing.T) {
	before := debug.SetGCPercent(100)
	defer debug.SetGCPercent(before)
	for _, c := range []struct {
		env  string
		want int
	}{{"100", 100}, {"off", 100}, {"", garbage}} {
		t.Setenv("GOGC", c.env)
		collectLess()
		if got := debug.SetGCPercent(100); got != c.want {
			t.Errorf("GOGC=%q: collected at %d%%, not %d%%", c.env, got, c.want)
		}
	}
}
