package redis

import (
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"perezvon/internal/store"
	"perezvon/internal/store/redis/redistest"
)

// TestCallsThatAnOutageHasDoubledAreTold creates the other call at another node,
// which is played by what it would ship.
func TestCallsThatAnOutageHasDoubledAreTold(t *testing.T) {
	key := store.Key{Scope: "s", Value: "v", Hash: "h"}
	for name, tc := range map[string]struct {
		number string // of the other node's call
		key    bool   // it has the same
		since  time.Duration
		later  string // empty: that is no clash
		both   string
	}{
		"a key, and the other came first":    {"+78", true, -time.Minute, "own", "Idempotency-Key"},
		"a key, and the other came later":    {"+78", true, time.Minute, "other", "Idempotency-Key"},
		"a number, and the other came first": {"+7", false, -time.Minute, "own", "line and number"},
		"a number, and the other came later": {"+7", false, time.Minute, "other", "line and number"},
		"a key of two days ago":              {"+78", true, -48 * time.Hour, "", ""},
		"nothing in common":                  {"+78", false, time.Minute, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				fake := redistest.NewFake()
				defer fake.Close()
				said := &lockedBuffer{}
				o := &outage{fake: fake}
				d, err := Open(t.Context(), Options{
					URL: "redis://localhost", Spool: filepath.Join(dir, "perezvon.db"), Dialer: o.Dial,
					Logger: slog.New(slog.NewTextHandler(said, nil)),
				})
				if err != nil {
					t.Fatal(err)
				}
				o.set(true)
				own := store.Call{ID: "own", Kind: store.KindCallback, State: store.StateQueued, Line: "main", Number: "+7", CreatedAt: time.Now()}
				if c, _, err := d.CreateCall(t.Context(), own, store.Admission{Key: &key}); err != nil || c.Durability != store.DurabilityLocal {
					t.Fatalf("call %+v, error %v", c, err)
				}
				o.set(false)
				at := own.CreatedAt.Add(tc.since)
				shipOther(t, fake, store.Call{ID: "other", Kind: own.Kind, State: own.State, Line: "main", Number: tc.number, CreatedAt: at}, key, tc.key)
				time.Sleep(2 * probeLast)
				own.State = store.StateTalking
				if err := d.SaveCall(own).Wait(t.Context()); err != nil { // tells nothing new
					t.Fatal(err)
				}
				time.Sleep(time.Second)
				evs, _, err := d.Events(t.Context(), store.EventFilter{})
				if err != nil {
					t.Fatal(err)
				}
				var told []string
				for _, e := range evs {
					if e.Type == store.EventDecision {
						told = append(told, e.CallID+": "+string(e.Data))
					}
				}
				switch {
				case tc.later == "":
					if len(told) != 0 || said.has("two calls were created") {
						t.Errorf("told %q", told)
					}
				case len(told) != 1 || !strings.HasPrefix(told[0], tc.later+": ") || !strings.Contains(told[0], tc.both) || !said.has("two calls were created"):
					t.Errorf("told %q", told)
				}
				if err := d.Close(); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

// shipOther has another node bring a call, with a key or without.
func shipOther(t *testing.T, fake *redistest.Fake, c store.Call, key store.Key, keyed bool) {
	t.Helper()
	r, err := dial(Options{URL: "redis://localhost", Dialer: fake.Dial})
	if err != nil {
		t.Fatal(err)
	}
	acknowledge(t, r)
	b := &changes{t: t}
	b.call(c)
	if keyed {
		b.record(store.ChangeKey, store.KeyID(key.Scope, key.Value),
			store.KeyUse{Scope: key.Scope, Value: key.Value, Hash: key.Hash, CallID: c.ID, CreatedAt: c.CreatedAt})
	}
	if err := r.ship(t.Context(), "another", b.all); err != nil {
		t.Fatal(err)
	}
	if err := r.close(); err != nil {
		t.Error(err)
	}
}
