package storetest

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"perezvon/internal/store"
)

func jobPages(t *testing.T, eng Engine) {
	s := domains(t, opened(t, eng))
	want := map[store.JobState][]string{}
	for n := range 12 {
		j := job(fmt.Sprint("lane", n), n)
		enqueue(t, s, j)
		state := []store.JobState{store.JobDone, store.JobDead, store.JobClaimed, store.JobWaiting}[n%4]
		want[state] = append(want[state], j.ID)
		if state == store.JobWaiting {
			continue
		}
		jobs := claimed(t, s, 1)
		for len(jobs) > 0 && jobs[0].ID != j.ID { // one that was to wait
			if err := s.RetryJob(t.Context(), jobs[0], time.Now().Add(time.Hour), "later"); err != nil {
				t.Fatal(err)
			}
			jobs = claimed(t, s, 1)
		}
		switch state {
		case store.JobDone:
			done(t, s, jobs[0])
		case store.JobDead:
			if err := s.BuryJob(t.Context(), jobs[0], "gone"); err != nil {
				t.Fatal(err)
			}
		}
	}
	for state, want := range want {
		for limit := range 5 {
			f := store.JobFilter{Kind: hook, State: state, Limit: limit}
			var got []string
			for more := true; more; more = f.Cursor != "" {
				jobs, next, err := s.Jobs(t.Context(), f)
				if err != nil || len(jobs) == 0 || (limit > 0 && len(jobs) > limit) {
					t.Fatalf("%d in a page of %d, error %v", len(jobs), limit, err)
				}
				for _, j := range jobs {
					if j.State != state || (j.Data == nil) != (state == store.JobDone) || (j.Owner == "") != (state == store.JobWaiting) {
						t.Errorf("among the %s: %+v", state, j)
					}
				}
				got, f.Cursor = append(got, jobIDs(jobs)...), next
			}
			same(t, string(state), got, want)
		}
	}
	if jobs, next, err := s.Jobs(t.Context(), store.JobFilter{Kind: "other", State: store.JobWaiting}); err != nil || next != "" || len(jobs) > 0 {
		t.Errorf("of another kind: %+v, next %q, error %v", jobs, next, err)
	}
	for _, cursor := range []string{"x", "AAAA", "AAAAAAAAAAAAAAAAAAAAAAAA"} {
		if _, _, err := s.Jobs(t.Context(), store.JobFilter{Kind: hook, State: store.JobWaiting, Cursor: cursor}); !errors.Is(err, store.ErrBadCursor) {
			t.Errorf("cursor %q: error %v", cursor, err)
		}
	}
}

func jobStats(t *testing.T, eng Engine) {
	timedDomains(t, eng, func(t *testing.T, s Domains) {
		stats := func(want store.JobStats) (oldest time.Time) {
			t.Helper()
			got, err := s.JobStats(t.Context(), hook)
			if err != nil {
				t.Fatal(err)
			}
			oldest, got.Oldest = got.Oldest, time.Time{}
			same(t, "stats", got, want)
			return oldest
		}
		if !stats(store.JobStats{}).IsZero() {
			t.Error("nothing has an age")
		}
		enqueue(t, s, job("a", 1))
		first := stats(store.JobStats{Waiting: 1})
		eng.pass()
		enqueue(t, s, job("b", 2), job("b", 3))
		if got := stats(store.JobStats{Waiting: 3}); !got.Equal(first) {
			t.Errorf("oldest %v, want %v", got, first)
		}
		jobs := claimed(t, s, 10)
		if got := stats(store.JobStats{Waiting: 1, Claimed: 2}); !got.Equal(first) {
			t.Errorf("oldest %v, want %v", got, first)
		}
		if err := s.BuryJob(t.Context(), jobs[0], "gone"); err != nil {
			t.Fatal(err)
		}
		if got := stats(store.JobStats{Waiting: 1, Claimed: 1, Dead: 1}); !got.After(first) {
			t.Errorf("oldest %v, want one after %v", got, first)
		}
		done(t, s, jobs[1])
		stats(store.JobStats{Waiting: 1, Dead: 1})
	})
}

