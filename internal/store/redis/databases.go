package redis

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// Databases are the empty databases of one Redis, for whoever wants one for
// itself for a while.
type Databases struct {
	url    *url.URL
	target *target
	dialer dialer
	free   chan int // their numbers
}

// EmptyDatabases looks for empty databases, from the one that the URL names on.
// That there is none is an error; so is a cluster, which has no others, and
// Sentinel.
func EmptyDatabases(ctx context.Context, opts Options) (*Databases, error) {
	t, err := parseURL(opts.URL)
	if err != nil {
		return nil, err
	}
	u, err := url.Parse(opts.URL)
	if err != nil || t.cluster || t.master != "" { // the error might show a password
		return nil, errors.New("redis url: databases are of one Redis, as in redis://127.0.0.1:6379")
	}
	d := &Databases{url: u, target: t, dialer: dialer{base: opts.Dialer, tls: t.tls}}
	if d.dialer.base == nil {
		d.dialer.base = (&net.Dialer{Timeout: dialTimeout}).DialContext
	}
	empty, err := d.empty(ctx)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s: %w", t.where, advise(err))
	case len(empty) == 0:
		return nil, fmt.Errorf("%s has no empty database, beginning with number %d", t.where, t.db)
	}
	d.free = make(chan int, len(empty))
	for _, n := range empty {
		d.free <- n
	}
	return d, nil
}

// in asks one of the databases.
func (d *Databases) in(n int, f func(goredis.UniversalClient) error) error {
	t := *d.target
	t.db = n
	c := t.client(d.dialer.dial, 1, nil)
	return errors.Join(f(c), c.Close())
}

func (d *Databases) empty(ctx context.Context) (empty []int, err error) {
	count := 0
	err = d.in(0, func(c goredis.UniversalClient) error {
		set, err := c.ConfigGet(ctx, "databases").Result()
		if err == nil {
			count, err = strconv.Atoi(set["databases"])
		}
		return err
	})
	for n := d.target.db; n < count && err == nil; n++ {
		err = d.in(n, func(c goredis.UniversalClient) error {
			keys, err := c.DBSize(ctx).Result()
			if err == nil && keys == 0 {
				empty = append(empty, n)
			}
			return err
		})
	}
	return empty, err
}

// Take waits for a database that nobody uses and returns its URL. Afterwards
// done empties it and gives it back.
func (d *Databases) Take(ctx context.Context) (at string, done func(), err error) {
	var n int
	select {
	case n = <-d.free:
	case <-ctx.Done():
		return "", nil, context.Cause(ctx)
	}
	own := *d.url
	own.Path = "/" + strconv.Itoa(n)
	return own.String(), func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		// A Redis that is gone is trouble enough for whoever used it.
		_ = d.in(n, func(c goredis.UniversalClient) error { return c.FlushDB(ctx).Err() })
		d.free <- n
	}, nil
}
