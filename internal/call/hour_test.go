package call_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"perezvon/configs"
	"perezvon/internal/call"
	"perezvon/internal/lab"
	"perezvon/internal/store"
)

// footprint is what the program holds while nobody calls.
type footprint struct {
	goroutines, ports, sockets int
	heap                       uint64 // bytes
}

func (f footprint) String() string {
	return fmt.Sprintf("%d goroutines, %d media ports, %d sockets, %d KiB of heap", f.goroutines, f.ports, f.sockets, f.heap>>10)
}

// An hour of calls of all kinds leaves the program as it was: no goroutine, no
// port, no socket, no dialog and no memory more than before. The race detector,
// which makes it eight times slower, looks at ten minutes of it.
func TestAnHourOfRandomCallsLeavesNothing(t *testing.T) {
	inWorld(t, hourConfig, func(w *world) {
		h := &hour{world: w, random: rand.New(rand.NewPCG(1, 2)), results: map[store.Result]int{}}
		long := time.Hour
		if raced {
			long = 10 * time.Minute
		}
		h.last(10 * time.Minute) // what stays after the first calls, stays
		before := h.footprint()
		calls := h.calls
		h.last(long)
		after := h.footprint()
		t.Logf("before: %s", before)
		t.Logf("after %d calls more: %s", h.calls-calls, after)
		t.Logf("they ended: %v", h.results)
		if after.goroutines > before.goroutines || after.ports != 0 || after.sockets != before.sockets {
			t.Errorf("it holds %s, before %s", after, before)
		}
		// The database's cache of pages may still grow a little.
		if more := int64(after.heap) - int64(before.heap); more > 1<<20 {
			t.Errorf("the heap has grown by %d KiB", more>>10)
		}
		if len(h.results) < 8 {
			t.Errorf("the calls ended in %d ways only: %v", len(h.results), h.results)
		}
	})
}

// hourConfig has a line whose route is an extension, then all of them.
func hourConfig(cfg *configs.Config) {
	cfg.Lines[0].Route = []configs.Step{
		{Extension: &configs.ExtensionStep{Number: "101"}},
		{Group: &configs.GroupStep{Members: []string{"101", "102", "103"}, Strategy: "all"}},
	}
	cfg.Callback.Attempts = 2
	cfg.Callback.Retry = []time.Duration{time.Minute}
	cfg.Callback.BusyRetry = time.Minute
}

// hour is a world in which people call at random.
type hour struct {
	*world
	random  *rand.Rand
	calls   int // there were so far
	results map[store.Result]int
}

// last lets things happen for a time, and waits until all calls are over.
func (h *hour) last(d time.Duration) {
	h.t.Helper()
	for end := time.Now().Add(d); time.Now().Before(end); {
		time.Sleep(time.Duration(h.random.ExpFloat64() * float64(30*time.Second)))
		for ext := range h.phones {
			h.phone(ext, h.manager()...)
		}
		h.happen()
	}
	for ext := range h.phones {
		h.phone(ext, answering(managerTone)...)
	}
	for range 4 * 3600 {
		time.Sleep(time.Second) // who has just called is no open call yet
		open, err := h.db.OpenCalls(context.Background())
		if err != nil {
			h.t.Fatal(err)
		}
		if len(open) == 0 {
			h.count()
			return
		}
	}
	h.t.Fatal("there are open calls four hours later")
}

// happen is one event.
func (h *hour) happen() {
	h.t.Helper()
	switch n := h.random.IntN(20); {
	case n < 13:
		h.calls++
		number := fmt.Sprintf("7999%07d", h.calls)
		h.number(number, h.customer()...)
		req := call.CallbackRequest{Line: "main", Number: "+" + number}
		if h.random.IntN(2) == 0 {
			req.Text = "Заявка с сайта."
		}
		if h.random.IntN(5) == 0 {
			req.Mode = call.CustomerFirst
		}
		h.request(req)
	case n < 18:
		h.calls++
		_, err := h.carrier.Call(context.Background(), lab.CallOptions{
			To: netip.MustParseAddrPort("10.0.0.1:5060"), User: lineNumber, From: fmt.Sprintf("+7998%07d", h.calls), Script: h.caller(),
		})
		if err != nil {
			h.t.Fatal(err)
		}
	default:
		open, err := h.db.OpenCalls(context.Background())
		if err != nil {
			h.t.Fatal(err)
		}
		if len(open) > 0 {
			_, err := h.svc.Cancel(context.Background(), open[h.random.IntN(len(open))].ID, "a test")
			if err != nil {
				h.t.Logf("cancel: %v", err) // it has just ended
			}
		}
	}
}

