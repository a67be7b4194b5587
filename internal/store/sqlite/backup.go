package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"perezvon/internal/store"
)

// Backup writes a complete copy, of one moment, of the database at path into a
// file that does not exist yet, whether a server uses it or not. What the copy
// is a part of, it is not a part of any more: it has no outbox and no node's
// name. It is readable by its owner only.
func Backup(ctx context.Context, path, file string) error {
	if err := backup(ctx, path, file); err != nil {
		return fmt.Errorf("back up %s: %w", path, err)
	}
	return nil
}

func backup(ctx context.Context, path, file string) (err error) {
	if _, err := os.Stat(path); err != nil { // opening it would make it
		return err
	}
	out, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if err := out.Close(); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(file))
		}
	}()
	if err := vacuumInto(ctx, path, file); err != nil {
		return explain(path, err)
	}
	if err := leaveNode(ctx, file); err != nil {
		return explain(file, err)
	}
	return syncFile(file)
}

func vacuumInto(ctx context.Context, path, file string) error {
	return onFile(ctx, path, func(c *sql.Conn) error {
		if version, err := schemaVersion(ctx, c, path); err != nil || version == 0 {
			return errors.Join(err, notOurs(path, version))
		}
		_, err := c.ExecContext(ctx, `VACUUM INTO ?`, file)
		return err
	})
}

func notOurs(path string, version int) error {
	if version > 0 {
		return nil
	}
	return fmt.Errorf("%s is no store of perezvon", path)
}

// leaveNode takes from a copy what only the original may go on with.
func leaveNode(ctx context.Context, file string) error {
	return onFile(ctx, file, func(c *sql.Conn) error {
		var has bool
		err := c.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = 'outbox')`).Scan(&has)
		if err != nil || !has {
			return err // it is older
		}
		_, err = c.ExecContext(ctx, `BEGIN; DELETE FROM outbox; DELETE FROM node; DELETE FROM leases;
			UPDATE counters SET value = 0 WHERE name IN ('outbox', 'outbox_event', 'shipped'); COMMIT`)
		return err
	})
}

// Shares reports whether the database at path is what a node has of its own
// beside a store that it shares: then that one holds everything, and this file
// only what is new there.
func Shares(ctx context.Context, path string) (shares bool, err error) {
	if _, err := os.Stat(path); err != nil {
		return false, err
	}
	err = onFile(ctx, path, func(c *sql.Conn) error {
		var has bool
		err := c.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM sqlite_schema WHERE name = 'node')`).Scan(&has)
		if err != nil || !has {
			return err
		}
		return c.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM node)`).Scan(&shares)
	})
	if err != nil {
		return false, fmt.Errorf("look at %s: %w", path, explain(path, err))
	}
	return shares, nil
}

// onFile runs f on a connection to a database file.
func onFile(ctx context.Context, path string, f func(*sql.Conn) error) (err error) {
	path, err = filepath.Abs(path)
	if err != nil {
		return err
	}
	pool, err := openPool(path, 1, "")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, pool.Close()) }()
	c, err := pool.Conn(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	return f(c)
}

// Restore puts the copy that Backup has made in place as the database at path.
// Where there is one already it is store.ErrNotEmpty. A copy that is damaged or
// of another program is refused.
func Restore(ctx context.Context, file, path string) error {
	path, err := filepath.Abs(path)
	if err == nil {
		err = restore(ctx, file, path)
	}
	if err != nil {
		return fmt.Errorf("restore %s: %w", path, err)
	}
	return nil
}

func restore(ctx context.Context, file, path string) (err error) {
	for _, name := range []string{path, path + "-wal"} { // a foreign log would be taken for the copy's
		if info, err := os.Stat(name); err == nil && info.Size() > 0 {
			return fmt.Errorf("%s is in the way: %w", name, store.ErrNotEmpty)
		}
	}
	lock, err := prepareFiles(path)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, lock.release()) }()
	part := path + ".restoring"
	if err := copyFile(file, part); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(part))
		}
	}()
	if err := intact(ctx, part); err != nil {
		return explain(file, err)
	}
	if err := os.Rename(part, path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// intact looks through the whole file.
func intact(ctx context.Context, path string) error {
	return onFile(ctx, path, func(c *sql.Conn) error {
		if version, err := schemaVersion(ctx, c, path); err != nil || version == 0 {
			return errors.Join(err, notOurs(path, version))
		}
		var result string
		if err := c.QueryRowContext(ctx, `PRAGMA integrity_check(1)`).Scan(&result); err != nil {
			return err
		}
		if result != "ok" {
			return errors.New("the copy is damaged: " + result)
		}
		return nil
	})
}

func copyFile(from, to string) (err error) {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }() // only read from
	out, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Sync(), out.Close())
}

func syncFile(path string) error {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close(), syncDir(filepath.Dir(path)))
}
