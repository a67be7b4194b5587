package redis

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"perezvon/internal/store"
)

const (
	// batchLen is how many changes travel at once: enough that the way there
	// and back counts little, few enough that nobody else waits long for it.
	batchLen = 256
	// retention is how long the spool keeps what was shipped. It is sent again
	// when Redis comes up anew, which may have lost its last second.
	retention = time.Minute
	// refusedPause follows a read of the spool that failed.
	refusedPause = time.Second
)

// outbox is what the shipper needs of the spool.
type outbox interface {
	Outbox(ctx context.Context, after int64, limit int) ([]store.Change, error)
	OutboxChanged() <-chan struct{}
	LastOutbox() int64
	TrimOutbox(ctx context.Context, upTo int64, before time.Time) error
}

// carrier takes changes to Redis.
type carrier interface {
	ship(ctx context.Context, node string, batch []store.Change) error
}

// shipper carries the changes of the spool's outbox to Redis, in order and at
// least once: Redis passes over what it has seen.
type shipper struct {
	from outbox
	to   carrier
	link *link
	node string
	log  *slog.Logger

	busy sync.Mutex // held while something is on its way

	mu      sync.Mutex
	shipped int64         // guarded by mu; all up to it is in Redis
	moved   chan struct{} // guarded by mu; closed and renewed when shipped grows
}

func newShipper(from outbox, to carrier, l *link, node string, log *slog.Logger) *shipper {
	return &shipper{
		from: from, to: to, link: l, node: node, log: log,
		moved: make(chan struct{}),
	}
}

// run ships until ctx ends.
func (s *shipper) run(ctx context.Context) {
	trim := time.NewTimer(retention)
	defer trim.Stop()
	waiting, last := true, time.Now() // for trim, since when there was nothing to ship
	for ctx.Err() == nil {
		changed := s.from.OutboxChanged()
		up, link := s.link.state()
		if up {
			shipped, err := s.step(ctx)
			if shipped {
				if last = time.Now(); !waiting {
					waiting = true
					trim.Reset(retention)
				}
				continue
			}
			if err != nil && !errors.Is(err, store.ErrAway) && ctx.Err() == nil {
				s.log.Error("the outbox could not be read", "error", err)
				pause(ctx, refusedPause, nil)
				continue
			}
		}
		select {
		case <-changed:
		case <-link:
		case <-trim.C:
			s.trim(ctx)
			if waiting = time.Since(last) < retention; waiting {
				trim.Reset(retention)
			}
		case <-ctx.Done():
		}
	}
}

// step ships a batch. It reports whether there was one.
func (s *shipper) step(ctx context.Context) (shipped bool, err error) {
	s.busy.Lock()
	defer s.busy.Unlock()
	after, _ := s.place()
	last := s.from.LastOutbox() // what is committed by now the next read finds
	// A read of the spool is short. One that is broken off is not over when it
	// returns, and would keep the file open.
	batch, err := s.from.Outbox(context.WithoutCancel(ctx), after, batchLen)
	if err != nil {
		return false, err
	}
	if len(batch) == 0 {
		s.advance(last)
		return false, nil
	}
	if err := s.carry(ctx, batch); err != nil {
		return false, err
	}
	s.advance(batch[len(batch)-1].Seq)
	return true, nil
}

// carry takes a batch to Redis. A change that Redis refuses for its own sake is
// left out, loudly, so that it does not keep the others.
func (s *shipper) carry(ctx context.Context, batch []store.Change) error {
	err := s.send(ctx, batch)
	if err == nil || errors.Is(err, store.ErrAway) || ctx.Err() != nil {
		return err
	}
	for i := range batch {
		switch err := s.send(ctx, batch[i:i+1]); {
		case err == nil:
		case errors.Is(err, store.ErrAway) || ctx.Err() != nil:
			return err
		default:
			s.log.Error("redis refuses a record; this node keeps it alone", "type", string(batch[i].Type), "id", batch[i].ID, "error", err)
		}
	}
	return nil
}

func (s *shipper) send(ctx context.Context, batch []store.Change) error {
	return s.link.ask(ctx, shipLimit, func(ctx context.Context) error { return s.to.ship(ctx, s.node, batch) })
}

// advance notes that everything up to seq is in Redis.
func (s *shipper) advance(seq int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if seq <= s.shipped {
		return
	}
	s.shipped = seq
	close(s.moved)
	s.moved = make(chan struct{})
}

// anew runs f while nothing is on its way, and where that succeeds has all that
// the outbox holds sent again.
func (s *shipper) anew(f func() error) error {
	s.busy.Lock()
	defer s.busy.Unlock()
	if err := f(); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.shipped = 0
	return nil
}

// place returns up to where everything is in Redis; moved is closed when that
// changes.
func (s *shipper) place() (seq int64, moved <-chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.shipped, s.moved
}

// wait returns nil when everything that the spool had committed before is in
// Redis, store.ErrAway when Redis is away, errSlow after limit.
func (s *shipper) wait(ctx context.Context, limit time.Duration) error {
	return s.await(ctx, limit, limit)
}

// await is wait that gives up with errSlow when nothing has got to Redis for
// idle, too.
func (s *shipper) await(ctx context.Context, idle, limit time.Duration) error {
	target := s.from.LastOutbox()
	if seq, _ := s.place(); seq >= target {
		return nil
	}
	still, timer := time.NewTimer(idle*s.link.patience), time.NewTimer(limit*s.link.patience)
	defer still.Stop()
	defer timer.Stop()
	for {
		up, link := s.link.state()
		if !up {
			return store.ErrAway
		}
		seq, moved := s.place()
		if seq >= target {
			return nil
		}
		select {
		case <-moved:
			still.Reset(idle)
		case <-link:
		case <-still.C:
			return errSlow
		case <-timer.C:
			return errSlow
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// trim forgets what was shipped long enough ago.
func (s *shipper) trim(ctx context.Context) {
	seq, _ := s.place()
	if err := s.from.TrimOutbox(ctx, seq, time.Now().Add(-retention)); err != nil && ctx.Err() == nil {
		s.log.Warn("what was shipped could not be cleared from the outbox", "error", err)
	}
}
