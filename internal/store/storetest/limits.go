package storetest

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"perezvon/internal/store"
)

func runLimits(t *testing.T, eng Engine) {
	hourly := store.Rate{Name: "hourly", Every: time.Hour, Burst: 3, Cost: 1}
	t.Run("a burst is allowed, then nothing", func(t *testing.T) {
		s := domains(t, opened(t, eng))
		for n := range 4 {
			v := verdict(t, s, "portal", hourly)
			if v.Allowed != (n < 3) || v.Local {
				t.Errorf("the %d. time: %+v", n+1, v)
			}
			if n == 3 && (v.Rate != "hourly" || v.RetryAfter <= 0 || v.RetryAfter > time.Hour) {
				t.Errorf("refused: %+v", v)
			}
		}
		if v := verdict(t, s, "other", hourly); !v.Allowed {
			t.Errorf("in another scope: %+v", v)
		}
		other := hourly
		other.Name = "other"
		if v := verdict(t, s, "portal", other); !v.Allowed {
			t.Errorf("of another rate: %+v", v)
		}
	})
	t.Run("several rates give all or nothing", func(t *testing.T) {
		s := domains(t, opened(t, eng))
		daily := store.Rate{Name: "daily", Every: 24 * time.Hour, Burst: 2, Cost: 2}
		if v := verdict(t, s, "portal", hourly, daily); !v.Allowed {
			t.Fatalf("%+v", v)
		}
		for range 3 {
			if v := verdict(t, s, "portal", hourly, daily); v.Allowed || v.Rate != "daily" || v.RetryAfter <= 24*time.Hour {
				t.Fatalf("%+v", v)
			}
		}
		for n := range 3 { // nothing was taken with the refusals
			if v := verdict(t, s, "portal", hourly); v.Allowed != (n < 2) {
				t.Errorf("the %d. time: %+v", n+1, v)
			}
		}
	})
	t.Run("of many at once the burst is allowed", func(t *testing.T) {
		s := domains(t, opened(t, eng))
		var allowed atomic.Int32
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				v, err := s.Allow(t.Context(), "portal", hourly)
				if err != nil {
					t.Errorf("error %v", err)
				}
				if v.Allowed {
					allowed.Add(1)
				}
			})
		}
		wg.Wait()
		if allowed.Load() != 3 {
			t.Errorf("%d were allowed", allowed.Load())
		}
	})
	t.Run("what was taken comes back", func(t *testing.T) {
		timedDomains(t, eng, func(t *testing.T, s Domains) {
			r := store.Rate{Name: "r", Every: eng.span(), Burst: 1, Cost: 1}
			for range 3 { // pruned or not, it is the same
				if v := verdict(t, s, "portal", r); !v.Allowed {
					t.Fatalf("%+v", v)
				}
				eng.pass()
			}
		})
	})
	t.Run("a pause refuses everything until it ends", func(t *testing.T) { runPauses(t, eng, hourly) })
	t.Run("what nobody could be allowed is an error", func(t *testing.T) {
		s := domains(t, opened(t, eng))
		for what, rates := range map[string][]store.Rate{
			"no name":     {{Every: time.Second, Burst: 1, Cost: 1}},
			"no time":     {{Name: "r", Burst: 1, Cost: 1}},
			"no burst":    {{Name: "r", Every: time.Second, Cost: 1}},
			"no cost":     {{Name: "r", Every: time.Second, Burst: 1}},
			"too much":    {{Name: "r", Every: time.Second, Burst: 1, Cost: 2}},
			"twice":       {hourly, hourly},
			"eternity":    {{Name: "r", Every: 25 * time.Hour, Burst: 1, Cost: 1}},
			"any at once": {{Name: "r", Every: time.Second, Burst: 1_000_001, Cost: 1}},
		} {
			if _, err := s.Allow(t.Context(), "portal", rates...); err == nil {
				t.Errorf("%s: no error", what)
			}
		}
		if _, err := s.Allow(t.Context(), "", hourly); err == nil {
			t.Error("no scope: no error")
		}
	})
	if !eng.RealTime && !eng.Restless {
		t.Run("rates hold as their definition says", func(t *testing.T) { ratesHold(t, eng) })
	}
}

