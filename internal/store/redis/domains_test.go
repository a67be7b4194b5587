package redis

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"perezvon/internal/store"
	"perezvon/internal/store/redis/redistest"
	"perezvon/internal/store/storetest"
)

// direct is a store that has domains only and asks Redis for everything at
// once, as a node would whose changes are shipped in no time.
type direct struct {
	storetest.Store
	*remote

	fake *redistest.Fake // closed with it; nil: it stays

	mu  sync.Mutex
	seq int64 // guarded by mu
}

func (d *direct) Close() error {
	err := d.remote.close()
	if d.fake != nil {
		d.fake.Close()
		d.fake = nil
	}
	return err
}

func (d *direct) shipped(ctx context.Context, t store.ChangeType, id string, record any) error {
	data, err := json.Marshal(record)
	if err != nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.seq++
	// Twice, as after an answer that was lost.
	change := store.Change{Seq: time.Now().UnixMicro() + d.seq, Type: t, ID: id, Data: data}
	for range 2 {
		if err := d.ship(ctx, "node", []store.Change{change}); err != nil {
			return err
		}
	}
	return nil
}

func (d *direct) AddCount(ctx context.Context, c store.Counter, n, limit int64) (store.Count, error) {
	return d.addCount(ctx, c, n, limit, fmt.Sprint(time.Now().UnixNano(), n))
}

func (d *direct) ReadCount(ctx context.Context, c store.Counter) (store.Count, error) {
	return d.readCount(ctx, c)
}

func (d *direct) Allow(ctx context.Context, scope string, rates ...store.Rate) (store.Verdict, error) {
	return d.allow(ctx, scope, rates)
}

func (d *direct) Pause(ctx context.Context, scope string, until time.Time) error {
	if err := store.CheckRates(scope, nil); err != nil {
		return err
	}
	if err := d.shipped(ctx, store.ChangePause, scope, store.PauseUntil{Until: until}); err != nil {
		return err
	}
	return d.pause(ctx, scope, until)
}

func (d *direct) Paused(ctx context.Context, scope string) (store.Pause, error) {
	return d.paused(ctx, scope)
}

func (d *direct) AddFailure(ctx context.Context, f store.Failure) (store.Block, error) {
	if err := f.Check(); err != nil {
		return store.Block{}, err
	}
	step := store.BlockStep{Op: store.BlockFailed, At: f.At, Reason: f.Reason, Limit: f.Limit}
	if err := d.shipped(ctx, store.ChangeBlockStep, f.Number, step); err != nil {
		return store.Block{}, err
	}
	return d.block(ctx, f.Number)
}

func (d *direct) ClearFailures(ctx context.Context, number string) error {
	return d.shipped(ctx, store.ChangeBlockStep, number, store.BlockStep{Op: store.BlockReached})
}

func (d *direct) Unblock(ctx context.Context, number string, u store.Unblock) error {
	return d.unblock(ctx, number, u)
}

func (d *direct) Block(ctx context.Context, number string) (store.Block, error) {
	return d.block(ctx, number)
}

func (d *direct) Blocks(ctx context.Context, f store.BlockFilter) ([]store.Block, string, error) {
	return d.blocks(ctx, f)
}

func (d *direct) Enqueue(j store.Job) *store.Commit {
	if err := j.Check(); err != nil {
		return store.Settled(err)
	}
	j.At = time.Now()
	return store.Settled(d.shipped(context.Background(), store.ChangeJob, store.JobID(j.Kind, j.ID), j))
}

func (d *direct) ClaimJobs(ctx context.Context, owner, kind string, ttl time.Duration, limit int) ([]store.Job, error) {
	return d.claimJobs(ctx, owner, kind, ttl, limit)
}

func (d *direct) JobDone(ctx context.Context, j store.Job) error {
	return d.finishJob(ctx, j, store.JobDone, "", time.Time{})
}

func (d *direct) RetryJob(ctx context.Context, j store.Job, at time.Time, cause string) error {
	return d.finishJob(ctx, j, store.JobWaiting, cause, at)
}

func (d *direct) BuryJob(ctx context.Context, j store.Job, cause string) error {
	return d.finishJob(ctx, j, store.JobDead, cause, time.Time{})
}

func (d *direct) Jobs(ctx context.Context, f store.JobFilter) ([]store.Job, string, error) {
	return d.jobs(ctx, f)
}

func (d *direct) ReviveJob(ctx context.Context, kind, id string) error {
	return d.reviveJob(ctx, kind, id)
}

func (d *direct) ReviveJobs(ctx context.Context, kind string) (int, error) {
	n, _, err := d.reviveSome(ctx, kind, "")
	return n, err
}

func (d *direct) JobStats(ctx context.Context, kind string) (store.JobStats, error) {
	return d.jobStats(ctx, kind)
}