func jobsStay(t *testing.T, eng Engine) {
	dir := t.TempDir()
	first := eng.Open(t, dir)
	s := domains(t, first)
	enqueue(t, s, job("a", 1), job("a", 2))
	j := theOne(t, s, "job1")
	s.Enqueue(job("b", 3))
	closed(t, first)
	second := eng.Open(t, dir)
	defer closed(t, second)
	s = domains(t, second)
	done(t, s, theOne(t, s, "job3"))
	done(t, s, j)
	theOne(t, s, "job2")
}

func forgotten(t *testing.T, eng Engine) {
	bubble(t, eng, func(t *testing.T, st Store) {
		s := domains(t, st)
		prune := func() {
			t.Helper()
			if err := st.Prune(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		count := func(state store.JobState) int {
			t.Helper()
			jobs, _, err := s.Jobs(t.Context(), store.JobFilter{Kind: hook, State: state})
			if err != nil {
				t.Fatal(err)
			}
			return len(jobs)
		}
		enqueue(t, s, job("a", 1))
		done(t, s, theOne(t, s, "job1"))
		enqueue(t, s, job("a", 2))
		if err := s.BuryJob(t.Context(), theOne(t, s, "job2"), "gone"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(store.KeepDone - time.Minute)
		prune()
		if count(store.JobDone) != 1 {
			t.Error("forgotten too early")
		}
		time.Sleep(2 * time.Minute)
		prune()
		if count(store.JobDone) != 0 || count(store.JobDead) != 1 {
			t.Errorf("%d done, %d dead after a day", count(store.JobDone), count(store.JobDead))
		}
		enqueue(t, s, job("a", 1))
		theOne(t, s, "job1")
		time.Sleep(store.KeepDead)
		prune()
		if count(store.JobDead) != 0 || count(store.JobClaimed) != 1 {
			t.Errorf("%d dead, %d claimed after a month", count(store.JobDead), count(store.JobClaimed))
		}
	})
}

// refused holds that a closed store does nothing of its domains.
func refused(t *testing.T, s Domains) {
	ctx := t.Context()
	c := store.Counter{Name: "n", Until: time.Now().Add(time.Hour)}
	_, add := s.AddCount(ctx, c, 1, 1)
	_, read := s.ReadCount(ctx, c)
	_, allow := s.Allow(ctx, "portal", store.Rate{Name: "r", Every: time.Second, Burst: 1, Cost: 1})
	_, paused := s.Paused(ctx, "portal")
	_, failure := s.AddFailure(ctx, store.Failure{Number: "+7", At: start()})
	_, block := s.Block(ctx, "+7")
	_, _, blocks := s.Blocks(ctx, store.BlockFilter{})
	_, claim := s.ClaimJobs(ctx, "a", hook, time.Minute, 1)
	_, _, jobs := s.Jobs(ctx, store.JobFilter{Kind: hook, State: store.JobDead})
	_, all := s.ReviveJobs(ctx, hook)
	_, stats := s.JobStats(ctx, hook)
	for name, err := range map[string]error{
		"add": add, "read": read, "allow": allow, "paused": paused, "failure": failure, "block": block, "blocks": blocks,
		"claim": claim, "jobs": jobs, "revive all": all, "stats": stats,
		"pause":   s.Pause(ctx, "portal", time.Now()),
		"clear":   s.ClearFailures(ctx, "+7"),
		"unblock": s.Unblock(ctx, "+7", store.Unblock{By: "anna", At: start()}),
		"enqueue": s.Enqueue(job("a", 1)).Wait(ctx),
		"done":    s.JobDone(ctx, job("a", 1)),
		"retry":   s.RetryJob(ctx, job("a", 1), time.Time{}, ""),
		"bury":    s.BuryJob(ctx, job("a", 1), ""),
		"revive":  s.ReviveJob(ctx, hook, "job1"),
	} {
		if !errors.Is(err, store.ErrClosed) {
			t.Errorf("%s: error %v", name, err)
		}
	}
}
