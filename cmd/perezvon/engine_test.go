package main

import (
	"context"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"perezvon/configs"
	"perezvon/internal/api"
	"perezvon/internal/store/redis"
	"perezvon/internal/store/sqlite"
)

// remoteEngine is an engine whose way to Redis is as a test says.
type remoteEngine struct {
	engine
	health redis.Health
}

func (e *remoteEngine) Health(context.Context) (redis.Health, error) { return e.health, nil }

// onRedis is as much of a server as tells of its store.
func onRedis(h redis.Health) *server {
	s := &server{db: &remoteEngine{health: h}}
	cfg := configs.Default()
	cfg.Store = configs.Store{Engine: configs.Redis, URL: configs.NewSecret("redis://:hunter2@10.0.0.5/1"), At: "10.0.0.5:6379/1"}
	s.cfg.Store(cfg)
	return s
}

// storeMetrics is a collector of the store alone.
type storeMetrics struct{ *server }

func (storeMetrics) Describe(chan<- *prometheus.Desc)      {}
func (m storeMetrics) Collect(ch chan<- prometheus.Metric) { m.collectStore(ch) }

func TestRedisThatIsAwayIsToldEverywhereWithoutItsPassword(t *testing.T) {
	since := time.Now().Add(-90 * time.Second)
	s := onRedis(redis.Health{Since: since, Backlog: 12, OldestUnsent: since, LastError: "connection refused"})
	reasons := s.storeReasons(t.Context())
	want := "redis at 10.0.0.5:6379/1 is away since " + since.Format(time.TimeOnly) +
		" (connection refused); calls go on and new ones are taken, on this machine's disk: changes that wait for it: 12"
	if len(reasons) != 1 || reasons[0] != (api.Reason{Part: "store", Detail: want}) {
		t.Errorf("%+v", reasons)
	}
	st := s.storeStatus(t.Context())
	if st.Engine != "redis" || st.At != "10.0.0.5:6379/1" || st.Up || !st.Since.Equal(since) || st.Backlog != 12 || st.BacklogAgeMS < 90_000 || st.LastError != "connection refused" {
		t.Errorf("%+v", st)
	}
	words := strings.Join(storeInWords(&st, since.Add(2*time.Minute)), "\n")
	if !strings.HasPrefix(words, "store: redis at 10.0.0.5:6379/1, away for 2 min 00 s (since ") ||
		!strings.Contains(words, "; changes not there yet: 12, the oldest for 1 min 3") || !strings.HasSuffix(words, "\n  last error: connection refused") {
		t.Errorf("%s", words)
	}
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(storeMetrics{s})
	out := scrape(t, r)
	for _, line := range []string{"perezvon_store_up 0\n", "perezvon_store_backlog 12\n", "perezvon_store_backlog_age_seconds 9"} {
		if !strings.Contains(out, "\n"+line) {
			t.Errorf("no %q in\n%s", line, out)
		}
	}
	if strings.Contains(out+words+want, "hunter2") {
		t.Error("the password is shown")
	}
}

func TestRedisThatIsThereIsNoProblem(t *testing.T) {
	s := onRedis(redis.Health{Up: true, Since: time.Now()})
	if got := s.storeReasons(t.Context()); len(got) > 0 {
		t.Errorf("%+v", got)
	}
	if st := s.storeStatus(t.Context()); !st.Up || st.BacklogAgeMS != 0 {
		t.Errorf("%+v", st)
	}
	r := prometheus.NewPedanticRegistry()
	r.MustRegister(storeMetrics{s})
	if out := scrape(t, r); !strings.Contains(out, "\nperezvon_store_up 1\n") || !strings.Contains(out, "\nperezvon_store_backlog_age_seconds 0\n") {
		t.Errorf("%s", out)
	}
}

func TestSQLiteIsTheStoreUnlessToldOtherwise(t *testing.T) {
	cfg := configs.Default()
	cfg.DataDir = t.TempDir()
	db, err := openEngine(t.Context(), cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, ok := db.(*sqlite.DB); !ok {
		t.Errorf("it is %T", db)
	}
	if found, _ := filepath.Glob(filepath.Join(cfg.DataDir, storeFile)); len(found) != 1 {
		t.Errorf("there is %v", found)
	}
	s := &server{db: db}
	s.cfg.Store(cfg)
	if got := s.storeReasons(t.Context()); len(got) > 0 {
		t.Errorf("%+v", got)
	}
	st := s.storeStatus(t.Context())
	if st != (api.StoreStatus{Engine: "sqlite", Up: true}) {
		t.Errorf("%+v", st)
	}
	if words := storeInWords(&st, time.Now()); !slices.Equal(words, []string{"store: sqlite"}) {
		t.Errorf("%q", words)
	}
}

func TestOnlyARedisIsTriedAndWithoutShowingItsPassword(t *testing.T) {
	cfg := configs.Default()
	if tries := tryStore(t.Context(), cfg); len(tries) > 0 {
		t.Errorf("%+v", tries)
	}
	var err error
	if cfg.Store, err = configs.ParseStore("redis://:hunter2@127.0.0.1:1"); err != nil {
		t.Fatal(err)
	}
	tries := tryStore(t.Context(), cfg)
	if len(tries) != 1 || tries[0].OK || tries[0].Part != "store" || !strings.Contains(tries[0].Detail, "127.0.0.1:1") || strings.Contains(tries[0].Detail, "hunter2") {
		t.Errorf("%+v", tries)
	}
}
