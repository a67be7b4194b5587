package call_test

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"perezvon/configs"
	"perezvon/internal/lab"
	"perezvon/internal/store"
)

// crash kills Perezvon in this moment and starts it anew on what was on the
// disk. Nothing of the dead one reaches the network or the new one's data.
func (w *world) crash() {
	w.t.Helper()
	synctest.Wait()
	w.home.Crash()
	next := w.t.TempDir()
	if err := os.CopyFS(next, os.DirFS(w.dir)); err != nil {
		w.t.Fatal(err)
	}
	_ = os.Remove(filepath.Join(next, "perezvon.db.lock"))
	w.net.Unplug(ourIP)
	db, sound, agent, svc := w.db, w.sound, w.agent, w.svc
	w.dead = append(w.dead, func() {
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		_ = svc.Close(ctx) // its errors are those of a dead program
		_ = agent.Close(ctx)
		_ = sound.Close()
		_ = db.Close()
	})
	w.dir = next
	w.start()
}

// endings counts the terminal events of a call.
func (w *world) endings(id string) int {
	n := 0
	for _, typ := range w.states(id) {
		if typ == store.EventCallEnded {
			n++
		}
	}
	return n
}

func TestCrashInEveryState(t *testing.T) {
	for name, c := range map[string]struct {
		at      store.State
		after   time.Duration // in that state
		result  store.Result
		dialled int // how often the customer was
	}{
		"while the manager rings":  {store.StateRingingManager, 500 * time.Millisecond, store.ResultCompleted, 1},
		"during the announcement":  {store.StateAnnouncing, 500 * time.Millisecond, store.ResultCompleted, 1},
		"while the customer rings": {store.StateRingingCustomer, 500 * time.Millisecond, store.ResultCompleted, 2},
		"during the talk":          {store.StateTalking, 3 * time.Second, store.ResultInterrupted, 1},
		"at the start of the talk": {store.StateTalking, 0, store.ResultInterrupted, 1},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, nil, func(w *world) {
				w.phone("101", answering(managerTone)...)
				w.number(customer, hangingUpAfter(customerTone, 10*time.Second)...)
				id := w.callback().ID
				w.until(id, c.at)
				time.Sleep(c.after)
				w.crash()
				rec := w.end(id)
				if rec.Result != c.result {
					t.Errorf("ended with %s (%s), want %s", rec.Result, rec.Reason, c.result)
				}
				if n := w.rung(w.carrier, customer); n != c.dialled {
					t.Errorf("the customer was dialled %d times, want %d", n, c.dialled)
				}
				if n := w.endings(id); n != 1 {
					t.Errorf("there are %d terminal events", n)
				}
				if c.result == store.ResultInterrupted && c.after > 0 && rec.Recording == nil {
					t.Error("the recording of the interrupted talk is lost")
				}
			})
		})
	}
}

func TestCrashRightAfterTheRequestWasAccepted(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.phone("101", answering(managerTone)...)
		w.number(customer, hangingUpAfter(customerTone, 3*time.Second)...)
		id := w.callback().ID
		w.crash()
		w.expect(w.end(id), store.ResultCompleted, "200", "")
		if n := w.rung(w.carrier, customer); n != 1 {
			t.Errorf("the customer was dialled %d times", n)
		}
	})
}

func TestCrashWhileARetryWaitsKeepsItsTime(t *testing.T) {
	inWorld(t, func(c *configs.Config) { c.Callback.Attempts = 2 }, func(w *world) {
		w.phone("101", lab.Reject(486, "Busy Here"))
		id := w.callback().ID
		due := *w.until(id, store.StateWaitingRetry).NextAt
		time.Sleep(time.Minute)
		w.crash()
		w.phone("101", answering(managerTone)...)
		w.number(customer, hangingUpAfter(customerTone, 3*time.Second)...)
		rec := w.end(id)
		w.expect(rec, store.ResultCompleted, "200", "")
		if at := rec.Attempts[1].StartedAt; at.Before(due) || at.After(due.Add(2*time.Second)) {
			t.Errorf("the retry ran at %v, it was due at %v", at, due)
		}
	})
}

