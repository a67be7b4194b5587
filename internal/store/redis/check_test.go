package redis

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"perezvon/internal/store"
	"perezvon/internal/store/redis/redistest"
)

func TestAServerThatIsSetUpRightHasNoProblems(t *testing.T) {
	both(t, func(t *testing.T, r *remote) {
		info, problems, err := r.check(t.Context())
		if err != nil || len(problems) > 0 || len(info.RunID) != 40 || major(info.Version) < 7 || info.Role != "master" || info.Offset.Abs() > clockWarn {
			t.Errorf("%+v, problems %v, error %v", info, problems, err)
		}
	})
}

func TestWhatIsWrongWithAServerIsSaidWithItsRemedy(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		fatal bool
		set   func(f *redistest.Fake)
		say   []string
	}{
		"version":    {true, func(f *redistest.Fake) { f.Info("redis_version", "6.2.14") }, []string{"6.2.14", "7 or newer", "upgrade"}},
		"no version": {true, func(f *redistest.Fake) { f.Info("redis_version", "") }, []string{"7 or newer"}},
		"replica": {true, func(f *redistest.Fake) {
			f.Info("role", "slave")
			f.Info("master_host", "10.1.2.3")
			f.Info("master_port", "6379")
		}, []string{"10.1.2.3:6379", "store"}},
		"cluster": {true, func(f *redistest.Fake) { f.Info("cluster_enabled", "1") }, []string{"redis-cluster://"}},
		"no file": {true, func(f *redistest.Fake) {
			f.Info("aof_enabled", "0")
		}, []string{`put "appendonly yes" in /etc/redis/redis.conf and restart Redis`, "appendonlydir", "never CONFIG SET appendonly"}},
		"no file, and data": {true, func(f *redistest.Fake) {
			f.Info("aof_enabled", "0")
			f.Info("db0", "keys=1,expires=0,avg_ttl=0")
		}, []string{"data in memory", "docs/storage.md before you restart it", "never CONFIG SET appendonly"}},
		"no configuration file": {true, func(f *redistest.Fake) {
			f.Info("aof_enabled", "0")
			f.Info("config_file", "")
		}, []string{`"appendonly yes" in redis.conf`}},
		"evicts": {true, func(f *redistest.Fake) {
			f.Info("maxmemory", "1073741824")
			f.Info("maxmemory_policy", "allkeys-lru")
		}, []string{"redis-cli -h localhost -p 6379 CONFIG SET maxmemory-policy noeviction", "redis.conf"}},
		"fsync": {false, func(f *redistest.Fake) {
			f.Config("appendfsync", "no")
		}, []string{"redis-cli -h localhost -p 6379 CONFIG SET appendfsync everysec", `"appendfsync everysec" in /etc/redis/redis.conf`}},
		"disk":        {false, func(f *redistest.Fake) { f.Info("aof_last_write_status", "err") }, []string{"disk"}},
		"clock":       {true, func(f *redistest.Fake) { f.SetTime(time.Now().Add(-time.Hour)) }, []string{"behind this machine's", "NTP"}},
		"clock ahead": {false, func(f *redistest.Fake) { f.SetTime(time.Now().Add(1200 * time.Millisecond)) }, []string{"ahead of this machine's", "NTP"}},
	} {
		fake := newFake(t)
		r := onFake(t, fake)
		tc.set(fake)
		_, problems, err := r.check(t.Context())
		if err != nil || len(problems) != 1 || problems[0].Fatal != tc.fatal {
			t.Errorf("%s: problems %+v, error %v", name, problems, err)
			continue
		}
		for _, word := range append(tc.say, "redis://localhost:6379") {
			if !strings.Contains(problems[0].Text, word) {
				t.Errorf("%s: %q lacks %q", name, problems[0].Text, word)
			}
		}
		if strings.Contains(problems[0].Text, "CONFIG SET appendonly yes") {
			t.Errorf("%s: %q would have the file rewritten from memory", name, problems[0].Text)
		}
	}
	for name, set := range map[string]func(f *redistest.Fake){
		"memory without a policy":     func(f *redistest.Fake) { f.Info("maxmemory", "1073741824") },
		"a policy without a limit":    func(f *redistest.Fake) { f.Info("maxmemory_policy", "allkeys-lru") },
		"nobody may ask for settings": func(f *redistest.Fake) { f.Config("appendfsync", "") },
		"a later version":             func(f *redistest.Fake) { f.Info("redis_version", "10.0.1") },
	} {
		fake := newFake(t)
		r := onFake(t, fake)
		set(fake)
		if _, problems, err := r.check(t.Context()); err != nil || len(problems) > 0 {
			t.Errorf("%s: problems %v, error %v", name, problems, err)
		}
	}
}

