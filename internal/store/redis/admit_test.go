package redis

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"perezvon/internal/store"
	"perezvon/internal/store/redis/redistest"
)

// admitted fails the test when the call is not to be created.
func admitted(t *testing.T, r *remote, c store.Call, adm store.Admission) (undo func(context.Context) error) {
	t.Helper()
	existing, undo, err := r.admit(t.Context(), c, adm)
	if err != nil || existing != nil {
		t.Fatalf("existing %+v, error %v", existing, err)
	}
	return undo
}

// duplicate fails the test when the call is not one of want.
func duplicate(t *testing.T, r *remote, c store.Call, adm store.Admission, want string) *store.Call {
	t.Helper()
	existing, _, err := r.admit(t.Context(), c, adm)
	if err != nil || existing == nil || existing.ID != want {
		t.Fatalf("existing %+v, error %v, want %s", existing, err, want)
	}
	return existing
}

func refused(t *testing.T, r *remote, c store.Call, adm store.Admission, want error) {
	t.Helper()
	if existing, _, err := r.admit(t.Context(), c, adm); !errors.Is(err, want) || existing != nil {
		t.Fatalf("existing %+v, error %v, want %v", existing, err, want)
	}
}

func to(n int, number string) store.Call {
	c := newCall(n)
	c.Number = number
	return c
}

// shipped ships a call and its key.
func (b *changes) shipped(r *remote, c store.Call, key *store.Key) {
	b.t.Helper()
	from := len(b.all)
	b.call(c)
	if key != nil {
		b.record(store.ChangeKey, store.KeyID(key.Scope, key.Value),
			store.KeyUse{Scope: key.Scope, Value: key.Value, Hash: key.Hash, CallID: c.ID, CreatedAt: time.Now()})
	}
	ship(b.t, r, b.all[from:])
}

func TestAKeyGivesItsCallAlsoWhenThatHasEnded(t *testing.T) {
	both(t, func(t *testing.T, r *remote) {
		b := &changes{t: t}
		key := &store.Key{Scope: "site", Value: "k", Hash: "h"}
		adm := store.Admission{Key: key}
		admitted(t, r, to(1, "+7"), adm)
		admitted(t, r, to(1, "+7"), adm) // its answer was lost
		if c := duplicate(t, r, to(2, "+7"), adm, newCall(1).ID); c.Kind != "" {
			t.Errorf("a record before it was shipped: %+v", c)
		}
		b.shipped(r, to(1, "+7"), key)
		if c := duplicate(t, r, to(2, "+8"), adm, newCall(1).ID); c.State != store.StateQueued {
			t.Errorf("state %s", c.State)
		}
		admitted(t, r, to(1, "+7"), adm) // still the same request
		b.shipped(r, ended(to(1, "+7")), nil)
		if c := duplicate(t, r, to(2, "+7"), adm, newCall(1).ID); c.State != store.StateEnded {
			t.Errorf("state %s", c.State)
		}
		other := *key
		other.Hash = "other"
		refused(t, r, to(3, "+9"), store.Admission{Key: &other}, store.ErrKeyReused)
		other.Scope = "another"
		admitted(t, r, to(3, "+9"), store.Admission{Key: &other})
	})
}

func TestAKeyIsFreeADayAfterItsUse(t *testing.T) {
	both(t, func(t *testing.T, r *remote) {
		b := &changes{t: t}
		for n, tt := range []struct {
			ago  time.Duration
			free bool
		}{{24*time.Hour - time.Minute, false}, {24*time.Hour + time.Second, true}} {
			key := &store.Key{Scope: "site", Value: fmt.Sprint(n), Hash: "h"}
			use := store.KeyUse{Scope: key.Scope, Value: key.Value, Hash: key.Hash, CallID: newCall(n).ID, CreatedAt: time.Now().Add(-tt.ago)}
			from := len(b.all)
			b.call(ended(to(n, "+7")))
			b.record(store.ChangeKey, store.KeyID(key.Scope, key.Value), use)
			ship(t, r, b.all[from:])
			other := *key
			other.Hash = "other"
			if tt.free {
				admitted(t, r, to(n+10, "+8"), store.Admission{Key: &other})
				continue
			}
			refused(t, r, to(n+10, "+8"), store.Admission{Key: &other}, store.ErrKeyReused)
		}
	})
}

func TestAKeyThatFoundAnOpenCallbackKeepsToIt(t *testing.T) {
	both(t, func(t *testing.T, r *remote) {
		b := &changes{t: t}
		b.shipped(r, to(1, "+7"), nil)
		adm := store.Admission{Key: &store.Key{Scope: "site", Value: "k", Hash: "h"}}
		duplicate(t, r, to(2, "+7"), adm, newCall(1).ID)
		b.shipped(r, ended(to(1, "+7")), nil)
		duplicate(t, r, to(3, "+7"), adm, newCall(1).ID)
	})
}