func (d *direct) Prune(ctx context.Context) error {
	_, err := d.pruneJobs(ctx)
	return err
}

func (d *direct) Export(ctx context.Context, yield func(store.Change) error) error {
	return d.exportDomains(ctx, yield)
}

func (d *direct) Import(ctx context.Context, batch []store.Change) error {
	return d.ship(ctx, "", batch)
}

func TestDomainsOfARedisInMemory(t *testing.T) {
	t.Parallel()
	fakes := make(map[string]*redistest.Fake)
	storetest.RunDomains(t, storetest.Engine{Open: func(t *testing.T, dir string) storetest.Store {
		t.Helper()
		if time.Now().Year() == 2000 { // in a bubble, which nothing outlives
			fake := redistest.NewFake()
			return &direct{remote: onFake(t, fake), fake: fake}
		}
		if fakes[dir] == nil {
			fakes[dir] = newFake(t)
		}
		return &direct{remote: onFake(t, fakes[dir])}
	}})
}

func TestDomainsOfARedisServer(t *testing.T) {
	t.Parallel()
	databases := make(map[string]string)
	storetest.RunDomains(t, storetest.Engine{RealTime: true, Open: func(t *testing.T, dir string) storetest.Store {
		t.Helper()
		if databases[dir] == "" {
			databases[dir] = shared.URL(int(shared.databases.Add(1)))
		}
		return &direct{remote: connected(t, databases[dir], shared.Dial)}
	}})
}

func TestAStepOfACountThatIsShippedAfterItWasAskedForCountsOnce(t *testing.T) {
	both(t, func(t *testing.T, r *remote) {
		day := store.Counter{Name: "minutes", Until: time.Now().Add(time.Hour)}
		for range 2 { // as if the answer had been lost
			if c, err := r.addCount(t.Context(), day, 7, 10, "step"); err != nil || c.Total != 7 {
				t.Fatalf("%+v, error %v", c, err)
			}
		}
		ship := func(seq, n int64, id string) {
			t.Helper()
			data, err := json.Marshal(store.CountStep{Until: day.Until.UnixMilli(), N: n, ID: id})
			if err != nil {
				t.Fatal(err)
			}
			if err := r.ship(t.Context(), "node", []store.Change{{Seq: seq, Type: store.ChangeCountStep, ID: day.Name, Data: data}}); err != nil {
				t.Fatal(err)
			}
		}
		ship(1, 7, "step")
		ship(2, 8, "another") // was allowed while Redis was away
		ship(2, 8, "another")
		if c, err := r.addCount(t.Context(), day, 1, 10, ""); !errors.Is(err, store.ErrExceeded) || c.Total != 15 {
			t.Errorf("%+v, error %v", c, err)
		}
	})
}

func TestWhoseAnswerWasLostHasNotTakenTwice(t *testing.T) {
	both(t, func(t *testing.T, r *remote) {
		args := []any{"take", "token", "rate", int64(time.Hour / time.Microsecond), int64(2 * time.Hour / time.Microsecond)}
		for range 3 {
			if answer, err := r.run(t.Context(), "rate", rateSlot("portal"), args...).Slice(); err != nil || answer[0] != int64(1) {
				t.Fatalf("%v, error %v", answer, err)
			}
		}
		rate := store.Rate{Name: "rate", Every: time.Hour, Burst: 2, Cost: 1}
		for n := range 2 {
			if v, err := r.allow(t.Context(), "portal", []store.Rate{rate}); err != nil || v.Allowed != (n == 0) {
				t.Errorf("%+v, error %v", v, err)
			}
		}

		job := addJob(store.Job{ID: "j", Kind: "k", Lane: "l", At: time.Now()}, "node", 1)
		if _, err := r.runAll(t.Context(), []step{job}); err != nil {
			t.Fatal(err)
		}
		claim := func() string {
			t.Helper()
			answer, err := r.run(t.Context(), "jobs", jobSlot("k"), "claim", "a", 60000, 1, "token").Slice()
			if err != nil || len(answer) != 1 {
				t.Fatalf("%v, error %v", answer, err)
			}
			return fmt.Sprint(answer)
		}
		if first, second := claim(), claim(); first != second {
			t.Errorf("claimed %s, then %s", first, second)
		}

		f := store.BlockStep{Op: store.BlockFailed, At: start(), Limit: 1}
		if _, err := r.runAll(t.Context(), []step{{"block", blocksSlot, blockArgs("+7", f, "node", 1)}}); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if err := r.unblock(t.Context(), "+7", store.Unblock{By: "anna", At: start()}); err != nil {
				t.Error(err)
			}
		}
		if err := r.unblock(t.Context(), "+7", store.Unblock{By: "boris", At: start()}); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("error %v", err)
		}
	})
}
