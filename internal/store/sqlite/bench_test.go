package sqlite

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"perezvon/internal/store"
)

func benchCall(i int) store.Call {
	now := time.Now()
	c := store.Call{
		ID: fmt.Sprintf("0199a0b0c0d07000800000%010x", i), Kind: store.KindCallback, State: store.StateQueued,
		Line: "reg1332", Number: fmt.Sprintf("+7916%07d", i), CreatedAt: now, Deadline: now.Add(time.Hour),
		Request:  store.Request{Text: "A customer asks to be called back about order 1234.", Voice: "ruinternalfemale", Key: "site"},
		Attempts: []store.Attempt{{N: 1, StartedAt: now}},
	}
	for _, r := range []store.Role{store.RoleManager, store.RoleCustomer} {
		loss := int64(0)
		c.Legs = append(c.Legs, store.Leg{
			ID: c.ID + string(r), Attempt: 1, Role: r, Number: c.Number, Trunk: "provider", State: store.LegAnswered,
			SIPCode: 200, StartedAt: now, RingAt: &now, AnsweredAt: &now,
			Quality: &store.Quality{Codec: "PCMA", PacketsIn: 1000, PacketsOut: 1000, Lost: &loss},
		})
	}
	return c
}

// BenchmarkSaveCall saves one call with one event and waits for the disk, as
// many callers at once as its name says.
func BenchmarkSaveCall(b *testing.B) { benchmarkSaveCall(b, Options{}) }

// BenchmarkSaveCallAndNoteIt does so with an outbox.
func BenchmarkSaveCallAndNoteIt(b *testing.B) { benchmarkSaveCall(b, Options{Outbox: true}) }

func benchmarkSaveCall(b *testing.B, opts Options) {
	for _, writers := range []int{1, 16, 64} {
		b.Run(fmt.Sprintf("writers=%d", writers), func(b *testing.B) {
			d, err := Open(b.Context(), filepath.Join(b.TempDir(), "perezvon.db"), opts)
			if err != nil {
				b.Fatal(err)
			}
			defer d.Close()
			work := make(chan int)
			var wg sync.WaitGroup
			for range writers {
				wg.Go(func() {
					for i := range work {
						c := benchCall(i / 10)
						c.State = []store.State{store.StateRingingManager, store.StateTalking}[i%2]
						ev := store.Event{Type: store.EventCallState, At: time.Now(), Data: []byte(`{"state":"talking","leg":"manager"}`)}
						if err := d.SaveCall(c, ev).Wait(context.Background()); err != nil {
							b.Error(err)
						}
					}
				})
			}
			b.ReportAllocs()
			b.ResetTimer()
			before := cpuTime()
			for i := range b.N {
				work <- i
			}
			close(work)
			wg.Wait()
			b.StopTimer()
			b.ReportMetric(float64(cpuTime()-before)/float64(b.N)/1e6, "cpu-ms/op")
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
		})
	}
}

// cpuTime is what this process has used so far, in user space and the kernel.
func cpuTime() time.Duration {
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
