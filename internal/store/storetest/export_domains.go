package storetest

import (
	"errors"
	"testing"
	"time"

	"perezvon/internal/store"
)

func runCopyOfDomains(t *testing.T, eng Engine) {
	from := domains(t, opened(t, eng))
	fillDomains(t, from)
	dir := t.TempDir()
	s := porter(t, eng.Open(t, dir))
	original, now := porter(t, from.(Store)), time.Now()
	imported(t, s, exported(t, original), 2)
	sameTally(t, original, s, now)
	closed(t, s)
	copied := eng.Open(t, dir)
	defer closed(t, copied)
	to := domains(t, copied)
	same(t, "domains", readDomains(t, to), readDomains(t, from))

	rate := store.Rate{Name: "second", Every: 24 * time.Hour, Burst: 1, Cost: 1}
	if v, err := to.Allow(t.Context(), "portal", rate); err != nil || v.Allowed {
		t.Errorf("a rate that is used up: allowed %v, error %v", v.Allowed, err)
	}
	// The lane goes on where it was.
	if jobs, err := to.ClaimJobs(t.Context(), "b", "kind", time.Minute, 10); err != nil || len(jobs) != 0 {
		t.Errorf("claimed are %+v, error %v", jobs, err)
	}
	claimed, _, err := to.Jobs(t.Context(), store.JobFilter{Kind: "kind", State: store.JobClaimed})
	if err != nil || len(claimed) != 1 {
		t.Fatalf("claimed were %+v, error %v", claimed, err)
	}
	if err := to.JobDone(t.Context(), claimed[0]); err != nil {
		t.Error(err)
	}
	jobs, err := to.ClaimJobs(t.Context(), "b", "kind", time.Minute, 10)
	if err != nil || len(jobs) != 1 || jobs[0].ID != "2" || jobs[0].Fence <= claimed[0].Fence {
		t.Errorf("then claimed are %+v, error %v", jobs, err)
	}
}

// fillDomains leaves a claimed and two waiting jobs in one lane, a dead one and
// one that is done.
func fillDomains(t *testing.T, s Domains) {
	t.Helper()
	now := time.Now()
	var err error
	try := func(e error) { err = errors.Join(err, e) }
	add := func(n int64) {
		_, e := s.AddCount(t.Context(), store.Counter{Name: "trunk", Until: now.Add(2 * time.Hour)}, n, 100)
		try(e)
	}
	add(7)
	add(5)
	_, e := s.Allow(t.Context(), "portal", store.Rate{Name: "second", Every: 24 * time.Hour, Burst: 1, Cost: 1})
	try(e)
	try(s.Pause(t.Context(), "other portal", now.Add(2*time.Hour)))
	for _, number := range []string{"+71", "+72", "+73"} {
		_, e := s.AddFailure(t.Context(), store.Failure{Number: number, At: start(), Reason: "no answer", Limit: 1})
		try(e)
	}
	try(s.Unblock(t.Context(), "+72", store.Unblock{By: "anna", Reason: "it is right", At: start()}))
	for _, j := range []store.Job{
		{ID: "dead", Lane: "b"}, {ID: "done", Lane: "c"}, {ID: "1", Lane: "a"},
	} {
		j.Kind, j.Data = "kind", []byte(`{"x":1}`)
		wait(t, s.Enqueue(j))
	}
	for range 3 {
		jobs, e := s.ClaimJobs(t.Context(), "a", "kind", time.Hour, 1)
		try(e)
		for _, j := range jobs {
			switch j.ID {
			case "dead":
				try(s.BuryJob(t.Context(), j, "nobody wants it"))
			case "done":
				try(s.JobDone(t.Context(), j))
			}
		}
	}
	wait(t, s.Enqueue(store.Job{ID: "2", Kind: "kind", Lane: "a"}))
	wait(t, s.Enqueue(store.Job{ID: "3", Kind: "kind", Lane: "a", Due: now.Add(time.Hour)}))
	if err != nil {
		t.Fatal(err)
	}
}

// allDomains is what can be read of Domains.
type allDomains struct {
	Total  int64
	Paused time.Time
	Blocks []store.Block
	Known  store.Block // of a number that is not blocked any more
	Jobs   map[store.JobState][]store.Job
}

func readDomains(t *testing.T, s Domains) allDomains {
	t.Helper()
	all := allDomains{Jobs: map[store.JobState][]store.Job{}}
	var err error
	try := func(e error) { err = errors.Join(err, e) }
	pause, e := s.Paused(t.Context(), "other portal")
	try(e)
	all.Paused = pause.Until
	count, e := s.ReadCount(t.Context(), store.Counter{Name: "trunk", Until: all.Paused})
	try(e)
	if all.Total = count.Total; all.Total != 12 {
		t.Errorf("the count is %d", all.Total)
	}
	all.Blocks, _, e = s.Blocks(t.Context(), store.BlockFilter{})
	try(e)
	all.Known, e = s.Block(t.Context(), "+72")
	try(e)
	for state, want := range map[store.JobState]int{store.JobWaiting: 2, store.JobClaimed: 1, store.JobDead: 1, store.JobDone: 1} {
		all.Jobs[state], _, e = s.Jobs(t.Context(), store.JobFilter{Kind: "kind", State: state})
		try(e)
		if len(all.Jobs[state]) != want {
			t.Errorf("%d jobs are %s", len(all.Jobs[state]), state)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return all
}
