// Command load measures a perezvon on this machine: it starts one with an empty
// data folder, plays both ends of every call on loopback with real SIP and
// sound, and prints what the calls cost the server.
//
//	go run ./bench/load -server bin/perezvon -rate 25 -duration 10s
//
// The parties cost several times what the server does, so on two cores rates
// beyond about 50 calls a second measure them and not the server.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"sync"
	"time"

	"perezvon/internal/lab"
)

// options are those of the command line.
type options struct {
	server   string
	rate     int
	hold     time.Duration
	duration time.Duration
}

func main() {
	var o options
	flag.StringVar(&o.server, "server", "bin/perezvon", "the program to measure")
	flag.IntVar(&o.rate, "rate", 25, "calls to begin in a second, 1 to 200")
	flag.DurationVar(&o.hold, "hold", 2*time.Second, "how long each is talked, 100ms to 1m")
	flag.DurationVar(&o.duration, "duration", 10*time.Second, "how long calls are begun, 1s to 5m")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) error {
	if o.rate < 1 || o.rate > 200 || o.hold < 100*time.Millisecond || o.hold > time.Minute || o.duration < time.Second || o.duration > 5*time.Minute {
		return errors.New("-rate, -hold or -duration is out of its range")
	}
	fmt.Printf("%d calls begin every second for %v, each is talked for %v\n\n", o.rate, o.duration, o.hold)
	fmt.Printf("%-10s %7s %7s %10s %10s %8s %10s %7s %8s\n",
		"", "calls", "failed", "p50", "p99", "lost", "CPU/call", "cores", "memory")
	for _, mode := range []struct {
		name  string
		place func(context.Context, *stage, int) (*lab.Party, time.Duration, error)
	}{{"bridged", bridged}, {"callback", callback}} {
		if err := measure(ctx, o, mode.name, mode.place); err != nil {
			return fmt.Errorf("%s: %w", mode.name, err)
		}
	}
	fmt.Print("\np50 and p99: until both could talk. lost: of the packets on their way to a party.\nmemory: what was added at most; what is over is kept for 32 s, as SIP asks.\n")
	return nil
}

// tally is what the calls of a run came to.
type tally struct {
	mu      sync.Mutex
	waits   []time.Duration // guarded by mu
	failed  int             // guarded by mu
	why     error           // guarded by mu; the first failure
	lost    int             // guarded by mu
	packets int             // guarded by mu
}

func (t *tally) add(p *lab.Party, wait time.Duration, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err != nil {
		if t.failed++; t.why == nil {
			t.why = err
		}
		return
	}
	r := p.Reception()
	t.waits, t.lost, t.packets = append(t.waits, wait), t.lost+r.Lost, t.packets+r.Packets
}

// measure runs one kind of call against a server of its own.
func measure(ctx context.Context, o options, name string, place func(context.Context, *stage, int) (*lab.Party, time.Duration, error)) (err error) {
	s, err := open(ctx, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	before, err := s.usage()
	if err != nil {
		return err
	}
	calls := o.rate * int(o.duration/time.Second)
	peak := before.memory
	var t tally
	var wg sync.WaitGroup
	began := time.Now()
	tick := time.NewTicker(time.Second / time.Duration(o.rate))
	defer tick.Stop()
	for i := range calls {
		select {
		case <-tick.C:
		case <-ctx.Done():
			wg.Wait()
			return context.Cause(ctx)
		}
		wg.Go(func() { t.add(place(ctx, s, i)) })
		if i%o.rate == 0 {
			if u, err := s.usage(); err == nil {
				peak = max(peak, u.memory)
			}
		}
	}
	wg.Wait()
	after, err := s.usage()
	if err != nil {
		return err
	}
	cpu, peak := after.cpu-before.cpu, max(peak, after.memory)
	slices.Sort(t.waits)
	fmt.Printf("%-10s %7d %7d %10s %10s %7.2f%% %10s %7.2f %4d MiB\n", name, calls, t.failed,
		percentile(t.waits, 50), percentile(t.waits, 99), 100*float64(t.lost)/float64(max(1, t.packets+t.lost)),
		(cpu / time.Duration(calls)).Round(10*time.Microsecond), cpu.Seconds()/time.Since(began).Seconds(), (peak-before.memory)>>20)
	if t.failed > 0 {
		return fmt.Errorf("%d of %d calls failed, the first: %w", t.failed, calls, t.why)
	}
	return nil
}

func percentile(sorted []time.Duration, p int) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[(len(sorted)-1)*p/100].Round(100 * time.Microsecond)
}
