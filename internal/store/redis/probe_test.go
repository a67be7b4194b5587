package redis

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
)

func TestProbeTellsWhatIsWrongAndWritesNothing(t *testing.T) {
	fake := newFake(t)
	opts := Options{URL: "redis://:hunter2@localhost", Dialer: fake.Dial}
	fake.RequireAuth("hunter2")
	got, err := Probe(t.Context(), opts)
	if err != nil || got.Version != "7.0.15" || len(got.Warnings) > 0 {
		t.Errorf("of a Redis that is as it should be: %+v, %v", got, err)
	}
	fake.Config("appendfsync", "no")
	if got, err := Probe(t.Context(), opts); err != nil || len(got.Warnings) != 1 || !strings.Contains(got.Warnings[0], "appendfsync everysec") {
		t.Errorf("of one that writes late: %+v, %v", got, err)
	}
	fake.Info("aof_enabled", "0")
	fake.Info("redis_version", "6.2.1")
	_, err = Probe(t.Context(), opts)
	for _, want := range []string{"appendonly yes", "7 or newer is needed"} {
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("of one that keeps nothing, and is old: %v", err)
		}
	}
	if keys := fake.Keys(); len(keys) > 0 {
		t.Errorf("it has left %q", keys)
	}
	nobody := errors.New("nobody is there")
	opts.Dialer = func(context.Context, string, string) (net.Conn, error) { return nil, nobody }
	if _, err := Probe(t.Context(), opts); !errors.Is(err, nobody) {
		t.Errorf("where there is none: %v", err)
	}
	if _, err := Probe(t.Context(), Options{URL: "hunter2"}); err == nil || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("of what is no address: %v", err)
	}
}

// A Redis that has just been started answers INFO before it has read its data,
// and tells of no append-only file then.
func TestRedisThatStillReadsItsDataIsWaitedForAndNotRefused(t *testing.T) {
	fake := newFake(t)
	r := onFake(t, fake)
	fake.Info("loading", "1")
	fake.Info("aof_enabled", "0")
	if _, problems, err := r.check(t.Context()); !errors.Is(err, errLoading) || !ofTheLink(err) || len(problems) > 0 {
		t.Errorf("problems %v, error %v", problems, err)
	}
	fake.Info("loading", "0")
	fake.Info("aof_enabled", "1")
	if _, problems, err := r.check(t.Context()); err != nil || len(problems) > 0 {
		t.Errorf("when it has read them: problems %v, error %v", problems, err)
	}
}
