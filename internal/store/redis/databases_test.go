package redis

import (
	"context"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"perezvon/internal/store/redis/redistest"
)

func TestEmptyDatabasesAreLentAndEmptiedAgain(t *testing.T) {
	t.Parallel()
	s, err := redistest.Start("--databases", "3")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Stop(); err != nil {
			t.Error(err)
		}
	})
	opts := Options{URL: "redis://localhost", Dialer: s.Dial}
	d, err := EmptyDatabases(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	put := func(c goredis.UniversalClient) error { return c.Set(t.Context(), "somebody's", "data", 0).Err() }
	if err := d.in(0, put); err != nil {
		t.Fatal(err)
	}
	if d, err = EmptyDatabases(t.Context(), opts); err != nil {
		t.Fatal(err)
	}
	first, done, err := d.Take(t.Context())
	if err != nil || first != "redis://localhost/1" {
		t.Fatalf("%s, %v", first, err)
	}
	if second, _, err := d.Take(t.Context()); err != nil || second != "redis://localhost/2" {
		t.Fatalf("%s, %v", second, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if third, _, err := d.Take(ctx); err == nil {
		t.Errorf("there is a third: %s", third)
	}
	if err := d.in(1, put); err != nil {
		t.Fatal(err)
	}
	done()
	if again, _, err := d.Take(t.Context()); err != nil || again != first {
		t.Errorf("%s, %v", again, err)
	}
	if empty, err := d.empty(t.Context()); err != nil || len(empty) != 2 || empty[0] != 1 {
		t.Errorf("empty are %v, %v", empty, err)
	}
	for n := range 3 {
		if err := d.in(n, put); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := EmptyDatabases(t.Context(), opts); err == nil || !strings.Contains(err.Error(), "no empty database") {
		t.Errorf("of a Redis that is full of them: %v", err)
	}
}

func TestDatabasesAreOfOneRedis(t *testing.T) {
	t.Parallel()
	for _, url := range []string{"redis-cluster://:hunter2@a,b", "redis-sentinel://:hunter2@a/master", "hunter2"} {
		if _, err := EmptyDatabases(t.Context(), Options{URL: url}); err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: %v", url, err)
		}
	}
}
