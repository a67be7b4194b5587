package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"

	"perezvon/configs"
	"perezvon/internal/store/redis"
	"perezvon/internal/store/sqlite"
	"perezvon/internal/store/transfer"
)

// StoreCmd looks after the store.
type StoreCmd struct {
	Backup  BackupCmd  `cmd:"" help:"Write a complete copy of the store into a file; the server may run meanwhile."`
	Restore RestoreCmd `cmd:"" help:"Fill an empty store from a file that store backup has written."`
	Copy    CopyCmd    `cmd:"" help:"Copy everything from one store into another that is empty, and compare."`
	Prune   PruneCmd   `cmd:"" help:"Remove what has been kept for long enough, as a running server does every hour."`
}

// storeFile is the name of a store's file in its folder.
const storeFile = "perezvon.db"

// place is where a store is.
type place struct {
	name string // for people, without a password
	file string // of SQLite; empty: it is in Redis
	url  string // of Redis
}

// movable is a store that nobody else uses while it is open.
type movable interface {
	transfer.Target
	Close() error
}

// mistyped is what begins like a URL, or is the name of an engine alone, and
// would be taken for the name of a folder.
var mistyped = regexp.MustCompile(`^(?i:[a-z][a-z0-9+.-]*:|rediss?$)`)

// placeOf reads how a store is named: redis://…, sqlite:PATH, a file or its
// folder. What is not there yet is taken for a folder unless it looks like a
// file.
func placeOf(text string) (place, error) {
	path := strings.TrimPrefix(text, "sqlite:")
	if strings.Contains(path, "://") {
		name, err := redis.Where(text)
		if err != nil {
			return place{}, &usageError{fmt.Errorf("a store is named by a URL of Redis, by sqlite:PATH, or by its folder: %w", err)}
		}
		return place{name: name, url: text}, nil
	}
	if path == "" {
		return place{}, &usageError{errors.New("a store without a name: it is a URL of Redis, sqlite:PATH, or a folder")}
	}
	if path == text && mistyped.MatchString(text) {
		return place{}, &usageError{errors.New("a store that is neither a URL such as redis://127.0.0.1:6379 nor a folder: " +
			"write both slashes of a URL, and sqlite: or ./ before a name with a colon in it")}
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return place{}, err
	}
	info, err := os.Stat(path)
	if (err == nil && info.IsDir()) || (errors.Is(err, fs.ErrNotExist) && filepath.Ext(path) != ".db") {
		path = filepath.Join(path, storeFile)
	}
	return place{name: path, file: path}, nil
}

// placeOr is placeOf, or the store of the configuration where none is named.
func (c *CLI) placeOr(text string) (place, error) {
	if text != "" {
		return placeOf(text)
	}
	cfg, err := configs.LoadWithSomeSecrets(cmp.Or(c.Config, defaultConfig))
	if errors.Is(err, fs.ErrNotExist) && c.Config == "" {
		cfg, err = configs.Default(), nil
	}
	if err != nil {
		return place{}, err
	}
	url := cfg.Store.URL
	switch {
	case cfg.Store.Engine != configs.Redis || url.Reveal() == configs.SQLite:
		return placeOf("sqlite:" + filepath.Join(cfg.DataDir, storeFile))
	case url.Hidden() != "":
		return place{}, fmt.Errorf("the configuration names the store by %s, which cannot be read here", cfg.Store.At)
	}
	return placeOf(url.Reveal())
}

// exists is an error where there is no store.
func (p place) exists() error {
	if p.file == "" {
		return nil // Redis says so itself
	}
	if _, err := os.Stat(p.file); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("there is no store at %s", p.name)
	}
	return nil
}

// open opens the store, for nobody else to use it meanwhile. A new one is made
// where there is none.
func (p place) open(ctx context.Context) (movable, error) {
	var m movable
	var err error
	if p.file == "" {
		m, err = redis.OpenWhole(ctx, redis.Options{URL: p.url})
	} else {
		m, err = sqlite.Open(ctx, p.file, sqlite.Options{})
	}
	switch {
	case errors.Is(err, sqlite.ErrInUse), errors.Is(err, redis.ErrInUse):
		return nil, fmt.Errorf("%w; a store that a server writes to cannot be copied whole, but backed up: %s store backup FILE", err, program())
	case err != nil:
		return nil, err
	}
	return m, nil
}

// untilSignalled is a context that SIGTERM and SIGINT end.
func untilSignalled() (context.Context, context.CancelFunc) {
	return signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
}
