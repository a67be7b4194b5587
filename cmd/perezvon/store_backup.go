package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"perezvon/internal/disk"
	"perezvon/internal/store"
	"perezvon/internal/store/redis"
	"perezvon/internal/store/sqlite"
	"perezvon/internal/store/transfer"
)

// BackupCmd backs a store up.
type BackupCmd struct {
	File string `arg:"" help:"The file to write; there must be none of that name."`
	From string `placeholder:"STORE" help:"The store: a URL of Redis, sqlite:PATH, or the folder of its file; without it that of the configuration."`
}

// Run says how large the copy is.
func (cmd *BackupCmd) Run(c *CLI) error {
	ctx, stop := untilSignalled()
	defer stop()
	from, err := c.placeOr(cmd.From)
	if err != nil {
		return err
	}
	if cmd.From == "" && from.file != "" {
		if shares, err := sqlite.Shares(ctx, from.file); err == nil && shares {
			return &usageError{fmt.Errorf("%s is not all there is: its server shares a store; name that one with --from redis://…", from.name)}
		}
	}
	size, err := backUp(ctx, from, cmd.File)
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(struct {
			File  string `json:"file"`
			Bytes int64  `json:"bytes"`
		}{cmd.File, size})
	}
	newConsole(os.Stdout).line(plain, "%s is a copy of %s: %s.", cmd.File, from.name, disk.Size(uint64(max(0, size))))
	return nil
}

// backUp writes a copy of a store into a file and returns its size in bytes.
func backUp(ctx context.Context, from place, file string) (size int64, err error) {
	if err := from.exists(); err != nil {
		return 0, err
	}
	if from.file == "" {
		err = writeChanges(ctx, from, file)
	} else {
		err = sqlite.Backup(ctx, from.file, file)
	}
	if errors.Is(err, fs.ErrExist) {
		return 0, fmt.Errorf("%s is there already; a backup replaces no file", file)
	}
	if err != nil {
		return 0, err
	}
	info, err := os.Stat(file)
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// writeChanges writes what is in Redis as a file of changes. What changes
// meanwhile may be in it or not.
func writeChanges(ctx context.Context, from place, file string) (err error) {
	whole, err := redis.OpenToRead(ctx, redis.Options{URL: from.url})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, whole.Close()) }()
	out, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	err = transfer.Write(ctx, whole, out, time.Now())
	if err = errors.Join(err, out.Sync(), out.Close()); err != nil {
		return errors.Join(err, os.Remove(file))
	}
	return nil
}

// RestoreCmd restores a store.
type RestoreCmd struct {
	File string `arg:"" help:"What store backup has written."`
	To   string `placeholder:"STORE" help:"The store, which must be empty or not be there: a URL of Redis, sqlite:PATH, or a folder; without it that of the configuration."`
}

// Run says what the store holds then.
func (cmd *RestoreCmd) Run(c *CLI) error {
	ctx, stop := untilSignalled()
	defer stop()
	to, err := c.placeOr(cmd.To)
	if err != nil {
		return err
	}
	report, err := restoreStore(ctx, cmd.File, to)
	if err != nil {
		return err
	}
	return tellCopied(c, report)
}

// restoreStore fills a store from a file, whichever way that was written.
func restoreStore(ctx context.Context, file string, to place) (*copied, error) {
	database, err := isDatabase(file)
	if err != nil {
		return nil, err
	}
	switch {
	case database && to.file == "":
		return restoreIntoRedis(ctx, file, to)
	case database:
		return restoreDatabase(ctx, file, to)
	}
	changes, err := transfer.OpenFile(file)
	if errors.Is(err, transfer.ErrNoChanges) {
		return nil, fmt.Errorf("%s is no backup of a store", file)
	}
	if err != nil {
		return nil, err
	}
	return fillStore(ctx, file, changes, to, false)
}

// restoreDatabase puts a file in place, compares the two and brings what is in
// place up to date. The file itself is only read.
func restoreDatabase(ctx context.Context, file string, to place) (*copied, error) {
	err := sqlite.Restore(ctx, file, to.file)
	switch {
	case errors.Is(err, store.ErrNotEmpty):
		return nil, notEmpty(to)
	case errors.Is(err, sqlite.ErrInUse):
		return nil, fmt.Errorf("%w; stop that server first", err)
	case err != nil:
		return nil, err
	}
	db, err := to.open(ctx)
	if err != nil {
		return nil, err
	}
	there, err := transfer.Take(ctx, db, time.Now())
	if err = errors.Join(err, db.Close()); err != nil {
		return nil, err
	}
	report := &copied{From: file, To: to.name}
	report.Kinds, report.Same = transfer.Compare(there, there) // it was copied byte by byte
	return report, nil
}

// restoreIntoRedis fills a Redis from a copy of a file, since opening the file
// itself could change it.
func restoreIntoRedis(ctx context.Context, file string, to place) (report *copied, err error) {
	dir, err := os.MkdirTemp("", "perezvon-restore-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	aside := filepath.Join(dir, storeFile)
	if err := sqlite.Restore(ctx, file, aside); err != nil {
		return nil, err
	}
	db, err := sqlite.Open(ctx, aside, sqlite.Options{})
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	return fillStore(ctx, file, db, to, false)
}

// isDatabase says whether a file is one of SQLite's.
func isDatabase(file string) (bool, error) {
	const magic = "SQLite format 3\x00"
	f, err := os.Open(file)
	if err != nil {
		return false, err
	}
	defer func() { _ = f.Close() }() // only read from
	begin := make([]byte, len(magic))
	if _, err := io.ReadFull(f, begin); err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return false, err
	}
	return string(begin) == magic, nil
}