func (h *hour) upTo(d time.Duration) time.Duration { return time.Duration(h.random.Int64N(int64(d))) }

func (h *hour) customer() lab.Script {
	talk := append(lab.Customer(h.upTo(20*time.Second)), lab.Talk(h.upTo(10*time.Second)), lab.Bye())
	return pick(h.random, talk, talk, talk, talk,
		append(lab.Script{lab.RecordRoute()}, talk...),
		append(lab.Script{lab.EarlyMedia(time.Second, 1400)}, talk[2:]...),
		append(slices.Clone(talk[:3]), lab.ForkSecond200(), lab.Talk(time.Second), lab.Bye()),
		lab.Script{lab.Ring(0)},
		lab.Script{lab.Ring(0), lab.AnswerOnCancel()},
		lab.Script{lab.Ring(0), lab.Wait(h.upTo(20 * time.Second)), lab.Reject(486, "Busy Here")},
		lab.Script{lab.Ring(0), lab.Wait(h.upTo(20 * time.Second)), lab.Reject(480, "Temporarily Unavailable")},
		lab.Script{lab.Reject(603, "Decline")},
		lab.Script{lab.Reject(404, "Not Found")},
		lab.Script{lab.Reject(503, "Service Unavailable")},
	)
}

func (h *hour) manager() lab.Script {
	good := lab.Manager(h.upTo(8 * time.Second))
	return pick(h.random, good, good, good, good,
		append(slices.Clone(good), lab.Talk(h.upTo(10*time.Second)), lab.Bye()),
		append(slices.Clone(good), lab.Hold(), lab.Talk(time.Second), lab.Resume()),
		lab.Script{lab.Ring(0)},
		lab.Script{lab.Reject(486, "Busy Here")},
		lab.Script{lab.Ring(0), lab.Wait(time.Second), lab.Reject(603, "Decline")},
	)
}

func (h *hour) caller() lab.Script {
	return pick(h.random,
		lab.Script{lab.Tone(customerTone), lab.Talk(h.upTo(10 * time.Second)), lab.Bye()},
		lab.Script{lab.Tone(customerTone), lab.Cancel(h.upTo(30 * time.Second)), lab.Talk(time.Second), lab.Bye()},
	)
}

func pick(r *rand.Rand, scripts ...lab.Script) lab.Script { return scripts[r.IntN(len(scripts))] }

// count adds up how all calls have ended.
func (h *hour) count() {
	h.t.Helper()
	clear(h.results)
	for f := (store.Filter{Limit: 1000}); ; {
		calls, next, err := h.db.Calls(context.Background(), f)
		if err != nil {
			h.t.Fatal(err)
		}
		for _, c := range calls {
			h.results[c.Result]++
			if n := h.endings(c.ID); n != 1 {
				h.t.Errorf("call %s has %d terminal events", c.ID, n)
			}
		}
		if f.Cursor = next; next == "" {
			return
		}
	}
}

// footprint measures what the program holds, without what the people around
// remember of their calls.
func (h *hour) footprint() footprint {
	h.t.Helper()
	time.Sleep(2 * time.Minute) // transactions end by timers
	renew := func(c *lab.Carrier) *lab.Carrier {
		h.atRest(c)
		return h.network(c.Addr().String())
	}
	h.carrier, h.backup = renew(h.carrier), renew(h.backup)
	for ext, p := range h.phones {
		h.phones[ext] = renew(p)
	}
	inUse, _ := h.sound.Ports()
	for range 3 {
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return footprint{goroutines: runtime.NumGoroutine(), ports: inUse, sockets: h.net.Open(), heap: m.HeapAlloc}
}

// atRest expects that nobody of a carrier is in a call, and ends it.
func (h *hour) atRest(c *lab.Carrier) {
	h.t.Helper()
	if d, r := c.Dialogs(), c.RingingNow(); d != 0 || r != 0 {
		h.t.Errorf("%s: %d dialogs are up, %d phones ring", c.Addr(), d, r)
	}
	if v := c.Violations(); len(v) > 0 {
		h.t.Errorf("%s: rules were broken:\n%s", c.Addr(), strings.Join(v, "\n"))
	}
	if err := c.Close(); err != nil {
		h.t.Error(err)
	}
}
