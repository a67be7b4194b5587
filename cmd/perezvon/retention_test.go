package main

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"perezvon/configs"
)

func TestRecordsThatAreKeptForLessThanADayAreWarnedOfAtTheStart(t *testing.T) {
	for keep, want := range map[time.Duration]string{6 * time.Minute: "calls.keep: a call is removed 6m after its end", 24 * time.Hour: ""} {
		var log bytes.Buffer
		s := &server{log: slog.New(slog.NewTextHandler(&log, nil))}
		cfg := configs.Default()
		cfg.Calls.Keep = keep
		s.cfg.Store(cfg)
		s.housekeep()()
		if got := log.String(); want == "" && got != "" || !strings.Contains(got, want) {
			t.Errorf("calls.keep %v: %q, want %q", keep, got, want)
		}
	}
}
