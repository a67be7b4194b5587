package e2e

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"perezvon/internal/api"
)

// How often server and Redis are each killed without E2E_REDIS_KILLS, how many
// callbacks there are for every kill, and how long Redis may stay away.
const (
	redisKills       = 3
	callsPerBothKill = 35
	longestAway      = 2500 // ms
)

// The server and Redis are killed at random moments, each by itself, while forms
// come in; what a power cut takes of Redis' last second is cut off its file. Then
// every call that was accepted comes to its one end, and Redis has every event
// that was settled, once and in the order of its call.
func TestNothingIsLostWhenServerAndRedisAreKilled(t *testing.T) {
	t.Parallel()
	kills := int(number(t, "E2E_REDIS_KILLS", redisKills))
	calls := kills * callsPerBothKill
	r := &mortalRedis{redisServer: newRedis(t)}
	c := newChaos(t, calls, r.url())
	r.random = rand.New(rand.NewPCG(c.random.Uint64(), 0))
	began, lasts := time.Now(), time.Duration(calls)*chaosEvery
	c.play(func() {
		done := make(chan struct{})
		go func() {
			defer close(done)
			r.killAgainAndAgain(kills-1, lasts)
		}()
		c.killAgainAndAgain(kills, lasts)
		<-done
		r.killAgainAndAgain(1, time.Second) // in any case one that no new server sets right
	})
	c.carried()
	c.judge()
	c.carried()
	withEvents, events := c.wantAllInRedis()
	t.Logf("%d callbacks, %d kills of the server and %d of Redis, with %d bytes cut off, took %s; Redis has %d calls with %d events, none lost, doubled or out of order",
		calls, c.killings, r.killings, r.cut, time.Since(began).Round(time.Second), withEvents, events)
	c.end()
}

// mortalRedis is a Redis that is killed as a power cut would do it.
type mortalRedis struct {
	*redisServer
	random   *rand.Rand
	killings int
	cut      int64 // bytes of its file that it lost
}

// killAgainAndAgain kills Redis n times in a time. What it wrote in the second
// before is lost, up to a random moment.
func (r *mortalRedis) killAgainAndAgain(n int, in time.Duration) {
	moments := make([]time.Duration, n)
	for i := range moments {
		moments[i] = time.Duration(r.random.Int64N(int64(in)))
	}
	slices.Sort(moments)
	began := time.Now()
	for _, at := range moments {
		time.Sleep(time.Until(began.Add(at)))
		size := r.written()
		time.Sleep(ms(r.random, 0, 900)) // shorter than what everysec leaves open
		r.kill()
		r.killings++
		if now := r.written(); now > size {
			r.cut += now - size
			if err := os.Truncate(r.file(), size); err != nil {
				r.t.Error(err)
			}
		}
		time.Sleep(ms(r.random, 0, longestAway))
		r.start()
	}
}

// file is the one that it appends to.
func (r *mortalRedis) file() string {
	return filepath.Join(r.dir, "appendonlydir", "appendonly.aof.1.incr.aof")
}

func (r *mortalRedis) written() int64 {
	info, err := os.Stat(r.file())
	if err != nil {
		r.t.Error(err)
		return 0
	}
	return info.Size()
}

// allEvents are all that the server tells, in its order.
func (s *server) allEvents() []api.Event {
	s.t.Helper()
	var all []api.Event
	for after := ""; ; {
		var page api.EventList
		if err := json.Unmarshal([]byte(s.get("/api/v1/events?limit=1000&after="+after)), &page); err != nil {
			s.t.Fatal(err)
		}
		all = append(all, page.Events...)
		if after = page.Next; after == "" {
			return all
		}
	}
}

// wantAllInRedis expects that Redis has the events that this machine's disk has:
// of each call all of them once, in the same order. It counts them.
func (s *server) wantAllInRedis() (calls, events int) {
	s.t.Helper()
	all := s.allEvents()
	if !slices.IsSortedFunc(all, func(a, b api.Event) int { return strings.Compare(a.ID, b.ID) }) {
		s.t.Error("the ids of events in Redis do not grow")
	}
	want, got := s.spooled(), byCall(all)
	for id := range got {
		if len(want[id]) == 0 {
			s.t.Errorf("Redis has events of %q that this machine does not know:\n%s", id, strings.Join(got[id], "\n"))
		}
	}
	for id, here := range want {
		if there, here := strings.Join(got[id], "\n"), strings.Join(here, "\n"); id != "" && there != here {
			s.t.Errorf("of call %s Redis has\n%s\nand this machine's disk\n%s", id, there, here)
		}
		events += len(here)
	}
	if there, here := slices.Sorted(slices.Values(got[""])), slices.Sorted(slices.Values(want[""])); !slices.Equal(there, here) {
		s.t.Errorf("of no call Redis has\n%q\nand this machine's disk\n%q", there, here)
	}
	return len(want), events
}

// spooled are the events on this machine's disk, by their calls.
func (s *server) spooled() map[string][]string {
	s.t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(s.data, "perezvon.db")+"?mode=ro&_pragma=busy_timeout(5000)")
	if err != nil {
		s.t.Fatal(err)
	}
	defer db.Close()
	rows, err := db.QueryContext(s.t.Context(), "SELECT call_id, type, at, coalesce(data, '') FROM events ORDER BY id")
	if err != nil {
		s.t.Fatal(err)
	}
	defer rows.Close()
	all := make(map[string][]string)
	for rows.Next() {
		var id, kind, data string
		var at int64
		if err := rows.Scan(&id, &kind, &at, &data); err != nil {
			s.t.Fatal(err)
		}
		all[id] = append(all[id], eventText(kind, time.Unix(0, at), []byte(data)))
	}
	if err := rows.Err(); err != nil {
		s.t.Fatal(err)
	}
	if len(all) == 0 {
		s.t.Fatal(fmt.Errorf("%s has no events", s.data))
	}
	return all
}
