package main

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"perezvon/configs"
	"perezvon/internal/store/redis"
	"perezvon/internal/store/redis/redistest"
)

// redisAt is a Redis in memory that this machine can connect to.
func redisAt(t *testing.T) (url string) {
	t.Helper()
	fake := redistest.NewFake()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			inside, err := fake.Dial(t.Context(), "", "")
			if err != nil {
				t.Error(err)
				return
			}
			for from, to := range map[net.Conn]net.Conn{conn: inside, inside: conn} {
				wg.Go(func() {
					_, _ = io.Copy(to, from)
					_ = to.Close()
				})
			}
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		fake.Close()
		wg.Wait()
	})
	return "redis://" + l.Addr().String()
}

func TestTheStoreOfAConfigurationMayBeRedis(t *testing.T) {
	for _, tc := range []struct{ store, env, url, wrong string }{
		{store: "redis://:hunter2@127.0.0.1:1/2", url: "redis://:hunter2@127.0.0.1:1/2"},
		{store: "env:STORE_OF_TEST", env: "redis://127.0.0.1:1", url: "redis://127.0.0.1:1"},
		{store: "env:STORE_OF_TEST", env: "sqlite"},
		{store: "env:STORE_OF_TEST", wrong: "names the store by env:STORE_OF_TEST, which cannot be read here"},
		{store: "sqlite"},
	} {
		t.Setenv("STORE_OF_TEST", tc.env)
		c := &CLI{Config: filepath.Join(t.TempDir(), "perezvon.yaml")}
		if err := os.WriteFile(c.Config, []byte("store: "+tc.store+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		at, err := c.placeOr("")
		if tc.wrong != "" {
			if err == nil || !strings.Contains(err.Error(), tc.wrong) {
				t.Errorf("%s: error %v, want %q", tc.store, err, tc.wrong)
			}
			continue
		}
		if err != nil || at.url != tc.url || (at.file == "") != (tc.url != "") || strings.Contains(at.name, "hunter2") {
			t.Errorf("%s=%s: %+v, error %v", tc.store, tc.env, at, err)
		}
	}
}

func TestAStoreIsCopiedIntoRedisBackedUpThereAndRestored(t *testing.T) {
	from := placed(t, used(t))
	url := redisAt(t)
	to := placed(t, url)
	for _, verifyOnly := range []bool{false, true} {
		if report, err := copyStore(t.Context(), from, to, verifyOnly); err != nil || !report.Same || report.Kinds[0].To != 1 {
			t.Fatalf("%+v, error %v", report, err)
		}
	}
	if _, err := copyStore(t.Context(), from, to, false); err == nil || !strings.Contains(err.Error(), to.name+" is not empty, and nothing was changed") {
		t.Errorf("a second time: error %v", err)
	}

	server, err := redis.Open(t.Context(), redis.Options{URL: url, Spool: filepath.Join(t.TempDir(), storeFile)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := copyStore(t.Context(), to, placed(t, t.TempDir()), false); !errors.Is(err, redis.ErrInUse) || !strings.Contains(err.Error(), "store backup FILE") {
		t.Errorf("while a server uses it: error %v", err)
	}
	file := filepath.Join(t.TempDir(), "backup")
	if size, err := backUp(t.Context(), to, file); err != nil || size == 0 {
		t.Errorf("%d bytes, error %v", size, err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file: %v, error %v", info, err)
	}
	if _, err := backUp(t.Context(), to, file); err == nil || !strings.Contains(err.Error(), "a backup replaces no file") {
		t.Errorf("a second time: error %v", err)
	}
	if err := server.Close(); err != nil {
		t.Fatal(err)
	}
	for what, again := range map[string]place{"a file": placed(t, t.TempDir()), "redis": placed(t, redisAt(t))} {
		if report, err := restoreStore(t.Context(), file, again); err != nil || !report.Same {
			t.Errorf("into %s: %+v, error %v", what, report, err)
		}
		if report, err := copyStore(t.Context(), from, again, true); err != nil || !report.Same {
			t.Errorf("%s compared: %+v, error %v", what, report, err)
		}
	}
}

func TestACopyOfARedisIsStillTheSameLater(t *testing.T) {
	url, dir := redisAt(t), t.TempDir()
	server, err := redis.Open(t.Context(), redis.Options{URL: url, Spool: filepath.Join(dir, storeFile)})
	if err != nil {
		t.Fatal(err)
	}
	take := func(name string) {
		t.Helper()
		if _, err := server.AcquireLease(t.Context(), name, "test", time.Minute); err != nil {
			t.Fatal(err)
		}
	}
	take("a")
	if err := server.Close(); err != nil {
		t.Fatal(err)
	}
	from, to := placed(t, url), placed(t, t.TempDir())
	for _, verifyOnly := range []bool{false, true, true} {
		if report, err := copyStore(t.Context(), from, to, verifyOnly); err != nil || !report.Same {
			t.Errorf("verify only is %v: %+v, error %v", verifyOnly, report, err)
		}
	}

	server, err = redis.Open(t.Context(), redis.Options{URL: url, Spool: filepath.Join(dir, storeFile)})
	if err != nil {
		t.Fatal(err)
	}
	take("b")
	if err := server.Close(); err != nil {
		t.Fatal(err)
	}
	if report, err := copyStore(t.Context(), from, to, true); err != nil || report.Same {
		t.Errorf("after another fence was given: %+v, error %v", report, err)
	}
}

func TestABackupOfAFileIsRestoredIntoRedis(t *testing.T) {
	from := placed(t, used(t))
	file := filepath.Join(t.TempDir(), "backup")
	if _, err := backUp(t.Context(), from, file); err != nil {
		t.Fatal(err)
	}
	to := placed(t, redisAt(t))
	if report, err := restoreStore(t.Context(), file, to); err != nil || !report.Same || report.Kinds[1].To != 2 {
		t.Errorf("%+v, error %v", report, err)
	}
	if names, err := filepath.Glob(file + "?*"); err != nil || len(names) > 0 {
		t.Errorf("left beside it are %v, error %v", names, err)
	}
}

// logOfOpening is what a server logs while it opens its store.
func logOfOpening(t *testing.T, cfg *configs.Config) string {
	t.Helper()
	var log strings.Builder
	s := &server{log: slog.New(slog.NewTextHandler(&log, nil))}
	s.cfg.Store(cfg)
	if err := s.openStore(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.closeParts(t.Context()); err != nil {
		t.Fatal(err)
	}
	return log.String()
}

func TestTheFileOfAServerThatSharesAStoreIsNotTakenForIt(t *testing.T) {
	dir := t.TempDir()
	server, err := redis.Open(t.Context(), redis.Options{URL: redisAt(t), Spool: filepath.Join(dir, storeFile)})
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Close(); err != nil {
		t.Fatal(err)
	}
	cfg := filepath.Join(dir, "perezvon.yaml")
	if err := os.WriteFile(cfg, []byte("data_dir: "+dir+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	alone := configs.Default()
	alone.DataDir, alone.Recordings.Dir = dir, t.TempDir()
	if log := logOfOpening(t, alone); !strings.Contains(log, "level=WARN") || !strings.Contains(log, "store copy --from redis://") {
		t.Errorf("the log of a server that begins with it: %s", log)
	}
	for store, want := range map[string]int{"sqlite": 1, "redis://127.0.0.1:1": 0} {
		parsed := configs.Default()
		parsed.DataDir = dir
		if parsed.Store, err = configs.ParseStore(store); err != nil {
			t.Fatal(err)
		}
		told := strings.Join(partWarnings(t.Context(), parsed), "\n")
		if strings.Count(told, "has been a part of a store in Redis") != want {
			t.Errorf("with store: %s it is told: %q", store, told)
		}
		if inCheck := strings.Join(warnings(parsed), "\n"); !strings.Contains(inCheck, told) {
			t.Errorf("check with store: %s warns of %q", store, inCheck)
		}
	}
	file := filepath.Join(dir, "backup")
	if status := run([]string{"--config", cfg, "store", "backup", file}); status != exitUsage {
		t.Errorf("it ends with %d", status)
	}
	if status := run([]string{"--config", cfg, "store", "backup", "--from", dir, file}); status != exitOK {
		t.Errorf("the file by its name ends with %d", status)
	}
}

func TestWhereNoRedisAnswersTheAdministratorIsToldWhatToLookAt(t *testing.T) {
	cfg := configs.Default()
	cfg.DataDir, cfg.Recordings.Dir = t.TempDir(), t.TempDir()
	server, err := redis.Open(t.Context(), redis.Options{URL: redisAt(t), Spool: filepath.Join(cfg.DataDir, storeFile)})
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Close(); err != nil {
		t.Fatal(err)
	}
	away := placed(t, "redis://127.0.0.1:1")
	_, backup := backUp(t.Context(), away, filepath.Join(t.TempDir(), "backup"))
	_, dry := wouldGo(t.Context(), cfg, away)
	_, prune := letGo(t.Context(), cfg, away)
	for what, err := range map[string]error{"backup": backup, "prune --dry-run": dry, "prune": prune} {
		if err == nil || !strings.Contains(err.Error(), "see that Redis runs") || !strings.Contains(err.Error(), "connection refused") {
			t.Errorf("%s: error %v", what, err)
		}
	}
}

func TestNoMessageAboutARedisHasItsPassword(t *testing.T) {
	p := placed(t, strings.Replace(redisAt(t), "://", "://user:secret@", 1))
	_, err := p.open(t.Context()) // it knows no such user
	if err == nil {
		t.Error("it was opened")
	}
	if strings.Contains(p.name, "secret") || (err != nil && strings.Contains(err.Error(), "secret")) {
		t.Errorf("%s: error %v", p.name, err)
	}
}