func TestAnErrorNamesTheServerAndNoPassword(t *testing.T) {
	t.Parallel()
	const secret = "hunter2"
	fake := newFake(t)
	fake.RequireUserAuth("perezvon", "another")
	for url, want := range map[string]string{
		"redis://perezvon:" + secret + "@db.example/1": "refuses the user or the password",
		"redis://db.example/1":                         "redis://:password@host",
	} {
		r, err := dial(Options{URL: url, Dialer: fake.Dial})
		if err != nil {
			t.Fatal(err)
		}
		_, _, err = r.check(t.Context())
		if err == nil || strings.Contains(err.Error(), secret) || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "db.example:6379") {
			t.Errorf("error %v", err)
		}
		if err := r.close(); err != nil {
			t.Error(err)
		}
	}
	refuse := func(context.Context, string, string) (net.Conn, error) {
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused")}
	}
	r, err := dial(Options{URL: "redis://:" + secret + "@db.example", Dialer: refuse})
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = r.check(t.Context())
	if err == nil || strings.Contains(err.Error(), secret) || !strings.Contains(err.Error(), "connection refused") || !strings.Contains(err.Error(), "see that Redis runs") {
		t.Errorf("error %v", err)
	}
	for _, text := range []string{fmt.Sprint(r.data), fmt.Sprint(r.probe)} {
		if strings.Contains(text, secret) {
			t.Errorf("the client prints its password: %s", text)
		}
	}
	if err := r.close(); err != nil {
		t.Error(err)
	}
}

func TestNothingIsAskedOfAProcessThatIsNotKnown(t *testing.T) {
	t.Parallel()
	fake := newFake(t)
	r, err := dial(Options{URL: "redis://localhost", Dialer: fake.Dial})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := r.close(); err != nil {
			t.Error(err)
		}
	}()
	if _, err := r.lastEvent(t.Context()); !errors.Is(err, errReopened) {
		t.Errorf("before it was acknowledged: error %v", err)
	}
	acknowledge(t, r)
	if _, err := r.lastEvent(t.Context()); err != nil {
		t.Error(err)
	}
	fake.Restarted()
	again := reconnected(t, fake, r)
	if err := again.ship(t.Context(), "node", life(t, 1)); !errors.Is(err, errReopened) {
		t.Errorf("after a restart: error %v", err)
	}
	acknowledge(t, again)
	if err := again.ship(t.Context(), "node", life(t, 1)); err != nil {
		t.Error(err)
	}
}

// reconnected connects anew, as a restart makes everybody do, knowing the
// processes that r does.
func reconnected(t *testing.T, fake *redistest.Fake, r *remote) *remote {
	t.Helper()
	again, err := dial(Options{URL: "redis://localhost", Dialer: fake.Dial})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := again.close(); err != nil {
			t.Error(err)
		}
	})
	again.runs = r.runs
	return again
}

func TestNumbersOfEventsJumpOnceForEachProcess(t *testing.T) {
	both(t, func(t *testing.T, r *remote) {
		b := &changes{t: t}
		last := func() int64 {
			t.Helper()
			b.call(newCall(1), "a")
			ship(t, r, b.all)
			id, err := r.lastEvent(t.Context())
			n, err2 := store.ParseEventID(id)
			if err := errors.Join(err, err2); err != nil {
				t.Fatal(err)
			}
			return n
		}
		reopen := func(run string) {
			t.Helper()
			for range 2 {
				if err := r.reopened(t.Context(), run); err != nil {
					t.Fatal(err)
				}
			}
		}
		if n := last(); n != 1 {
			t.Errorf("the first event is %d", n)
		}
		reopen("another")
		first := last()
		if first <= eventJump {
			t.Errorf("after a restart event %d", first)
		}
		if n := last(); n != first+1 {
			t.Errorf("event %d follows %d", n, first)
		}
		reopen("a third")
		if n := last(); n <= first+eventJump || n > first+2*eventJump {
			t.Errorf("after another restart event %d follows %d", n, first)
		}
		acknowledge(t, r) // the database is to be emptied
	})
}
