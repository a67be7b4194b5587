package sqlite

import (
	"testing"
	"time"

	"perezvon/internal/store"
)

func TestARowSharesNoListWithTheRecord(t *testing.T) {
	c := store.Call{ID: "x", Attempts: []store.Attempt{{N: 1}}, Legs: []store.Leg{{ID: "a"}}}
	var r callRow
	r.take(&c)
	c.Attempts[0].N, c.Legs[0].ID = 2, "b"
	if r.Attempts[0].N != 1 || r.Legs[0].ID != "a" {
		t.Errorf("the row changes with the record: %+v", r)
	}
}

func TestHowDurableACallIsIsNotStored(t *testing.T) {
	d := openIn(t, t.TempDir())
	defer closeDB(t, d)
	c := store.Call{ID: "x", Durability: store.DurabilityLocal}
	if _, _, err := d.CreateCall(t.Context(), c, store.Admission{}); err != nil {
		t.Fatal(err)
	}
	if err := d.SaveCall(c).Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	if c, err := d.Call(t.Context(), "x"); err != nil || c.Durability != "" {
		t.Errorf("durability %q, error %v", c.Durability, err)
	}
}

func TestCommitsOfABusyMomentAreSpread(t *testing.T) {
	var p pace
	now := time.Unix(1000, 0)
	for i := range commitBurst {
		if wait := p.next(now); wait != 0 {
			t.Fatalf("commit %d waits %v", i, wait)
		}
	}
	for i := range 3 {
		if wait, want := p.next(now), time.Duration(i)*commitEvery; wait != want {
			t.Errorf("commit %d after the first ones waits %v, not %v", i, wait, want)
		}
	}
	if wait := p.next(now.Add(time.Hour)); wait != 0 {
		t.Errorf("after a rest the first one waits %v", wait)
	}
}