func TestACallbackIsADuplicateWhileOneToItsLineAndNumberIsOpen(t *testing.T) {
	both(t, func(t *testing.T, r *remote) {
		b := &changes{t: t}
		none := store.Admission{}
		admitted(t, r, to(1, "+7"), none)
		duplicate(t, r, to(2, "+7"), none, newCall(1).ID)
		b.shipped(r, to(1, "+7"), nil)
		if c := duplicate(t, r, to(2, "+7"), none, newCall(1).ID); c.Number != "+7" {
			t.Errorf("%+v", c)
		}
		line := to(3, "+7")
		line.Line = "other"
		admitted(t, r, line, none)
		inbound := to(4, "+7")
		inbound.Kind = store.KindInbound
		admitted(t, r, inbound, none)
		admitted(t, r, to(5, ""), none)
		admitted(t, r, to(6, ""), none)
		b.shipped(r, to(0, "+7"), nil) // an older one that nobody asked about
		duplicate(t, r, to(7, "+7"), none, newCall(0).ID)
		b.shipped(r, ended(to(0, "+7")), nil)
		b.shipped(r, ended(to(1, "+7")), nil)
		admitted(t, r, to(8, "+7"), none)
	})
}

func TestANumberGetsSoManyCallsAndNoMore(t *testing.T) {
	both(t, func(t *testing.T, r *remote) {
		b := &changes{t: t}
		for n := range 8 {
			c := ended(to(n, "+7"))
			switch n {
			case 4:
				c.Number = "+8"
			case 5:
				c.Kind = store.KindInbound
			case 6:
				c.Kind = store.KindOutbound
			case 7:
				c.Kind = store.KindInternal
			}
			b.shipped(r, c, nil)
		}
		limit := func(count int, since time.Time) store.Admission {
			return store.Admission{PerNumber: store.Limit{Count: count, Since: since}}
		}
		for since, had := range map[time.Time]int{{}: 4, newCall(1).CreatedAt: 3, newCall(3).CreatedAt: 1} {
			refused(t, r, to(10, "+7"), limit(had, since), store.ErrTooMany)
			if err := admitted(t, r, to(10, "+7"), limit(had+1, since))(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		admitted(t, r, to(11, "+7"), limit(5, time.Time{}))
		admitted(t, r, to(11, "+7"), limit(5, time.Time{})) // its answer was lost
		duplicate(t, r, to(12, "+7"), limit(1, time.Time{}), newCall(11).ID)
		key := store.Admission{Key: &store.Key{Scope: "s", Value: "k", Hash: "h"}, PerNumber: limit(1, time.Time{}).PerNumber}
		refused(t, r, to(13, "+8"), key, store.ErrTooMany)
		admitted(t, r, to(14, "+9"), key) // the key was not used up
	})
}

func TestWhatIsUndoneWasNeverThere(t *testing.T) {
	both(t, func(t *testing.T, r *remote) {
		b := &changes{t: t}
		adm := store.Admission{Key: &store.Key{Scope: "s", Value: "k", Hash: "h"}, PerNumber: store.Limit{Count: 1}}
		undo := admitted(t, r, to(1, "+7"), adm)
		for range 2 {
			if err := undo(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		undo = admitted(t, r, to(2, "+7"), adm)
		b.shipped(r, to(2, "+7"), adm.Key)
		if err := undo(t.Context()); err != nil { // too late: it is there
			t.Fatal(err)
		}
		duplicate(t, r, to(3, "+7"), adm, newCall(2).ID)
		duplicate(t, r, to(3, "+7"), store.Admission{}, newCall(2).ID)
	})
}

func TestWhoeverKnowsThatACallNeverCameToBeTakesItsKeyOver(t *testing.T) {
	both(t, func(t *testing.T, r *remote) {
		adm := store.Admission{Key: &store.Key{Scope: "s", Value: "k", Hash: "h"}}
		admitted(t, r, to(1, "+7"), adm)
		never := duplicate(t, r, to(2, "+7"), adm, newCall(1).ID)
		if err := r.retract(t.Context(), never.ID, to(2, "+7"), adm); err != nil {
			t.Fatal(err)
		}
		admitted(t, r, to(2, "+7"), adm)
		duplicate(t, r, to(3, "+7"), store.Admission{}, newCall(2).ID)
	})
}

func TestACallThatNeverCameToBeMakesRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fake := redistest.NewFake()
		defer fake.Close()
		r, err := dial(Options{URL: "redis://localhost", Dialer: fake.Dial})
		if err != nil {
			t.Fatal(err)
		}
		acknowledge(t, r)
		adm := store.Admission{Key: &store.Key{Scope: "s", Value: "k", Hash: "h"}, PerNumber: store.Limit{Count: 1}}
		admitted(t, r, to(1, "+7"), adm)
		time.Sleep(holdPlace - time.Millisecond)
		duplicate(t, r, to(2, "+7"), adm, newCall(1).ID)
		duplicate(t, r, to(2, "+7"), store.Admission{}, newCall(1).ID)
		time.Sleep(time.Millisecond)
		admitted(t, r, to(2, "+7"), adm)
		b := &changes{t: t}
		b.shipped(r, to(2, "+7"), adm.Key)
		time.Sleep(keepKeys - time.Second)
		duplicate(t, r, to(3, "+8"), adm, newCall(2).ID)
		time.Sleep(2 * time.Second)
		admitted(t, r, to(3, "+8"), adm)
		if err := r.close(); err != nil {
			t.Error(err)
		}
	})
}

func TestAKeyOfACallThatHasServedItsTimeIsFree(t *testing.T) {
	both(t, func(t *testing.T, r *remote) {
		b := &changes{t: t}
		key := &store.Key{Scope: "s", Value: "k", Hash: "h"}
		b.shipped(r, ended(to(1, "+7")), key)
		b.gone(store.ChangeCall, newCall(1).ID)
		ship(t, r, b.all)
		admitted(t, r, to(2, "+7"), store.Admission{Key: key})
	})
}

func TestTheRecordDecidesWhetherACallbackIsOpen(t *testing.T) {
	both(t, func(t *testing.T, r *remote) {
		b := &changes{t: t}
		b.shipped(r, to(1, "+7"), nil)
		b.shipped(r, to(1, "+8"), nil) // +7 does not know that the number is another one
		admitted(t, r, to(2, "+7"), store.Admission{})
		duplicate(t, r, to(3, "+8"), store.Admission{}, newCall(1).ID)
	})
}

func TestAnOlderUseOfAKeyDoesNotReplaceALaterOne(t *testing.T) {
	both(t, func(t *testing.T, r *remote) {
		b := &changes{t: t}
		use := func(n int, at time.Time) {
			b.record(store.ChangeKey, store.KeyID("s", "k"), store.KeyUse{Scope: "s", Value: "k", Hash: "h", CallID: newCall(n).ID, CreatedAt: at})
		}
		b.call(ended(to(1, "+7")))
		b.call(ended(to(2, "+7")))
		use(1, time.Now().Add(-time.Hour))
		use(2, time.Now())
		use(1, time.Now().Add(-time.Hour))
		use(1, time.Now().Add(-keepKeys-time.Minute))
		b.record(store.ChangeKey, store.KeyID("s", "old"), store.KeyUse{Scope: "s", Value: "old", Hash: "h", CallID: newCall(1).ID, CreatedAt: time.Now().Add(-keepKeys)})
		b.gone(store.ChangeKey, store.KeyID("s", "k"))
		for i := range b.all {
			ship(t, r, b.all[i:i+1])
		}
		duplicate(t, r, to(3, "+7"), store.Admission{Key: &store.Key{Scope: "s", Value: "k", Hash: "h"}}, newCall(2).ID)
		admitted(t, r, to(4, "+7"), store.Admission{Key: &store.Key{Scope: "s", Value: "old", Hash: "another"}})
	})
}

func TestOfManyIdenticalRequestsAtOnceOneIsAdmitted(t *testing.T) {
	both(t, func(t *testing.T, r *remote) {
		for _, key := range []*store.Key{nil, {Scope: "site", Value: "k", Hash: "h"}} {
			number := "+7"
			if key != nil {
				number = "+8"
			}
			var mu sync.Mutex
			created, seen := 0, map[string]bool{}
			var wg sync.WaitGroup
			for n := range 20 {
				wg.Go(func() {
					existing, _, err := r.admit(t.Context(), to(n, number), store.Admission{Key: key})
					mu.Lock()
					defer mu.Unlock()
					switch {
					case err != nil:
						t.Errorf("error %v", err)
					case existing == nil:
						created++
						seen[newCall(n).ID] = true
					default:
						seen[existing.ID] = true
					}
				})
			}
			wg.Wait()
			if created != 1 || len(seen) != 1 {
				t.Errorf("%d created, %d different ones returned", created, len(seen))
			}
		}
	})
}
