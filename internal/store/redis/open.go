package redis

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"perezvon/internal/store"
	"perezvon/internal/store/sqlite"
)

// openLimit is how long Open waits for Redis; adoptLimit how long for what it
// has to tell of calls.
const (
	openLimit  = 10 * time.Second
	adoptLimit = time.Minute
)

// Open opens the spool at opts.Spool and joins the Redis at opts.URL. A Redis
// that cannot be used, or that another server uses, is refused with what to do
// about it. One that does not answer is refused only if the spool is new, since
// nobody knows then what there is in Redis; otherwise the engine begins without
// it.
func Open(ctx context.Context, opts Options) (*DB, error) {
	log := opts.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	r, err := dial(opts)
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	d, err := open(ctx, opts.Spool, r, log, opts.patience)
	if err != nil {
		return nil, errors.Join(err, r.close())
	}
	return d, nil
}

// open is Open on a Redis of any kind, which it does not close after an error.
func open(ctx context.Context, path string, r sharedStore, log *slog.Logger, patience int) (*DB, error) {
	spool, err := sqlite.Open(ctx, path, sqlite.Options{Logger: log, Outbox: true})
	if err != nil {
		return nil, err
	}
	d := &DB{log: log, spool: spool, remote: r, link: newLink(log), grown: store.NewBell(), told: make(map[string]bool)}
	d.link.patience = time.Duration(max(1, patience))
	if err := d.begin(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open store: %w", err), spool.Close())
	}
	return d, nil
}

// begin makes the node known to Redis and starts what goes on behind.
func (d *DB) begin(ctx context.Context) (err error) {
	if d.node, err = d.spool.NodeID(ctx); err != nil {
		return err
	}
	d.me = self(d.node)
	d.shipper = newShipper(d.spool, d.remote, d.link, d.node, d.log)
	d.remote.onClash(d.clashed)
	if err := d.join(ctx); err != nil {
		return err
	}
	running, end := context.WithCancel(context.Background())
	d.end = end
	d.wg.Go(func() { d.shipper.run(running) })
	d.wg.Go(func() { d.link.keep(running, d.meet, d.look) })
	d.wg.Go(func() { d.watch(running) })
	return nil
}

// join meets Redis for the first time.
func (d *DB) join(ctx context.Context) error {
	err := outwait(ctx, d.log, func() error {
		ctx, cancel := context.WithTimeout(ctx, openLimit)
		defer cancel()
		return d.greet(ctx)
	})
	switch {
	case err == nil:
		d.link.restore()
		return nil
	case ctx.Err() != nil || !ofTheLink(err) || errors.Is(err, errUnfit):
		return err
	case d.spool.Fresh():
		return fmt.Errorf("redis does not answer, and this data folder is new: nobody knows whether calls are in progress there; start again when it answers: %w", err)
	}
	d.link.fail(err)
	d.log.Error("redis does not answer; the service begins with what this node knows, and joins it later", "error", err)
	return nil
}

// greet is meet, with what a start has to do besides.
func (d *DB) greet(ctx context.Context) error {
	before, err := d.introduce(ctx)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), adoptLimit)
	defer cancel()
	if fresh := d.spool.Fresh(); before.Served == "" || fresh {
		if err := d.resend(ctx, !fresh); err != nil {
			return err
		}
	}
	restored, err := d.restored(ctx)
	if err != nil {
		return err
	}
	if restored || before.Served != d.node {
		if err := d.adopt(ctx); err != nil {
			return err
		}
		if err := d.remote.served(ctx, d.node); err != nil {
			return err
		}
	}
	d.seen, err = d.remote.lastEvent(ctx)
	return err
}

// restored reports whether the spool is older than what Redis has of it, as one
// from a backup is, and has it go on behind that: Redis would pass over what
// comes under numbers that it knows.
func (d *DB) restored(ctx context.Context) (bool, error) {
	seen, err := d.remote.applied(ctx, d.node)
	if err != nil || seen <= d.spool.LastOutbox() {
		return false, err
	}
	d.log.Warn("redis knows more of this node than the file in its data folder, which must be from a backup", "file", d.spool.LastOutbox(), "redis", seen)
	return true, d.spool.RaiseOutbox(ctx, seen)
}

