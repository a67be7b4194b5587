package sqlite

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"perezvon/internal/store"
)

func TestWhatWasCarriedIsForgottenWhenItIsOldEnough(t *testing.T) {
	path := filepath.Join(t.TempDir(), "perezvon.db")
	synctest.Test(t, func(t *testing.T) {
		d, err := Open(t.Context(), path, Options{Outbox: true})
		if err != nil {
			t.Fatal(err)
		}
		save := func(n int) {
			for range n {
				d.SaveEvents(store.Event{Type: "e"})
			}
			stored(t, d.SaveEvents(store.Event{Type: "last"}))
		}
		save(0)
		first := d.LastOutbox()
		time.Sleep(time.Minute)
		save(0)
		second := d.LastOutbox()
		for _, step := range []struct {
			upTo   int64
			before time.Time
			left   int64
		}{
			{second, time.Now().Add(-2 * time.Minute), 2},
			{first - 1, time.Now().Add(time.Minute), 2},
			{second, time.Now().Add(-time.Second), 1},
			{second, time.Now().Add(time.Second), 0},
		} {
			if err := d.TrimOutbox(t.Context(), step.upTo, step.before); err != nil {
				t.Fatal(err)
			}
			if s, err := d.OutboxStats(t.Context(), 0); err != nil || s.Rows != step.left {
				t.Errorf("up to %d, before %v: %d rows are left, error %v", step.upTo, step.before, s.Rows, err)
			}
		}
		closeDB(t, d)
	})
}

func TestABacklogIsTrimmedInPieces(t *testing.T) {
	d := newSpool(t)
	inside(t, d, fmt.Sprintf(`WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < %d)
		INSERT INTO outbox (seq, at, type, id, first, last) SELECT i, 0, 'events', '', 1, 1 FROM n`, 2*trimAtOnce+1))
	if err := d.TrimOutbox(t.Context(), 2*trimAtOnce, time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	if s, err := d.OutboxStats(t.Context(), 0); err != nil || s.Rows != 1 {
		t.Errorf("%d rows are left, error %v", s.Rows, err)
	}
}

func TestASeqIsNeverUsedTwice(t *testing.T) {
	dir := t.TempDir()
	d := spoolIn(t, dir)
	if !d.Fresh() || d.LastOutbox() != 0 || d.Shipped() != 0 {
		t.Errorf("a new spool: fresh %v, last %d, shipped %d", d.Fresh(), d.LastOutbox(), d.Shipped())
	}
	node, err := d.NodeID(t.Context())
	if err != nil || len(node) != 32 {
		t.Fatalf("node %q, error %v", node, err)
	}
	closeDB(t, d)
	if d = spoolIn(t, dir); !d.Fresh() {
		t.Error("a spool that only has a name is not fresh")
	}
	if err := d.SetDND(t.Context(), "101", true); err != nil {
		t.Fatal(err)
	}
	last := d.LastOutbox()
	d.MarkShipped(last)
	d.MarkShipped(last - 1)
	if err := d.TrimOutbox(t.Context(), last, time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	closeDB(t, d)

	d = spoolIn(t, dir)
	defer closeDB(t, d)
	if again, err := d.NodeID(t.Context()); err != nil || again != node {
		t.Errorf("node %s became %s, error %v", node, again, err)
	}
	if d.Fresh() || d.LastOutbox() != last || d.Shipped() != last {
		t.Errorf("after a restart: fresh %v, last %d of %d, shipped %d", d.Fresh(), d.LastOutbox(), last, d.Shipped())
	}
	if err := d.SetDND(t.Context(), "101", false); err != nil {
		t.Fatal(err)
	}
	if d.LastOutbox() <= last {
		t.Errorf("seq %d follows %d", d.LastOutbox(), last)
	}
}

func TestASpoolThatWasUsedWithoutItsOutboxIsRefused(t *testing.T) {
	dir := t.TempDir()
	d := openIn(t, dir)
	stored(t, d.SaveEvents(store.Event{Type: "before it was a spool"}))
	closeDB(t, d)
	d = spoolIn(t, dir)
	if !d.Fresh() {
		t.Error("what has no outbox yet is not fresh")
	}
	stored(t, d.SaveEvents(store.Event{Type: "a"}))
	closeDB(t, d)
	d = spoolIn(t, dir)
	stored(t, d.SaveEvents(store.Event{Type: "b"}))
	if err := d.TrimOutbox(t.Context(), d.LastOutbox(), time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	closeDB(t, d)
	closeDB(t, spoolIn(t, dir))
	closeDB(t, openIn(t, dir)) // which writes nothing
	closeDB(t, spoolIn(t, dir))

	d = openIn(t, dir)
	stored(t, d.SaveEvents(store.Event{Type: "alone"}))
	closeDB(t, d)
	path := filepath.Join(dir, "perezvon.db")
	if d, err := Open(t.Context(), path, Options{Outbox: true}); !errors.Is(err, ErrStray) || !strings.Contains(err.Error(), path) {
		if err == nil {
			closeDB(t, d)
		}
		t.Errorf("error %v", err)
	}
	closeDB(t, openIn(t, dir)) // the lock was let go of
}

func TestWhatWasShippedIsKnownAfterAnOrderlyStop(t *testing.T) {
	dir := t.TempDir()
	d := spoolIn(t, dir)
	if err := d.SetDND(t.Context(), "101", true); err != nil {
		t.Fatal(err)
	}
	d.MarkShipped(d.LastOutbox())
	want := d.Shipped()
	closeDB(t, d)
	d = spoolIn(t, dir)
	defer closeDB(t, d)
	if want == 0 || d.Shipped() != want {
		t.Errorf("shipped is %d, not %d", d.Shipped(), want)
	}
}

func TestWhoEmptiesTheOutboxIsWokenByChangesOnly(t *testing.T) {
	path := filepath.Join(t.TempDir(), "perezvon.db")
	synctest.Test(t, func(t *testing.T) {
		d, err := Open(t.Context(), path, Options{Outbox: true})
		if err != nil {
			t.Fatal(err)
		}
		grown := d.OutboxChanged()
		if _, err := d.AcquireLease(t.Context(), "n", "a", time.Minute); err != nil {
			t.Fatal(err)
		}
		if err := d.Ping(t.Context()); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		select {
		case <-grown:
			t.Error("woken without a change")
		default:
		}
		stored(t, d.DeleteDialog("d"))
		<-grown
		if d.LastOutbox() != 1 {
			t.Errorf("the last is %d", d.LastOutbox())
		}
		closeDB(t, d)
	})
}

func TestFencesGoOnFromTheFloor(t *testing.T) {
	d := newSpool(t)
	for i, floor := range []int64{100, 50} {
		if err := d.RaiseFence(t.Context(), floor); err != nil {
			t.Fatal(err)
		}
		l, err := d.AcquireLease(t.Context(), fmt.Sprint(i), "a", time.Minute)
		if want := int64(101 + i); err != nil || l.Fence != want {
			t.Errorf("fence %d, not %d, error %v", l.Fence, want, err)
		}
	}
}
