package storetest

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"perezvon/internal/store"
)

const hook = "hook" // the kind of the suite's jobs

func job(lane string, n int) store.Job {
	return store.Job{ID: fmt.Sprint("job", n), Kind: hook, Lane: lane, Data: json.RawMessage(fmt.Sprintf(`{"n":%d,"list":[],"big":12345678901234567890}`, n))}
}

func runLanes(t *testing.T, eng Engine) {
	t.Run("a lane gives its jobs one after the other", func(t *testing.T) {
		s := domains(t, opened(t, eng))
		enqueue(t, s, job("a", 1), job("a", 2), job("b", 3), job("a", 4))
		for _, want := range [][]string{{"job1", "job3"}, {"job2"}, {"job4"}, nil} {
			jobs := claimed(t, s, 10)
			same(t, "claimed", jobIDs(jobs), want)
			if more := claimed(t, s, 10); len(more) > 0 {
				t.Errorf("beside them %v", jobIDs(more))
			}
			for _, j := range jobs {
				if j.Kind != hook || j.Owner != "a" || j.Tries != 1 || j.State != store.JobClaimed || j.At.IsZero() || j.Cause != "" {
					t.Errorf("claimed %+v", j)
				}
				done(t, s, j)
			}
		}
	})
	t.Run("a job comes back as it was", func(t *testing.T) {
		s := domains(t, opened(t, eng))
		j := job("a", 1)
		want := string(j.Data)
		commit := s.Enqueue(j)
		clear(j.Data)
		wait(t, commit)
		bare := job("b", 2)
		bare.Data = nil
		enqueue(t, s, bare)
		jobs := claimed(t, s, 10)
		if len(jobs) != 2 || string(jobs[0].Data) != want || jobs[1].Data != nil {
			t.Errorf("claimed %+v", jobs)
		}
	})
	t.Run("an id is used once, also when its job is done", func(t *testing.T) {
		s := domains(t, opened(t, eng))
		enqueue(t, s, job("a", 1), job("a", 1), job("b", 1))
		j := claimed(t, s, 10)
		same(t, "claimed", jobIDs(j), []string{"job1"})
		done(t, s, j[0])
		enqueue(t, s, job("a", 1))
		if again := claimed(t, s, 10); len(again) > 0 {
			t.Errorf("claimed again: %+v", again)
		}
		other := job("a", 1)
		other.Kind = "other"
		enqueue(t, s, other)
		if jobs, err := s.ClaimJobs(t.Context(), "a", "other", time.Minute, 1); err != nil || len(jobs) != 1 {
			t.Errorf("of another kind: %+v, error %v", jobs, err)
		}
	})
	t.Run("no more are claimed than asked for, those first that have waited longest", func(t *testing.T) {
		s := domains(t, opened(t, eng))
		for n := range 7 {
			enqueue(t, s, job(fmt.Sprint("lane", n), n))
			time.Sleep(2 * time.Millisecond) // so that each is due at a time of its own
		}
		var got []string
		for _, n := range []int{0, 3, 2, 10} {
			jobs := claimed(t, s, n)
			if len(jobs) > n {
				t.Errorf("%d of %d", len(jobs), n)
			}
			got = append(got, jobIDs(jobs)...)
		}
		same(t, "claimed", got, []string{"job0", "job1", "job2", "job3", "job4", "job5", "job6"})
	})
	t.Run("of many at once one has a job", func(t *testing.T) { manyClaim(t, eng) })
	t.Run("a retry holds its lane up, a burial does not", func(t *testing.T) { retries(t, eng) })
	t.Run("what ended once stays so, and a repetition is no error", func(t *testing.T) { repeated(t, eng) })
	t.Run("a claim runs out, and its holder is refused", func(t *testing.T) {
		timedDomains(t, eng, func(t *testing.T, s Domains) { claimExpires(t, s, eng) })
	})
	t.Run("a job is not claimed before it is due", func(t *testing.T) { dueJobs(t, eng) })
	t.Run("the dead are revived at the end of their lanes", func(t *testing.T) { revived(t, eng) })
	t.Run("jobs are listed by state, in pages", func(t *testing.T) { jobPages(t, eng) })
	t.Run("there is so much to do", func(t *testing.T) { jobStats(t, eng) })
	t.Run("jobs and claims outlive the process", func(t *testing.T) { jobsStay(t, eng) })
	t.Run("a job has an id, a kind and a lane", func(t *testing.T) {
		s := domains(t, opened(t, eng))
		for _, change := range []func(*store.Job){
			func(j *store.Job) { j.ID = "" }, func(j *store.Job) { j.Kind = "" }, func(j *store.Job) { j.Lane = "" },
			func(j *store.Job) { j.Lane = "a\x00b" },
			func(j *store.Job) { j.Data = json.RawMessage(`{`) }, func(j *store.Job) { j.Due = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC) },
		} {
			j := job("a", 1)
			change(&j)
			if err := s.Enqueue(j).Wait(t.Context()); err == nil {
				t.Errorf("enqueued %+v", j)
			}
		}
		for _, ttl := range []time.Duration{0, -time.Second} {
			if _, err := s.ClaimJobs(t.Context(), "a", hook, ttl, 1); err == nil {
				t.Errorf("claimed for %v", ttl)
			}
		}
	})
	if !eng.RealTime && !eng.Restless {
		t.Run("done jobs and old dead ones are forgotten", func(t *testing.T) { forgotten(t, eng) })
		t.Run("lanes behave as simple queues would", func(t *testing.T) { lanesAsModel(t, eng) })
	}
}