func TestCrashDuringAnInboundCallEndsBothSides(t *testing.T) {
	for name, at := range map[string]time.Duration{"while it rings": 500 * time.Millisecond, "during the talk": 4 * time.Second} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, nil, func(w *world) {
				w.phone("101", answering(managerTone)...)
				caller := w.inbound(lab.Tone(customerTone))
				time.Sleep(at)
				w.crash()
				<-caller.Ended()
				rec := w.onlyCall()
				if rec.Result != store.ResultInterrupted || w.endings(rec.ID) != 1 {
					t.Errorf("ended with %s, %d terminal events", rec.Result, w.endings(rec.ID))
				}
			})
		})
	}
}

func TestCrashWhileTheManagerIsToldKeepsWhatWasKnown(t *testing.T) {
	inWorld(t, func(c *configs.Config) { c.Callback.Attempts = 2 }, func(w *world) {
		w.phone("101", answering(managerTone)...)
		w.number(customer, lab.Ring(0), lab.Wait(2*time.Second), lab.Reject(486, "Busy Here"))
		id := w.callback().ID
		p := w.party(w.phones["101"], "101", 1)
		for !p.Heard(sentenceTone, 200*time.Millisecond) {
			time.Sleep(100 * time.Millisecond)
		}
		w.crash()
		rec := w.until(id, store.StateWaitingRetry)
		if a := rec.Attempts[0]; a.Result != store.ResultCustomerBusy || time.Until(*rec.NextAt) < 4*time.Minute {
			t.Errorf("attempt ended with %s, next at %v", a.Result, rec.NextAt)
		}
		w.number(customer, hangingUpAfter(customerTone, 3*time.Second)...)
		w.expect(w.end(id), store.ResultCompleted, "200", "")
	})
}

func TestCallThatACrashEndedIsCountedAndItsLegsSayWhy(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.phone("101", answering(managerTone)...)
		w.number(customer, answering(customerTone)...)
		id := w.callback().ID
		w.until(id, store.StateTalking)
		time.Sleep(2 * time.Second)
		w.crash()
		rec := w.end(id)
		if n := w.svc.Status().Ended[store.ResultInterrupted]; n != 1 {
			t.Errorf("%d interrupted calls are counted", n)
		}
		for _, l := range rec.Legs {
			if l.Reason != "the server stopped during the call" || l.Q850 != 41 {
				t.Errorf("the leg of the %s ended with %q, cause %d", l.Role, l.Reason, l.Q850)
			}
		}
	})
}

func TestCallThatACrashEndedKeepsItsRecordingThoughItsLineIsGone(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.phone("101", answering(managerTone)...)
		caller := w.inbound(lab.Tone(customerTone))
		time.Sleep(6 * time.Second)
		next := *w.cfg
		next.Lines = slices.Clone(next.Lines)
		next.Lines[0].ID = "renamed"
		w.cfg = &next
		w.crash()
		<-caller.Ended()
		rec := w.onlyCall()
		if rec.Result != store.ResultInterrupted || rec.Reason != `line "main" is no longer configured` {
			t.Errorf("ended with %s (%s)", rec.Result, rec.Reason)
		}
		if rec.Recording == nil || rec.TalkMS < 1000 {
			t.Errorf("the recording is %+v, the talk lasted %d ms", rec.Recording, rec.TalkMS)
		}
		for _, l := range rec.Legs {
			if l.State != store.LegEnded || l.Q850 != 41 || l.Reason != "the server stopped during the call" {
				t.Errorf("the leg of the %s is %s with %q, cause %d", l.Role, l.State, l.Reason, l.Q850)
			}
		}
	})
}
