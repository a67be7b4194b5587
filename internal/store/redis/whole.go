package redis

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/google/uuid"

	"perezvon/internal/store"
)

// Whole is a store in Redis as a whole, without a node's own file in front of
// it: it can be copied, and filled where it is empty. One goroutine uses it.
type Whole struct {
	remote    *remote
	me        holder
	importing bool

	end context.CancelFunc // nil: it is only read
	wg  sync.WaitGroup

	mu   sync.Mutex
	lost error // guarded by mu; the right to use Redis was lost
}

// Where tells where a URL of Options leads, for people: without user and
// password, which are in no error either.
func Where(url string) (string, error) {
	t, err := parseURL(url)
	if err != nil {
		return "", err
	}
	return t.where, nil
}

// OpenWhole opens the Redis at opts.URL, which no server uses until Close; while
// one does it is an error that names it. opts.Spool is not used. To fill one is
// the same as to have served it: the next server takes over what is in progress
// there, into a new file of its own.
func OpenWhole(ctx context.Context, opts Options) (*Whole, error) { return openWhole(ctx, opts, true) }

// OpenToRead opens the Redis at opts.URL for Export alone, whether a server uses
// it or not.
func OpenToRead(ctx context.Context, opts Options) (*Whole, error) {
	return openWhole(ctx, opts, false)
}

func openWhole(ctx context.Context, opts Options, alone bool) (*Whole, error) {
	r, err := dial(opts)
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	id := uuid.New()
	w := &Whole{remote: r, me: self(fmt.Sprintf("%x", id[:]))}
	if err := w.begin(ctx, alone); err != nil {
		return nil, errors.Join(fmt.Errorf("open store: %w", err), r.close())
	}
	return w, nil
}

func (w *Whole) begin(ctx context.Context, alone bool) error {
	ctx, cancel := context.WithTimeoutCause(ctx, openLimit, errSlow)
	defer cancel()
	info, problems, err := w.remote.check(ctx)
	if err != nil {
		return err
	}
	for _, p := range problems {
		if p.Fatal {
			return fmt.Errorf("%w: %s", errUnfit, p.Text)
		}
	}
	if err := w.remote.reopened(ctx, info.RunID); err != nil || !alone {
		return err
	}
	if _, err := w.remote.claim(ctx, w.me); err != nil {
		return err
	}
	running, end := context.WithCancel(context.Background())
	w.end = end
	w.wg.Go(func() { w.renew(running) })
	return nil
}

// renew keeps the right to use Redis until ctx ends or the right is lost.
func (w *Whole) renew(ctx context.Context) {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		if _, err := w.remote.claim(ctx, w.me); errors.Is(err, errUnfit) {
			w.mu.Lock()
			w.lost = err
			w.mu.Unlock()
			return
		}
	}
}

// ours is an error where somebody else uses Redis by now.
func (w *Whole) ours() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.lost
}

// Export yields everything that is in Redis, see sqlite.DB.Export; what changes
// meanwhile may be among it or not.
func (w *Whole) Export(ctx context.Context, yield func(store.Change) error) error {
	return w.remote.export(ctx, func(ch store.Change) error {
		if err := w.ours(); err != nil {
			return err
		}
		return yield(ch)
	})
}

// LastFence returns the greatest fence that is known to have been given, 0 where
// none is. The counter of fences that Export yields is the clock, which goes on
// while nothing is given.
func (w *Whole) LastFence(ctx context.Context) (int64, error) {
	fence, err := w.remote.lastFence(ctx)
	if err != nil {
		return 0, fmt.Errorf("read the last fence: %w", err)
	}
	return fence, nil
}

// Import stores a part of what an engine has exported, events with the ids that
// they had. The first part, and one with nothing in it, is store.ErrNotEmpty
// where Redis holds anything of ours.
func (w *Whole) Import(ctx context.Context, batch []store.Change) error {
	if err := w.ours(); err != nil {
		return fmt.Errorf("import: %w", err)
	}
	if w.end == nil {
		return errors.New("import: redis was opened to be read")
	}
	if !w.importing || len(batch) == 0 {
		empty, err := w.remote.empty(ctx)
		if err == nil && !empty {
			err = store.ErrNotEmpty
		}
		if err == nil {
			err = w.remote.served(ctx, w.me.Node)
		}
		if err != nil {
			return fmt.Errorf("import: %w", err)
		}
		w.importing = true
	}
	if _, err := ofNodes(batch); err != nil {
		return fmt.Errorf("import: %w", err)
	}
	return w.remote.importAll(ctx, batch)
}

// Close lets servers use Redis again. It is idempotent.
func (w *Whole) Close() error {
	if w.end != nil {
		w.end()
		w.wg.Wait()
		ctx, cancel := context.WithTimeout(context.Background(), callLimit)
		defer cancel()
		_ = w.remote.leave(ctx, w.me.Node) // otherwise it runs out
	}
	return w.remote.close()
}
