package storetest

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"perezvon/internal/store"
)

// modelJob is a job of the model.
type modelJob struct {
	id      string
	due     time.Time // the first is not claimed before
	until   time.Time // of its claim; zero: nobody has one
	holder  int64     // fence of the last claim
	claimed bool
}

// model is what lanes must be like: queues of which the first may be taken.
type model struct {
	lanes map[string][]*modelJob
	dead  []*modelJob
	of    map[string]string // the lane of each job there ever was
}

// claimable says which jobs a claim gives that is not limited.
func (m *model) claimable(now time.Time) (ids []string) {
	for _, queue := range m.lanes {
		if len(queue) > 0 && !queue[0].due.After(now) && (!queue[0].claimed || !queue[0].until.After(now)) {
			ids = append(ids, queue[0].id)
		}
	}
	slices.Sort(ids)
	return ids
}

// held returns the job that is claimed under a fence.
func (m *model) held(id string, fence int64) *modelJob {
	queue := m.lanes[m.of[id]]
	if len(queue) == 0 || queue[0].id != id || !queue[0].claimed || queue[0].holder != fence {
		return nil
	}
	return queue[0]
}

// lanesAsModel does anything in any order and holds the engine against the
// model.
func lanesAsModel(t *testing.T, eng Engine) {
	type step struct{ what, lane, which, span int }
	dir, round := t.TempDir(), 0
	rapid.Check(t, func(rt *rapid.T) {
		round++
		steps := rapid.SliceOfN(rapid.Custom(func(rt *rapid.T) step {
			return step{
				what: rapid.IntRange(0, 8).Draw(rt, "what"), lane: rapid.IntRange(0, 2).Draw(rt, "lane"),
				which: rapid.IntRange(0, 5).Draw(rt, "which"), span: rapid.IntRange(0, 3).Draw(rt, "span"),
			}
		}), 1, 40).Draw(rt, "steps")
		var wrong error
		synctest.Test(t, func(t *testing.T) {
			s := eng.Open(t, dir)
			defer closed(t, s)
			run := &laneRun{t: t, s: domains(t, s), kind: fmt.Sprint("kind", round), m: model{lanes: map[string][]*modelJob{}, of: map[string]string{}}}
			for i, st := range steps {
				if err := run.step(st.what, fmt.Sprint("lane", st.lane), st.which, time.Duration(st.span)*time.Second); err != nil {
					wrong = fmt.Errorf("step %d of %v: %w", i, steps, err)
					return
				}
			}
		})
		if wrong != nil {
			rt.Fatal(wrong)
		}
	})
}

// laneRun is an engine beside its model.
type laneRun struct {
	t      *testing.T
	s      Domains
	m      model
	kind   string
	claims []store.Job // of all time
	fence  int64       // the greatest
}

func (r *laneRun) step(what int, lane string, which int, span time.Duration) error {
	now := time.Now()
	switch what {
	case 0, 1:
		j := store.Job{ID: fmt.Sprint(len(r.m.of)), Kind: r.kind, Lane: lane}
		mj := &modelJob{id: j.ID}
		if what == 1 {
			mj.due = now.Add(span)
			j.Due = mj.due
		}
		r.m.of[j.ID], r.m.lanes[lane] = lane, append(r.m.lanes[lane], mj)
		return r.s.Enqueue(j).Wait(r.t.Context())
	case 2, 3:
		return r.claim(now, which, span+time.Second)
	case 4, 5, 6:
		if len(r.claims) == 0 {
			return nil
		}
		return r.finish(what, r.claims[max(0, len(r.claims)-1-which)], now.Add(span))
	case 7:
		return r.revive()
	default:
		time.Sleep(span)
		return nil
	}
}

func (r *laneRun) claim(now time.Time, limit int, ttl time.Duration) error {
	want := r.m.claimable(now)
	jobs, err := r.s.ClaimJobs(r.t.Context(), "a", r.kind, ttl, limit)
	if err != nil {
		return err
	}
	if len(jobs) != min(limit, len(want)) {
		return fmt.Errorf("claimed %v of %v", jobIDs(jobs), want)
	}
	for _, j := range jobs {
		if !slices.Contains(want, j.ID) || j.Fence <= r.fence {
			return fmt.Errorf("claimed %+v of %v, the last fence was %d", j, want, r.fence)
		}
		mj := r.m.lanes[j.Lane][0]
		mj.claimed, mj.until, mj.holder = true, now.Add(ttl), j.Fence
		r.fence = j.Fence
	}
	r.claims = append(r.claims, jobs...)
	return nil
}

func (r *laneRun) finish(what int, j store.Job, at time.Time) error {
	ctx := r.t.Context()
	held := r.m.held(j.ID, j.Fence)
	var err error
	switch what {
	case 4:
		err = r.s.JobDone(ctx, j)
	case 5:
		err = r.s.RetryJob(ctx, j, at, "cause")
	default:
		err = r.s.BuryJob(ctx, j, "cause")
	}
	if held == nil {
		// A repetition of what ended the claim is no error; that it changes
		// nothing is seen in what is claimed later.
		if err != nil && !errors.Is(err, store.ErrHeld) {
			return err
		}
		return nil
	}
	if err != nil {
		return fmt.Errorf("of %+v: %w", j, err)
	}
	held.claimed = false
	switch what {
	case 5:
		held.due = at
		return nil
	case 6:
		r.m.dead = append(r.m.dead, held)
	}
	r.m.lanes[j.Lane] = r.m.lanes[j.Lane][1:]
	return nil
}

// revive revives all that are dead: their order is that in which they joined
// their lanes, which within a lane is that in which they were given up.
func (r *laneRun) revive() error {
	n, err := r.s.ReviveJobs(r.t.Context(), r.kind)
	if err != nil || n != len(r.m.dead) {
		return fmt.Errorf("revived %d of %d, error %w", n, len(r.m.dead), err)
	}
	for _, mj := range r.m.dead {
		lane := r.m.of[mj.id]
		mj.due = time.Time{}
		r.m.lanes[lane] = append(r.m.lanes[lane], mj)
	}
	r.m.dead = nil
	return nil
}
