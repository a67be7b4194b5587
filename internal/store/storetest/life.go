package storetest

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"perezvon/internal/store"
)

func runLife(t *testing.T, eng Engine) {
	t.Run("everything is there after a restart", func(t *testing.T) { restart(t, eng) })
	t.Run("close commits what is queued", func(t *testing.T) {
		dir := t.TempDir()
		s := eng.Open(t, dir)
		var commits []*store.Commit
		for n := range 500 {
			commits = append(commits, s.SaveCall(newCall(n), event(fmt.Sprint(n))))
		}
		closed(t, s)
		for _, c := range commits {
			select {
			case <-c.Done():
				wait(t, c)
			default:
				t.Fatal("close left a commit pending")
			}
		}
		s = eng.Open(t, dir)
		defer closed(t, s)
		evs, _, err := s.Events(t.Context(), store.EventFilter{Limit: 1000})
		if err != nil || len(evs) != 500 {
			t.Errorf("%d events, error %v", len(evs), err)
		}
	})
	t.Run("a closed store refuses everything", func(t *testing.T) {
		s := eng.Open(t, t.TempDir())
		closed(t, s)
		closed(t, s)
		ctx := t.Context()
		_, _, create := s.CreateCall(ctx, newCall(1), store.Admission{})
		_, call := s.Call(ctx, newCall(1).ID)
		_, _, calls := s.Calls(ctx, store.Filter{})
		_, stillOpen := s.OpenCalls(ctx)
		_, _, events := s.Events(ctx, store.EventFilter{})
		_, last := s.LastEvent(ctx)
		_, dialogs := s.Dialogs(ctx)
		_, bindings := s.Bindings(ctx)
		_, traces := s.Traces(ctx, newCall(1).ID)
		_, dnd := s.DND(ctx)
		_, lease := s.AcquireLease(ctx, "n", "a", time.Minute)
		for name, err := range map[string]error{
			"create": create, "call": call, "calls": calls, "open calls": stillOpen,
			"events": events, "last event": last, "dialogs": dialogs, "bindings": bindings, "traces": traces, "dnd": dnd, "lease": lease,
			"save":           s.SaveCall(newCall(1)).Wait(ctx),
			"save events":    s.SaveEvents(event("a")).Wait(ctx),
			"save dialog":    s.SaveDialog(store.Dialog{ID: "d"}).Wait(ctx),
			"delete dialog":  s.DeleteDialog("d").Wait(ctx),
			"save binding":   s.SaveBinding(store.Binding{ID: "b"}).Wait(ctx),
			"delete binding": s.DeleteBinding("b").Wait(ctx),
			"set dnd":        s.SetDND(ctx, "101", true),
			"save trace":     s.SaveTrace(store.TracePart{CallID: newCall(1).ID}).Wait(ctx),
			"prune traces":   s.PruneTraces(ctx, start()),
			"ping":           s.Ping(ctx), "prune": s.Prune(ctx),
		} {
			if !errors.Is(err, store.ErrClosed) {
				t.Errorf("%s: error %v", name, err)
			}
		}
	})
	if eng.RealTime {
		return
	}
	t.Run("it works and ends under virtual time", func(t *testing.T) {
		bubble(t, eng, func(t *testing.T, s Store) {
			create(t, s, newCall(1))
			time.Sleep(time.Hour)
			wait(t, s.SaveCall(ended(newCall(1)), event("a")))
			if err := s.Ping(t.Context()); err != nil {
				t.Error(err)
			}
			if c, err := s.Call(t.Context(), newCall(1).ID); err != nil || c.State != store.StateEnded {
				t.Errorf("state %s, error %v", c.State, err)
			}
		})
	})
}

func restart(t *testing.T, eng Engine) {
	dir := t.TempDir()
	key := &store.Key{Scope: "site", Value: "k", Hash: "h"}
	s := eng.Open(t, dir)
	if _, _, err := again(t, s, 1, "+7", key); err != nil {
		t.Fatal(err)
	}
	wait(t, s.SaveCall(fullCall(), event("b")))
	wait(t, s.SaveCall(newCall(2), event("c")))
	wait(t, s.SaveDialog(store.Dialog{ID: "d", Data: []byte(`{}`)}))
	lease := acquire(t, s, "n", "a")
	before, _, err := s.Events(t.Context(), store.EventFilter{})
	if err != nil {
		t.Fatal(err)
	}
	closed(t, s)

	s = eng.Open(t, dir)
	defer closed(t, s)
	got, dup, err := again(t, s, 5, "+7", key)
	if err != nil || !dup {
		t.Fatalf("duplicate %v, error %v", dup, err)
	}
	same(t, "call", got, fullCall())
	waiting, err := s.OpenCalls(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	same(t, "open calls", ids(waiting), []string{newCall(2).ID})
	wait(t, s.SaveCall(newCall(2), event("d")))
	after, _, err := s.Events(t.Context(), store.EventFilter{})
	if err != nil || len(after) != 4 {
		t.Fatalf("events %v, error %v", types(after), err)
	}
	same(t, "events", after[:3], before)
	if after[3].ID <= before[2].ID {
		t.Errorf("id %s follows %s", after[3].ID, before[2].ID)
	}
	dialogs, err := s.Dialogs(t.Context())
	if err != nil || len(dialogs) != 1 || dialogs[0].ID != "d" {
		t.Errorf("dialogs %v, error %v", dialogs, err)
	}
	if _, err := s.AcquireLease(t.Context(), "n", "b", time.Minute); !errors.Is(err, store.ErrHeld) {
		t.Errorf("error %v", err)
	}
	if _, err := s.RenewLease(t.Context(), lease, time.Minute); err != nil {
		t.Errorf("renew: %v", err)
	}
}
