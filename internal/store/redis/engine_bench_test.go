package redis

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"perezvon/internal/store"
	"perezvon/internal/store/redis/redistest"
	"perezvon/internal/store/sqlite"
)

// saver is what the benchmark needs of an engine.
type saver interface {
	SaveCall(c store.Call, evs ...store.Event) *store.Commit
	Close() error
}

// BenchmarkEngines saves calls with one event each, as many writers at once as
// its name says, on the SQLite engine and on the one on a redis-server. It
// reports events per second and how long 99 of 100 writes take to be durable; on
// Redis also to be visible there.
func BenchmarkEngines(b *testing.B) {
	for _, writers := range []int{1, 16, 64} {
		b.Run(fmt.Sprintf("sqlite/writers=%d", writers), func(b *testing.B) {
			d, err := sqlite.Open(b.Context(), filepath.Join(b.TempDir(), "perezvon.db"), sqlite.Options{})
			if err != nil {
				b.Fatal(err)
			}
			benchmarkEngine(b, d, writers, nil)
		})
		b.Run(fmt.Sprintf("redis/writers=%d", writers), func(b *testing.B) {
			s, err := redistest.Start()
			if err != nil {
				b.Fatal(err)
			}
			d := openOn(b, b.TempDir(), Options{URL: s.URL(0), Dialer: s.Dial})
			benchmarkEngine(b, d, writers, func() error { return d.shipper.wait(context.Background(), time.Minute) })
			if err := s.Stop(); err != nil {
				b.Error(err)
			}
		})
	}
}

func benchmarkEngine(b *testing.B, d saver, writers int, visible func() error) {
	work := make(chan int)
	var mu sync.Mutex
	var durable, there []time.Duration // guarded by mu
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for i := range work {
				began := time.Now()
				err := d.SaveCall(benchCall(i/10), store.Event{Type: store.EventCallState, At: began}).Wait(context.Background())
				took := time.Since(began)
				if err == nil && visible != nil {
					err = visible()
				}
				mu.Lock()
				durable, there = append(durable, took), append(there, time.Since(began))
				mu.Unlock()
				if err != nil {
					b.Error(err)
				}
			}
		})
	}
	b.ResetTimer()
	for i := range b.N {
		work <- i
	}
	close(work)
	wg.Wait()
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
	b.ReportMetric(p99(durable), "p99-ms-durable")
	if visible != nil {
		b.ReportMetric(p99(there), "p99-ms-visible")
	}
	if err := d.Close(); err != nil {
		b.Error(err)
	}
}

// p99 is what 99 of 100 do not exceed, in milliseconds.
func p99(all []time.Duration) float64 {
	slices.Sort(all)
	return float64(all[len(all)*99/100]) / float64(time.Millisecond)
}
