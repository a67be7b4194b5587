package sqlite

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"perezvon/internal/store"
)

// TestARemovalIsManySmallTransactions looks at what is left after each of them,
// as a crash would leave it.
func TestARemovalIsManySmallTransactions(t *testing.T) {
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		const calls, each = 300, 5
		d := openIn(t, dir)
		defer closeDB(t, d)
		at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
		var saved *store.Commit
		for n := range calls {
			c := store.Call{ID: fmt.Sprintf("%032x", n), State: store.StateEnded, CreatedAt: at, EndedAt: &at}
			saved = d.SaveCall(c, make([]store.Event, each)...)
		}
		if err := saved.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		done := make(chan error, 1)
		go func() {
			_, err := d.PruneCalls(context.Background(), at.Add(time.Hour))
			done <- err
		}()
		synctest.Wait()
		const rows = each + 1 // of a call
		for steps, left := 0, calls*rows; left > 0; steps++ {
			var have, broken int
			err := d.read.QueryRowContext(t.Context(), `SELECT (SELECT count(*) FROM calls) + (SELECT count(*) FROM events),
				(SELECT count(*) FROM (SELECT count(*) n FROM events GROUP BY call_id HAVING n <> ?))`, each).Scan(&have, &broken)
			if err != nil {
				t.Fatal(err)
			}
			if removed := left - have; removed <= 0 || removed > pruneRows || broken > 1 {
				t.Fatalf("step %d removed %d rows, at most %d should go at a time; %d calls have lost a part of their events", steps, removed, pruneRows, broken)
			}
			left = have
			time.Sleep(pruneRest)
			synctest.Wait()
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}