func runPauses(t *testing.T, eng Engine, r store.Rate) {
	timed(t, eng, func(t *testing.T, st Store) {
		s := domains(t, st)
		paused := func() time.Time {
			t.Helper()
			p, err := s.Paused(t.Context(), "portal")
			if err != nil || p.Local {
				t.Fatalf("%+v, error %v", p, err)
			}
			return p.Until
		}
		pause := func(scope string, until time.Time) {
			t.Helper()
			if err := s.Pause(t.Context(), scope, until); err != nil {
				t.Fatal(err)
			}
		}
		if !paused().IsZero() {
			t.Error("paused from the beginning")
		}
		hour := time.Now().Add(time.Hour).UTC().Truncate(time.Microsecond)
		pause("portal", hour)
		pause("portal", hour.Add(-time.Minute)) // the later one counts
		if got := paused(); !got.Equal(hour) {
			t.Errorf("paused until %v, want %v", got, hour)
		}
		if v := verdict(t, s, "portal", r); v.Allowed || v.Rate != "" || v.RetryAfter <= 0 || v.RetryAfter > time.Hour {
			t.Errorf("while paused: %+v", v)
		}
		pause("short", time.Now().Add(eng.span()))
		eng.pass()
		if err := st.Prune(t.Context()); err != nil {
			t.Fatal(err)
		}
		if v := verdict(t, s, "short", r); !v.Allowed {
			t.Errorf("after the pause: %+v", v)
		}
		if p, err := s.Paused(t.Context(), "short"); err != nil || !p.Until.IsZero() {
			t.Errorf("after the pause: %+v, error %v", p, err)
		}
		if got := paused(); !got.Equal(hour) {
			t.Errorf("paused until %v, want %v", got, hour)
		}
	})
	if err := domains(t, opened(t, eng)).Pause(t.Context(), "", time.Now()); err == nil {
		t.Error("no scope: no error")
	}
}

// bucket is what the rates must be like: it holds up to burst units, and one
// comes back each Every after the last was whole.
type bucket struct {
	rate store.Rate
	used time.Duration // how long it takes until it is full
	at   time.Time     // when used was so
}

// wait says how long it takes until cost units are there.
func (b *bucket) wait(now time.Time, cost int) time.Duration {
	b.used, b.at = max(0, b.used-now.Sub(b.at)), now
	return max(0, b.used-time.Duration(b.rate.Burst-cost)*b.rate.Every)
}

// ratesHold takes units at any times and holds the answers against buckets.
func ratesHold(t *testing.T, eng Engine) {
	dir, round := t.TempDir(), 0
	rapid.Check(t, func(rt *rapid.T) {
		round++
		scope := fmt.Sprint("scope", round)
		var buckets []*bucket
		for i := range rapid.IntRange(1, 3).Draw(rt, "rates") {
			buckets = append(buckets, &bucket{rate: store.Rate{
				Name:  fmt.Sprint(i),
				Every: time.Duration(rapid.IntRange(1, 50).Draw(rt, "every")) * 100 * time.Millisecond,
				Burst: rapid.IntRange(1, 5).Draw(rt, "burst"),
			}})
		}
		type step struct {
			sleep time.Duration
			costs []int
		}
		var steps []step
		for range rapid.IntRange(1, 25).Draw(rt, "steps") {
			st := step{sleep: time.Duration(rapid.IntRange(0, 60).Draw(rt, "sleep")) * 100 * time.Millisecond}
			for _, b := range buckets {
				st.costs = append(st.costs, rapid.IntRange(0, b.rate.Burst).Draw(rt, "cost")) // 0: the rate is left out
			}
			steps = append(steps, st)
		}
		var wrong string
		synctest.Test(t, func(t *testing.T) {
			s := eng.Open(t, dir)
			defer closed(t, s)
			for i, st := range steps {
				time.Sleep(st.sleep)
				now := time.Now()
				var rates []store.Rate
				var longest time.Duration
				for i, b := range buckets {
					if r := b.rate; st.costs[i] > 0 {
						r.Cost = st.costs[i]
						rates = append(rates, r)
						longest = max(longest, b.wait(now, r.Cost))
					}
				}
				v := verdict(t, domains(t, s), scope, rates...)
				if v.Allowed != (longest == 0) || v.RetryAfter != longest {
					wrong = fmt.Sprintf("step %d: %+v, want to wait %v", i, v, longest)
					return
				}
				for i, b := range buckets {
					if v.Allowed {
						b.used += time.Duration(st.costs[i]) * b.rate.Every
					}
				}
			}
		})
		if wrong != "" {
			rt.Fatal(wrong)
		}
	})
}

// verdict asks for units of rates.
func verdict(t *testing.T, s Domains, scope string, rates ...store.Rate) store.Verdict {
	t.Helper()
	v, err := s.Allow(t.Context(), scope, rates...)
	if err != nil {
		t.Fatal(err)
	}
	return v
}
