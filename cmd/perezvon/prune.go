package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"perezvon/configs"
	"perezvon/internal/disk"
	"perezvon/internal/keep"
	"perezvon/internal/store/redis"
	"perezvon/internal/store/sqlite"
)

// PruneCmd removes what has served its time.
type PruneCmd struct {
	DryRun bool `help:"Only say what would go; the server may run meanwhile."`
}

// Run says what has gone, or would go.
func (cmd *PruneCmd) Run(c *CLI) error {
	cfg, err := configs.LoadWithoutSecrets(cmp.Or(c.Config, defaultConfig))
	if errors.Is(err, fs.ErrNotExist) && c.Config == "" {
		cfg, err = configs.Default(), nil
	}
	if err != nil {
		return err
	}
	at, err := c.placeOr("")
	if err != nil {
		return err
	}
	ctx, stop := untilSignalled()
	defer stop()
	var report keep.Report
	if cmd.DryRun {
		report, err = wouldGo(ctx, cfg, at)
	} else {
		report, err = letGo(ctx, cfg, at)
	}
	if err != nil {
		return err
	}
	if c.JSON {
		return printJSON(report)
	}
	out, verb := newConsole(os.Stdout), "Removed"
	if cmd.DryRun {
		verb = "Would remove"
	}
	out.line(plain, "Kept: %s.", cfg.KeptInWords())
	out.line(plain, "%s %s.", verb, goneWords(&report))
	return nil
}

// wouldGo reads the store, beside a server that may run.
func wouldGo(ctx context.Context, cfg *configs.Config, at place) (r keep.Report, err error) {
	var db interface {
		keep.Records
		Close() error
	}
	if at.file == "" {
		db, err = redis.OpenToRead(ctx, redis.Options{URL: at.url})
	} else {
		db, err = sqlite.OpenReader(ctx, at.file)
	}
	if err != nil {
		return keep.Report{}, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	return keep.Plan(ctx, db, cfg.Recordings.Dir, keepTimes(cfg))
}

// letGo removes from a store that no server works on.
func letGo(ctx context.Context, cfg *configs.Config, at place) (r keep.Report, err error) {
	if err := at.exists(); err != nil {
		return keep.Report{}, err
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	var db interface {
		keep.Store
		Close() error
	}
	if at.file == "" {
		// A server would begin without Redis; here there is nothing to do then.
		if _, err := redis.Probe(ctx, redis.Options{URL: at.url}); err != nil {
			return keep.Report{}, err
		}
		db, err = redis.Open(ctx, redis.Options{URL: at.url, Spool: filepath.Join(cfg.DataDir, storeFile), Logger: log})
	} else {
		db, err = sqlite.Open(ctx, at.file, sqlite.Options{})
	}
	if errors.Is(err, sqlite.ErrInUse) || errors.Is(err, redis.ErrInUse) {
		return keep.Report{}, fmt.Errorf("%w; the server that runs removes by itself, every hour, what has been kept for long enough; --dry-run says what that is", err)
	}
	if err != nil {
		return keep.Report{}, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	return keep.Round(ctx, db, cfg.Recordings.Dir, keepTimes(cfg), log)
}

// goneWords counts what is in a report.
func goneWords(r *keep.Report) string {
	words := []string{
		counted(r.Calls, "call"), fmt.Sprintf("%s (%s)", counted(r.Recordings, "recording"), disk.Size(uint64(max(0, r.Bytes)))),
		counted(r.Events, "event") + " of no call",
	}
	if r.Traces > 0 {
		words = append(words, counted(r.Traces, "trace"))
	}
	return strings.Join(words, ", ")
}

func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
