package storetest

import (
	"context"
	"testing"
	"time"

	"perezvon/internal/store"
)

// Domains is what an engine offers beside the records of calls.
type Domains interface {
	AddCount(ctx context.Context, c store.Counter, n, limit int64) (store.Count, error)
	ReadCount(ctx context.Context, c store.Counter) (store.Count, error)

	Allow(ctx context.Context, scope string, rates ...store.Rate) (store.Verdict, error)
	Pause(ctx context.Context, scope string, until time.Time) error
	Paused(ctx context.Context, scope string) (store.Pause, error)

	AddFailure(ctx context.Context, f store.Failure) (store.Block, error)
	ClearFailures(ctx context.Context, number string) error
	Unblock(ctx context.Context, number string, u store.Unblock) error
	Block(ctx context.Context, number string) (store.Block, error)
	Blocks(ctx context.Context, f store.BlockFilter) (blocks []store.Block, next string, err error)

	Enqueue(j store.Job) *store.Commit
	ClaimJobs(ctx context.Context, owner, kind string, ttl time.Duration, limit int) ([]store.Job, error)
	JobDone(ctx context.Context, j store.Job) error
	RetryJob(ctx context.Context, j store.Job, at time.Time, cause string) error
	BuryJob(ctx context.Context, j store.Job, cause string) error
	Jobs(ctx context.Context, f store.JobFilter) (jobs []store.Job, next string, err error)
	ReviveJob(ctx context.Context, kind, id string) error
	ReviveJobs(ctx context.Context, kind string) (int, error)
	JobStats(ctx context.Context, kind string) (store.JobStats, error)
}

// RunDomains runs the part of the suite that is about Domains.
func RunDomains(t *testing.T, eng Engine) {
	t.Run("counts", func(t *testing.T) { runCounts(t, eng) })
	t.Run("limits", func(t *testing.T) { runLimits(t, eng) })
	t.Run("blocks", func(t *testing.T) { runBlocks(t, eng) })
	t.Run("lanes", func(t *testing.T) { runLanes(t, eng) })
	t.Run("a copy has all of it", func(t *testing.T) { runCopyOfDomains(t, eng) })
	t.Run("a closed store refuses everything", func(t *testing.T) {
		s := eng.Open(t, t.TempDir())
		closed(t, s)
		refused(t, domains(t, s))
	})
}

func domains(t *testing.T, s Store) Domains {
	t.Helper()
	d, ok := s.(Domains)
	if !ok {
		t.Fatalf("%T lacks methods of Domains", s)
	}
	return d
}

// timedDomains is timed for a test of Domains.
func timedDomains(t *testing.T, eng Engine, f func(t *testing.T, s Domains)) {
	t.Helper()
	timed(t, eng, func(t *testing.T, s Store) { f(t, domains(t, s)) })
}
