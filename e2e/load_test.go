package e2e

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"regexp"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"perezvon/internal/api"
	"perezvon/internal/lab"
)

// Load without E2E_LOAD, its duration, and E2E_LOAD_RATE, callbacks a second.
// Half of it is the first load, with which the second one is compared.
const (
	loadTime = 30 * time.Second
	loadRate = 5
	// afterLoad is how long SIP remembers what is over (64·T1), and a little.
	afterLoad  = 35 * time.Second
	loadMemory = 16 << 20 // bytes more of resident memory that prove nothing
)

// footprint is what a server holds while nobody calls.
type footprint struct {
	goroutines, files, ports int
	resident, heap           int // bytes
}

func (f footprint) String() string {
	return fmt.Sprintf("%d goroutines, %d open files, %d pairs of media ports in use, %.1f MiB resident, %.1f MiB of heap in use",
		f.goroutines, f.files, f.ports, float64(f.resident)/(1<<20), float64(f.heap)/(1<<20))
}

// Under load of all kinds nothing grows: after it the server holds what it held
// before.
func TestLoadLeavesTheServerAsItWas(t *testing.T) {
	t.Parallel()
	seed := number(t, "E2E_SEED", uint64(time.Now().UnixNano()))
	rate := int(number(t, "E2E_LOAD_RATE", loadRate))
	lasts := loadTime
	if text := os.Getenv("E2E_LOAD"); text != "" {
		var err error
		if lasts, err = time.ParseDuration(text); err != nil {
			t.Fatalf("E2E_LOAD: %v", err)
		}
	}
	t.Logf("E2E_SEED=%d, %s at %d callbacks a second", seed, lasts, rate)
	l := &load{random: rand.New(rand.NewPCG(seed, 0)), every: time.Second / time.Duration(rate)}
	l.phones, l.outside = newCarrier(t), newCarrier(t)
	l.hire(rate * 20) // everybody is in one call at a time
	l.server = serve(t, setup{
		trunk: l.outside.Addr().String(), manager: l.phones.Addr().String(), ports: 600,
		extensions: l.extensions.String(), lines: l.lines.String(),
		callback: ", ring: 3s, customer_ring: 3s, attempts: 2, retry: [1s], busy_retry: 1s",
	})
	start := l.footprint()
	l.run(lasts / 2)
	first := l.footprint()
	l.run(lasts / 2)
	second := l.footprint()
	t.Logf("at the start: %s", start)
	t.Logf("after the first half, %s: %s", lasts/2, first)
	t.Logf("after the second half: %s", second)
	t.Logf("%d callbacks ended: %s", l.calls, tally(l.outcomes))
	// What one call in ten left behind would be seen; a connection of a client
	// or a thing of the runtime's that happens to be there counts for nothing.
	few := max(3, l.calls/20)
	if second.goroutines > first.goroutines+few || second.files > first.files+few || second.ports != 0 {
		t.Errorf("after the load the server holds %s; it held %s", second, first)
	}
	if more := second.resident - first.resident; more > loadMemory {
		t.Errorf("the resident memory has grown by %.1f MiB", float64(more)/(1<<20))
	}
	atRest(t, l.phones, l.outside)
	l.stop()
}

// load is callbacks at a steady rate.
type load struct {
	*server
	office
	random   *rand.Rand
	every    time.Duration
	managers []string
	calls    int
	outcomes map[string]int
}

// hire makes up n managers.
func (l *load) hire(n int) {
	for i := range n {
		ext := fmt.Sprint(10000 + i)
		l.phone(ext, l.meet(managers))
		l.managers = append(l.managers, ext)
	}
}

// meet is what somebody does, always the same. Who says nothing never knows
// that a call is over.
func (l *load) meet(among []person) lab.Script {
	for {
		if p := meet(l.random, among); !p.silent() {
			scripts := p.scripts(l.random)
			return scripts[len(scripts)-1] // a manager who stays busy is waited for
		}
	}
}

// run places callbacks for a time and waits until all of them are over.
func (l *load) run(d time.Duration) {
	l.t.Helper()
	var placing sync.WaitGroup
	var refused atomic.Int64
	tick := time.NewTicker(l.every)
	defer tick.Stop()
	for end := time.Now().Add(d); time.Now().Before(end); <-tick.C {
		l.calls++
		body := api.CallbackBody{Line: line, Number: fmt.Sprintf("+7916%07d", l.calls), Manager: l.managers[l.calls%len(l.managers)]}
		if l.random.IntN(3) == 0 {
			body.Text = "Заявка."
		}
		l.outside.Number(body.Number, l.meet(customers))
		placing.Go(func() {
			if _, err := l.Callback(context.WithoutCancel(l.t.Context()), body); err != nil {
				refused.Add(1)
			}
		})
	}
	placing.Wait()
	if n := refused.Load(); n > 0 {
		l.t.Errorf("%d callbacks were refused", n)
	}
	eventually(l.t, 2*time.Minute, "all calls are over", func() bool {
		st, err := l.Status(within(l.t, 10*time.Second))
		if err != nil {
			l.t.Fatal(err)
		}
		l.outcomes = st.Ended
		return len(st.Open) == 0
	})
}

// footprint measures the server when it has forgotten what is over.
func (l *load) footprint() footprint {
	l.t.Helper()
	if l.calls > 0 {
		over := time.Now()
		eventually(l.t, 2*afterLoad, "what is over is forgotten", func() bool { return time.Since(over) > afterLoad })
	}
	l.Close() // our own connections are files, too
	http.DefaultClient.CloseIdleConnections()
	return footprint{
		goroutines: l.gauge("go_goroutines"), files: l.gauge("process_open_fds"), ports: l.gauge(`perezvon_media_port_pairs{use="in_use"}`),
		resident: l.gauge("process_resident_memory_bytes"), heap: l.gauge("go_memstats_heap_inuse_bytes"),
	}
}

// gauge reads a value of GET /metrics.
func (s *server) gauge(name string) int {
	s.t.Helper()
	found := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(name) + ` (\S+)$`).FindStringSubmatch(s.get("/metrics"))
	if found == nil {
		s.t.Fatalf("GET /metrics has no %s", name)
	}
	n, err := strconv.ParseFloat(found[1], 64)
	if err != nil {
		s.t.Fatal(err)
	}
	return int(n)
}
