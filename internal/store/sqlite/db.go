// Package sqlite keeps the records of package store in one SQLite file.
//
// All writes go through one goroutine that commits whatever has been queued
// in one transaction, so that many callers share one fsync. Reads come from a
// small pool of connections and see what has been committed.
package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"perezvon/internal/store"
)

// readers is how many reads run at once. Reads are short, and each connection
// has a page cache of its own.
const readers = 4

// keepKeys is how long an idempotency key is remembered.
const keepKeys = 24 * time.Hour

// ErrStray says that a file which had an outbox was written to without one: the
// shared store lacks what nobody can tell.
var ErrStray = errors.New("was used without the shared store after it had been a part of one; " +
	"copy it into an empty one with \"perezvon store copy\", or move the file away to go on with what the shared store has")

// Options are what Open may be told. The zero value is usable.
type Options struct {
	Logger *slog.Logger // where trouble with the disk is told; nil: nowhere

	// Outbox has every change noted beside the records, in the same commit, for
	// somebody to carry to a store that several share.
	Outbox bool
}

// DB is an open database. Its methods may be called from any goroutine.
type DB struct {
	path   string
	lock   *fileLock
	read   *sql.DB
	writer *writer
	log    *slog.Logger

	outbox  bool
	fresh   bool         // see Fresh
	shipped atomic.Int64 // see Shipped

	importing atomic.Bool // the first part of an import is stored

	closed    atomic.Bool
	closeOnce sync.Once
	closeErr  error // written inside closeOnce
}

// Open opens the database file at path, creating it and its folder where they
// are missing, and brings an older schema up to date. The file belongs to this
// DB alone until Close: a second Open of it, by this or another process, fails
// with ErrInUse. Beside path lie path-wal, path-shm and path.lock.
func Open(ctx context.Context, path string, opts Options) (*DB, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	log := opts.Logger
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	lock, err := prepareFiles(path)
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	d := &DB{path: path, lock: lock, log: log, outbox: opts.Outbox}
	if err := d.connect(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open store: %w", explain(path, err)), lock.release())
	}
	return d, nil
}

// connect opens the connections to the file.
func (d *DB) connect(ctx context.Context) error {
	var last, shipped int64
	w, err := newWriter(ctx, d.path, d.log, func(c *conn) (err error) {
		if d.outbox {
			last, shipped, err = c.keepOutbox(ctx)
		}
		return err
	})
	if err != nil {
		return err
	}
	w.noted.Store(last)
	d.shipped.Store(shipped)
	d.writer, d.fresh = w, last == 0
	if d.read, err = openPool(d.path, readers, "_query_only=1"); err != nil {
		return errors.Join(err, w.close())
	}
	return nil
}

// Close commits what is queued, closes the file and lets go of its lock. It
// is idempotent; later calls of other methods give store.ErrClosed.
func (d *DB) Close() error {
	d.closeOnce.Do(func() {
		d.closed.Store(true)
		if d.outbox {
			o := &raiseOp{pending: newPending(), counter: "shipped", floor: d.shipped.Load()}
			d.writer.post(o, o.commit)
		}
		// The writer goes last: the last connection to close folds the log
		// into the file, which only a connection that may write can do.
		d.writer.stop()
		err := errors.Join(d.read.Close(), d.writer.close(), d.lock.release())
		if err != nil {
			d.closeErr = fmt.Errorf("close store: %w", err)
		}
	})
	return d.closeErr
}

// Ping says whether the store can write: nil when the writer answers and its
// last commit succeeded. After a failure it tries a small write, so that a
// server which takes no calls because of a full disk notices the free space.
func (d *DB) Ping(ctx context.Context) error {
	if err := d.writer.do(ctx, &pingOp{newPending()}); err != nil {
		return fmt.Errorf("ping store: %w", err)
	}
	return nil
}

// EventsChanged returns a channel that is closed when further events can be
// read. A follower takes the channel first, then reads to the end, then waits.
func (d *DB) EventsChanged() <-chan struct{} { return d.writer.changed.Next() }

// failed wraps the error of a read for people.
func (d *DB) failed(op string, err error) error {
	if d.closed.Load() {
		err = store.ErrClosed
	}
	return fmt.Errorf("%s: %w", op, explain(d.path, err))
}

// list runs a query and reads its rows, each with read, which is given the
// row's Scan. op says in errors what it is for.
func list[T any](ctx context.Context, d *DB, op string, read func(scan func(...any) error) (T, error), query string, args ...any) ([]T, error) {
	var all []T
	err := each(ctx, d.read, func(scan func(...any) error) error {
		one, err := read(scan)
		if err == nil {
			all = append(all, one)
		}
		return err
	}, query, args...)
	if err != nil {
		return nil, d.failed(op, err)
	}
	return all, nil
}

// queryer is a pool of connections, or a transaction on one.
type queryer interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// each runs a query and has read look at every row, until it gives an error.
func each(ctx context.Context, on queryer, read func(scan func(...any) error) error, query string, args ...any) error {
	rows, err := on.QueryContext(ctx, query, args...)
	if err != nil {
		return err
	}
	defer func() { _ = rows.Close() }() // only read from
	for rows.Next() {
		if err := read(rows.Scan); err != nil {
			return err
		}
	}
	return rows.Err()
}

type pingOp struct{ pending }

func (o *pingOp) apply(t *conn) error {
	if !t.failing {
		return nil
	}
	_, err := t.exec(`UPDATE counters SET value = value + 1 WHERE name = 'probe'`)
	return err
}