func manyClaim(t *testing.T, eng Engine) {
	s := domains(t, opened(t, eng))
	for n := range 20 {
		s.Enqueue(job(fmt.Sprint("lane", n%10), n))
	}
	enqueue(t, s, job("last", 20))
	var mu sync.Mutex
	var ids []string
	fences := map[int64]bool{}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			jobs, err := s.ClaimJobs(t.Context(), "a", hook, time.Minute, 3)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				t.Errorf("error %v", err)
			}
			for _, j := range jobs {
				fences[j.Fence] = true
			}
			ids = append(ids, jobIDs(jobs)...)
		})
	}
	wg.Wait()
	slices.Sort(ids)
	if len(ids) != 11 || len(slices.Compact(ids)) != 11 || len(fences) != 11 {
		t.Errorf("claimed %v with %d fences", ids, len(fences))
	}
}

func retries(t *testing.T, eng Engine) {
	s := domains(t, opened(t, eng))
	enqueue(t, s, job("a", 1), job("a", 2))
	for try := 1; try <= 3; try++ {
		j := theOne(t, s, "job1")
		if j.Tries != try || (try > 1 && j.Cause != fmt.Sprint("refused ", try-1)) {
			t.Errorf("try %d: %+v", try, j)
		}
		if err := s.RetryJob(t.Context(), j, time.Time{}, fmt.Sprint("refused ", try)); err != nil {
			t.Fatal(err)
		}
	}
	j := theOne(t, s, "job1")
	if err := s.RetryJob(t.Context(), j, time.Now().Add(time.Hour), "refused"); err != nil {
		t.Fatal(err)
	}
	enqueue(t, s, job("b", 3))
	j = theOne(t, s, "job3")
	if err := s.BuryJob(t.Context(), j, "gone"); err != nil {
		t.Fatal(err)
	}
	enqueue(t, s, job("b", 4))
	theOne(t, s, "job4")
	dead, next, err := s.Jobs(t.Context(), store.JobFilter{Kind: hook, State: store.JobDead})
	if err != nil || next != "" || len(dead) != 1 || dead[0].ID != "job3" || dead[0].Cause != "gone" || string(dead[0].Data) != string(job("b", 3).Data) {
		t.Errorf("dead %+v, next %q, error %v", dead, next, err)
	}
}

func repeated(t *testing.T, eng Engine) {
	s := domains(t, opened(t, eng))
	end := map[string]func(store.Job) error{
		"done":  func(j store.Job) error { return s.JobDone(t.Context(), j) },
		"retry": func(j store.Job) error { return s.RetryJob(t.Context(), j, time.Now().Add(time.Hour), "later") },
		"bury":  func(j store.Job) error { return s.BuryJob(t.Context(), j, "gone") },
	}
	for first := range end {
		j := job(first, 1)
		j.ID = first
		enqueue(t, s, j)
		j = theOne(t, s, j.ID)
		if err := end[first](j); err != nil {
			t.Fatal(err)
		}
		for second, f := range end {
			if err := f(j); (second == first) != (err == nil) || (err != nil && !errors.Is(err, store.ErrHeld)) {
				t.Errorf("%s after %s: error %v", second, first, err)
			}
		}
		wrong := j
		wrong.Fence++
		if err := end[first](wrong); !errors.Is(err, store.ErrHeld) {
			t.Errorf("%s with another fence: error %v", first, err)
		}
	}
	unknown := job("unknown", 99)
	for what, f := range end {
		if err := f(unknown); !errors.Is(err, store.ErrHeld) {
			t.Errorf("%s of an unknown job: error %v", what, err)
		}
	}
}