// meet looks whether Redis is there again and in order, as after an outage.
func (d *DB) meet(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, probeLimit*d.link.patience, errSlow)
	defer cancel()
	before, err := d.introduce(ctx)
	if err != nil {
		return err
	}
	if err := d.recall(ctx, before); err != nil {
		return err
	}
	if err := d.settleDebts(ctx); err != nil {
		return err
	}
	return d.remote.ready(ctx)
}

// look sees to it, while the link is up, that Redis is the one that was met and
// still knows this node.
func (d *DB) look(ctx context.Context) error {
	return d.link.ask(ctx, probeLimit, func(ctx context.Context) error {
		info, problems, err := d.remote.check(ctx)
		if err != nil {
			return err
		}
		if info.RunID != d.runID {
			return errReopened
		}
		if err := d.judge(problems); err != nil {
			return err
		}
		before, err := d.remote.claim(ctx, d.me)
		if err != nil {
			return err
		}
		return d.recall(ctx, before)
	})
}

// introduce checks Redis and claims its use. Where it was started anew, all that
// the outbox holds is sent again: it may have lost its last second. Nothing is
// on its way there meanwhile, for what comes out of order is passed over.
func (d *DB) introduce(ctx context.Context) (claim, error) {
	info, problems, err := d.remote.check(ctx)
	if err != nil {
		return claim{}, err
	}
	if err := d.judge(problems); err != nil {
		return claim{}, err
	}
	if info.RunID != d.runID {
		if err := d.shipper.anew(func() error { return d.remote.reopened(ctx, info.RunID) }); err != nil {
			return claim{}, err
		}
		d.runID = info.RunID
	}
	return d.remote.claim(ctx, d.me)
}

// recall compares what Redis remembers of its use with what this node does.
func (d *DB) recall(ctx context.Context, before claim) error {
	switch before.Served {
	case d.node:
		return nil
	case "":
		err := d.resend(ctx, true)
		d.log.Error("redis has lost what was in it, or is another one; what this node still has is sent there again")
		if err != nil {
			return err
		}
	default:
		if d.stranger != before.Served {
			d.log.Error("another server has used this redis meanwhile; calls that it left open are taken over at the next start", "node", before.Served)
		}
		d.stranger = before.Served
		return nil
	}
	return d.remote.served(ctx, d.node)
}

// judge tells of what is wrong with a Redis, each thing once, and refuses one
// that cannot be used.
func (d *DB) judge(problems []Problem) error {
	for _, p := range problems {
		if p.Fatal {
			return fmt.Errorf("%w: %s", errUnfit, p.Text)
		}
		if !d.told[p.Text] {
			d.log.Warn("redis is not as it should be", "problem", p.Text)
		}
		d.told[p.Text] = true
	}
	return nil
}

// Close commits what is queued, gives it a moment to get to Redis, and closes
// the spool. It is idempotent; later calls of other methods give
// store.ErrClosed.
func (d *DB) Close() error {
	d.once.Do(func() {
		d.closed.Store(true)
		ctx := context.Background()
		_ = d.spool.Ping(ctx) // behind what is queued; Close tells of the disk's troubles
		if err := d.shipper.wait(ctx, closeLimit); err != nil {
			d.log.Warn("what this node has for redis is sent at the next start", "error", err)
		}
		d.end()
		d.wg.Wait()
		if err := d.link.ask(ctx, callLimit, func(ctx context.Context) error { return d.remote.leave(ctx, d.node) }); err != nil {
			d.log.Warn("redis was not told that this server ends", "error", err)
		}
		d.err = errors.Join(d.remote.close(), d.spool.Close())
	})
	return d.err
}

// closeLimit is how long Close waits for the shipper.
const closeLimit = 3 * time.Second

// Health is how the engine stands with Redis.
type Health struct {
	Up           bool      // Redis answers
	Since        time.Time // since when Up is as it is
	Backlog      int64     // changes that are still to be sent
	OldestUnsent time.Time // when the first of them was made; zero: there are none
	LastError    string    // why Redis was away the last time; empty: it never was
}

// Health tells how the engine stands with Redis. The error is about the spool.
func (d *DB) Health(ctx context.Context) (Health, error) {
	var h Health
	var why error
	if h.Up, h.Since, why = d.link.health(); why != nil {
		h.LastError = why.Error()
	}
	seq, _ := d.shipper.place()
	s, err := d.spool.OutboxStats(ctx, seq)
	h.Backlog, h.OldestUnsent = s.Rows, s.Oldest
	return h, err
}
