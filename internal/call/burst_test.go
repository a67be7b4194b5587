package call_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"runtime"
	"slices"
	"testing"
	"time"

	"perezvon/configs"
	"perezvon/internal/lab"
	"perezvon/internal/store"
)

// burst has five managers, who are rung together.
var burstPhones = []string{"101", "102", "103", "104", "105"}

func burst(c *configs.Config) {
	groupOf("all", burstPhones...)(c)
	c.Lines[0].Record = false
	c.Media.Ports = configs.PortRange{First: 20000, Last: 22999} // 12 for each call
	c.Extensions = append(c.Extensions,
		configs.Extension{Number: "104", Contact: "sip:104@10.0.0.14:5060"},
		configs.Extension{Number: "105", Contact: "sip:105@10.0.0.15:5060"})
}

// toneOf is what a manager sounds like.
func toneOf(extension string) float64 {
	return 500 + 60*float64(slices.Index(burstPhones, extension))
}

func TestHundredCallsInOneSecondEndWithTheTruthAndLeaveNothing(t *testing.T) {
	inWorld(t, burst, func(w *world) {
		for ext, addr := range map[string]string{"104": "10.0.0.14:5060", "105": "10.0.0.15:5060"} {
			w.phones[ext] = w.network(addr)
		}
		random := rand.New(rand.NewPCG(3, 4))
		ready := func(n int) {
			for _, ext := range burstPhones {
				scripts := make([]lab.Script, n)
				for i := range scripts {
					scripts[i] = moodOf(random, toneOf(ext))
				}
				w.phones[ext].Turns(ext, scripts...)
			}
		}
		ready(10)
		judge(t, w, rings(t, w, 10, 0)) // what stays after the first calls, stays
		before := goroutines()
		ready(100)
		results := judge(t, w, rings(t, w, 100, 10))
		t.Logf("they ended: %v", results)
		if after := goroutines(); after > before {
			t.Errorf("%d goroutines, before them %d", after, before)
		}
		if inUse, _ := w.sound.Ports(); inUse != 0 {
			t.Errorf("%d pairs of media ports are in use", inUse)
		}
		if results[store.ResultCompleted] < 30 || results[store.ResultMissed] < 10 {
			t.Errorf("they ended %v: that tells little", results)
		}
	})
}

// moodOf is what a manager does with a call.
func moodOf(r *rand.Rand, hz float64) lab.Script {
	after := time.Duration(r.Int64N(int64(10 * time.Second)))
	return pick(r,
		lab.Script{lab.Tone(hz), lab.Ring(0), lab.Answer(after)},
		lab.Script{lab.Reject(486, "Busy Here")},
		lab.Script{lab.Reject(486, "Busy Here")},
		lab.Script{lab.Ring(0), lab.Wait(after), lab.Reject(603, "Decline")},
		lab.Script{lab.Ring(0)},
		lab.Script{lab.Ring(0), lab.AnswerOnCancel()},
		lab.Script{lab.Silence()},
	)
}

// rings lets n callers call within a second and waits until all are gone.
func rings(t *testing.T, w *world, n, first int) []*lab.Party {
	t.Helper()
	callers := make([]*lab.Party, n)
	for i := range callers {
		var err error
		callers[i], err = w.carrier.Call(context.Background(), lab.CallOptions{
			To: netip.MustParseAddrPort("10.0.0.1:5060"), User: lineNumber, From: fmt.Sprintf("+7999%07d", first+i),
			Script: lab.Script{lab.Tone(customerTone), lab.Talk(2 * time.Second), lab.Bye()},
		})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second / time.Duration(n))
	}
	for _, p := range callers {
		<-p.Ended()
	}
	time.Sleep(time.Minute)
	return callers
}

// judge compares what is stored of every call with what its caller saw, and
// with what the phones did.
func judge(t *testing.T, w *world, callers []*lab.Party) map[store.Result]int {
	t.Helper()
	results := map[store.Result]int{}
	for _, p := range callers {
		calls, _, err := w.db.Calls(context.Background(), store.Filter{Number: p.Number()})
		if err != nil || len(calls) != 1 {
			t.Fatalf("%d calls of %s are stored (%v)", len(calls), p.Number(), err)
		}
		rec := calls[0]
		results[rec.Result]++
		if rec.State != store.StateEnded || w.endings(rec.ID) != 1 {
			t.Errorf("call of %s is %s with %d terminal events", rec.Number, rec.State, w.endings(rec.ID))
		}
		want, heard := store.ResultMissed, whom(p)
		switch {
		case heard != "":
			want = store.ResultCompleted
		case allBusy(w, p.Number()):
			want = store.ResultBusy
		}
		who := ""
		if rec.Manager != nil {
			who = rec.Manager.Extension
		}
		if rec.Result != want || who != heard || (rec.AnsweredAt != nil) != (heard != "") {
			t.Errorf("call of %s ended with %s, answered by %q at %v; the caller heard %q", rec.Number, rec.Result, who, rec.AnsweredAt, heard)
		}
	}
	return results
}

// whom is the manager whom a caller heard, empty for nobody.
func whom(p *lab.Party) string {
	who := ""
	for _, tone := range p.HeardTones(time.Time{}, time.Time{}) {
		for _, ext := range burstPhones {
			if abs(tone.Hz-toneOf(ext)) < 7 && tone.Total > time.Second {
				who += ext
			}
		}
	}
	return who
}

// allBusy reports whether every phone refused a caller's call with 486.
func allBusy(w *world, number string) bool {
	for _, ext := range burstPhones {
		for _, p := range w.phones[ext].Calls(ext) {
			if ev, refused := p.Event(lab.Refused); p.From() == number && (!refused || ev.Status != 486) {
				return false
			}
		}
	}
	return true
}

// goroutines counts them when all is quiet.
func goroutines() int {
	time.Sleep(2 * time.Minute) // transactions end by timers
	return runtime.NumGoroutine()
}

func TestCallerForWhomThereAreNoPortsWasMissed(t *testing.T) {
	inWorld(t, func(c *configs.Config) { c.Media.Ports = configs.PortRange{First: 20000, Last: 20003} }, func(w *world) {
		w.phone("101", answering(managerTone)...)
		first := w.inbound(lab.Tone(customerTone), lab.Talk(5*time.Second), lab.Bye())
		time.Sleep(3 * time.Second)
		second := w.inbound(lab.Tone(customerTone))
		<-second.Ended()
		<-first.Ended()
		if ev, _ := second.Event(lab.Refused); ev.Status != 503 {
			t.Errorf("the second caller got %v", ev)
		}
		time.Sleep(time.Second)
		calls, _, err := w.db.Calls(context.Background(), store.Filter{})
		if err != nil || len(calls) != 2 {
			t.Fatalf("%d calls are stored (%v)", len(calls), err)
		}
		w.expect(calls[0], store.ResultMissed, "503", store.PartyUs)
		w.expect(calls[1], store.ResultCompleted, "200", "")
	})
}