func claimExpires(t *testing.T, s Domains, eng Engine) {
	enqueue(t, s, job("a", 1), job("a", 2))
	jobs, err := s.ClaimJobs(t.Context(), "dead", hook, eng.span(), 10)
	if err != nil || len(jobs) != 1 {
		t.Fatalf("claimed %+v, error %v", jobs, err)
	}
	old := jobs[0]
	if old.Until.IsZero() {
		t.Errorf("claimed without an end: %+v", old)
	}
	eng.pass()
	now := theOne(t, s, "job1")
	if now.Fence <= old.Fence || now.Tries != 2 {
		t.Errorf("%+v follows %+v", now, old)
	}
	for what, err := range map[string]error{
		"done":  s.JobDone(t.Context(), old),
		"retry": s.RetryJob(t.Context(), old, time.Time{}, "late"),
		"bury":  s.BuryJob(t.Context(), old, "late"),
	} {
		if !errors.Is(err, store.ErrHeld) {
			t.Errorf("%s: error %v", what, err)
		}
	}
	done(t, s, now)
	// Late, but before anybody else has the job: what was done need not be done again.
	jobs, err = s.ClaimJobs(t.Context(), "slow", hook, eng.span(), 10)
	if err != nil || len(jobs) != 1 {
		t.Fatalf("claimed %+v, error %v", jobs, err)
	}
	eng.pass()
	done(t, s, jobs[0])
	if more := claimed(t, s, 10); len(more) > 0 {
		t.Errorf("claimed %+v", more)
	}
}

func dueJobs(t *testing.T, eng Engine) {
	timedDomains(t, eng, func(t *testing.T, s Domains) {
		hour := job("a", 1)
		hour.Due = time.Now().Add(time.Hour)
		soon := job("b", 2)
		soon.Due = time.Now().Add(eng.span())
		past := job("c", 3)
		past.Due = start().Add(-50 * 365 * 24 * time.Hour)
		enqueue(t, s, hour, soon, past, job("a", 4))
		first := claimed(t, s, 10)
		eng.pass()
		first = append(first, claimed(t, s, 10)...)
		got := jobIDs(first)
		slices.Sort(got)
		same(t, "claimed", got, []string{"job2", "job3"})
		for _, j := range first {
			if j.ID == "job2" && (j.Due.Before(soon.Due) || j.Due.Sub(soon.Due) > time.Millisecond) {
				t.Errorf("due at %v, want %v", j.Due, soon.Due)
			}
		}
	})
}

func revived(t *testing.T, eng Engine) {
	s := domains(t, opened(t, eng))
	for n := range 3 {
		enqueue(t, s, job("a", n))
		j := theOne(t, s, fmt.Sprint("job", n))
		if err := s.BuryJob(t.Context(), j, "gone"); err != nil {
			t.Fatal(err)
		}
	}
	enqueue(t, s, job("a", 3))
	if err := s.ReviveJob(t.Context(), hook, "job1"); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"job1", "job3", "unknown"} {
		if err := s.ReviveJob(t.Context(), hook, id); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("revive %s: error %v", id, err)
		}
	}
	for kind, want := range map[string]int{"other": 0, hook: 2} {
		if n, err := s.ReviveJobs(t.Context(), kind); err != nil || n != want {
			t.Errorf("revived %d of %s, error %v", n, kind, err)
		}
	}
	for _, id := range []string{"job3", "job1", "job0", "job2"} {
		j := theOne(t, s, id)
		if j.Tries != 1 || (id != "job3" && j.Cause != "gone") {
			t.Errorf("claimed %+v", j)
		}
		done(t, s, j)
	}
}

// theOne claims a job that is the only one there is to claim.
func theOne(t *testing.T, s Domains, id string) store.Job {
	t.Helper()
	jobs := claimed(t, s, 10)
	if len(jobs) != 1 || jobs[0].ID != id {
		t.Fatalf("claimed %v, want %s", jobIDs(jobs), id)
	}
	return jobs[0]
}

// enqueue waits until jobs are stored.
func enqueue(t *testing.T, s Domains, jobs ...store.Job) {
	t.Helper()
	for _, j := range jobs {
		wait(t, s.Enqueue(j))
	}
}

// claimed claims for an hour.
func claimed(t *testing.T, s Domains, limit int) []store.Job {
	t.Helper()
	jobs, err := s.ClaimJobs(t.Context(), "a", hook, time.Hour, limit)
	if err != nil {
		t.Fatal(err)
	}
	return jobs
}

func done(t *testing.T, s Domains, j store.Job) {
	t.Helper()
	if err := s.JobDone(t.Context(), j); err != nil {
		t.Fatal(err)
	}
}

// jobIDs returns the jobs' ids, in their order.
func jobIDs(jobs []store.Job) []string {
	var out []string
	for _, j := range jobs {
		out = append(out, j.ID)
	}
	return out
}
