package main

import (
	"strings"
	"testing"
	"time"

	"perezvon/internal/api"
)

func TestTalkOfARunningCallIsCounted(t *testing.T) {
	at := time.Date(2027, 1, 11, 9, 0, 0, 0, time.UTC)
	result := "completed"
	for want, c := range map[string]api.Call{
		"":                             {State: "ringing"},
		"7.0 s so far":                 {State: "talking", AnsweredAt: &at},
		"7.0 s so far, on hold or not": {State: "held", AnsweredAt: &at},
		"2.5 s":                        {State: "ended", Result: &result, AnsweredAt: &at, TalkMS: 2500},
	} {
		want, _, _ = strings.Cut(want, ",")
		if got := talked(&c, at.Add(7*time.Second)); got != want {
			t.Errorf("%s: %q, want %q", c.State, got, want)
		}
		var b strings.Builder
		printCall(&console{w: &b}, c, at.Add(7*time.Second))
		if want != "" && !strings.Contains(b.String(), "talked     "+want+", from ") {
			t.Error(b.String())
		}
	}
}
