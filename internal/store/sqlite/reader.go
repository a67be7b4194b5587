package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"perezvon/internal/store"
)

// Reader reads a database, also one that a server works on. Its methods may be
// called from any goroutine.
type Reader struct{ db *DB }

// OpenReader opens the database file at path for reading alone. A file that is
// not there is fs.ErrNotExist; one whose tables are of another version of the
// program is an error as well.
func OpenReader(ctx context.Context, path string) (*Reader, error) {
	if _, err := os.Stat(path); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("there is no store at %s: %w", path, fs.ErrNotExist)
		}
		return nil, fmt.Errorf("open store: %w", err)
	}
	pool, err := openPool(path, readers, "_query_only=1")
	if err != nil {
		return nil, fmt.Errorf("open store: %w", explain(path, err))
	}
	r := &Reader{db: &DB{path: path, read: pool}}
	if err := r.checkVersion(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open store: %w", explain(path, err)), pool.Close())
	}
	return r, nil
}

func (r *Reader) checkVersion(ctx context.Context) error {
	steps, err := migrations.ReadDir("migrations")
	if err != nil {
		return err
	}
	c, err := r.db.read.Conn(ctx)
	if err != nil {
		return err
	}
	version, err := schemaVersion(ctx, c, r.db.path)
	if err = errors.Join(err, c.Close()); err != nil {
		return err
	}
	if version != len(steps) {
		return fmt.Errorf("%s is of another version of perezvon (its schema is %d, this one's %d), which the server changes when it starts", r.db.path, version, len(steps))
	}
	return nil
}

// Close closes the file.
func (r *Reader) Close() error {
	if err := r.db.read.Close(); err != nil {
		return fmt.Errorf("close store: %w", err)
	}
	return nil
}

// Call is DB.Call.
func (r *Reader) Call(ctx context.Context, id string) (store.Call, error) { return r.db.Call(ctx, id) }

// Expired is DB.Expired.
func (r *Reader) Expired(ctx context.Context, e store.Expiry) (store.Expired, error) {
	return r.db.Expired(ctx, e)
}
