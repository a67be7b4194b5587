package redis

import (
	"context"
	"errors"
	"net"
	"strconv"
	"testing"
	"time"

	"perezvon/internal/store"
)

// inCluster starts a cluster of one process, which refuses what touches two
// slots as a larger one does.
func inCluster(t *testing.T) *remote {
	t.Helper()
	probe, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := probe.Addr().String()
	_, port, err := net.SplitHostPort(addr)
	if err := errors.Join(err, probe.Close()); err != nil {
		t.Fatal(err)
	}
	s := own(t, "--bind", "127.0.0.1", "--port", port, "--cluster-enabled", "yes", "--cluster-port", freePort(t), "--databases", "1")
	r, err := dial(Options{URL: "redis-cluster://" + addr, Dialer: s.Dial})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.close(); err != nil {
			t.Error(err)
		}
	})
	one, err := dial(Options{URL: "redis://" + addr, Dialer: s.Dial})
	if err != nil {
		t.Fatal(err)
	}
	if _, problems, err := one.check(t.Context()); err != nil || len(problems) != 1 || !problems[0].Fatal {
		t.Errorf("a part of a cluster for the whole: problems %v, error %v", problems, err)
	}
	err = one.probe.Do(t.Context(), "CLUSTER", "ADDSLOTSRANGE", 0, 16383).Err()
	if err := errors.Join(err, one.close()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for ctx.Err() == nil {
		info, problems, err := r.check(ctx)
		if err == nil && len(problems) == 0 && r.reopened(ctx, info.RunID) == nil {
			return r
		}
		time.Sleep(10 * time.Millisecond) // until it finds itself complete
	}
	t.Fatal("the cluster does not come up")
	return nil
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err := errors.Join(err, l.Close()); err != nil {
		t.Fatal(err)
	}
	if n, err := strconv.Atoi(port); err != nil || n == 0 {
		t.Fatalf("port %q, error %v", port, err)
	}
	return port
}

func TestEveryScriptTouchesOneSlot(t *testing.T) {
	t.Parallel()
	r := inCluster(t)
	batch := life(t, 6)
	ship(t, r, batch)
	ship(t, r, batch)
	other := onFake(t, newFake(t))
	ship(t, other, batch)
	same(t, "everything", read(t, r), read(t, other))
	adm := store.Admission{Key: &store.Key{Scope: "s", Value: "k", Hash: "h"}, PerNumber: store.Limit{Count: 1}}
	undo := admitted(t, r, to(100, "+7"), adm)
	duplicate(t, r, to(101, "+7"), adm, newCall(100).ID)
	duplicate(t, r, to(101, newCall(1).Number), store.Admission{Key: &store.Key{Scope: "s", Value: "another", Hash: "h"}}, newCall(1).ID)
	if err := undo(t.Context()); err != nil {
		t.Error(err)
	}
	l := acquire(t, r, "n", "a")
	if _, err := r.renewLease(t.Context(), l, time.Minute); err != nil {
		t.Error(err)
	}
	release(t, r, l)
	if err := r.dropLeases(t.Context(), "a"); err != nil {
		t.Error(err)
	}
	if err := other.importAll(t.Context(), exported(t, r.export)); err != nil {
		t.Error(err)
	}
	if err := r.importAll(t.Context(), exported(t, r.export)); err != nil {
		t.Error(err)
	}
	later := start().Add(24 * time.Hour)
	_, err := r.expired(t.Context(), store.Expiry{Calls: later, Events: later, Traces: later})
	_, err2 := r.pruneTraces(t.Context(), later)
	_, err3 := r.pruneEvents(t.Context(), later)
	n, err4 := r.pruneEnded(t.Context(), later)
	if err := errors.Join(err, err2, err3, err4); err != nil || n != 3 {
		t.Errorf("%d calls removed, error %v", n, err)
	}
	if got := read(t, r); len(got.Calls) != 3 || len(got.Events) != 9 {
		t.Errorf("left: %+v", got)
	}
}
