package call_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"perezvon/configs"
	"perezvon/internal/call"
	"perezvon/internal/lab"
	"perezvon/internal/store"
)

// anyNumberOfCalls leaves only the block to stand in the way.
func anyNumberOfCalls(c *configs.Config) {
	c.Limits.PerNumber, c.Infocall.LoopLimit = configs.Rate{}, 0
}

// misses lets so many informational calls to the customer fail.
func (w *world) misses(n int) {
	w.t.Helper()
	w.number(customer, lab.Reject(486, "Busy Here"))
	for range n {
		w.expectInfo(w.end(w.infocall().ID), "N", "Занято (486)", "486")
	}
}

func TestNumberThatFailedTenTimesIsBlockedAndAnsweredForAtOnce(t *testing.T) {
	inWorld(t, func(c *configs.Config) { anyNumberOfCalls(c); c.Infocall.Attempts = 2 }, func(w *world) {
		w.misses(5) // of two attempts each
		rung, began := w.rung(w.carrier, customer), time.Now()
		rec, duplicate, err := w.svc.Infocall(context.Background(), fillInfocall(call.InfocallRequest{}))
		if err != nil || duplicate || rec.State != store.StateEnded || time.Since(began) > 0 {
			t.Fatalf("got %s after %s, duplicate %v, %v", rec.State, time.Since(began), duplicate, err)
		}
		w.expect(rec, store.ResultBlocked, "423", store.PartyUs)
		w.expectInfo(rec, "N", "Номер заблокирован (423)", "423")
		stored := w.end(rec.ID)
		w.expectInfo(stored, "N", "Номер заблокирован (423)", "423")
		if want := []string{store.EventCallCreated, store.EventCallEnded}; !slices.Equal(w.states(rec.ID), want) {
			t.Errorf("events %v", w.states(rec.ID))
		}
		if n := w.rung(w.carrier, customer); rung != 10 || n != rung {
			t.Errorf("rung %d times before and %d after", rung, n)
		}
		if waited, err := w.svc.AwaitInfocall(context.Background(), rec.ID); err != nil || waited.Info == nil || w.svc.Status().Ended[store.ResultBlocked] != 1 {
			t.Errorf("who waits gets %+v, %v", waited.Info, err)
		}
	})
}

func TestAttemptThatBlocksANumberIsTheLastAndTellsSo(t *testing.T) {
	inWorld(t, func(c *configs.Config) { anyNumberOfCalls(c); c.Infocall.Attempts, c.Infocall.BlockAfter = 5, 3 }, func(w *world) {
		w.number(customer, lab.Reject(486, "Busy Here"))
		rec := w.end(w.infocall().ID)
		w.expectInfo(rec, "N", "Занято (486)", "486")
		if len(rec.Attempts) != 3 || !slices.Contains(w.states(rec.ID), store.EventNumberBlocked) {
			t.Errorf("%d attempts, events %v", len(rec.Attempts), w.states(rec.ID))
		}
	})
}

func TestCallThatWaitsIsNotPlacedWhenItsNumberIsBlockedMeanwhile(t *testing.T) {
	inWorld(t, func(c *configs.Config) { anyNumberOfCalls(c); c.Infocall.Attempts, c.Infocall.BlockAfter = 2, 2 }, func(w *world) {
		w.number(customer, lab.Reject(486, "Busy Here"))
		waits := w.infocall()
		w.until(waits.ID, store.StateWaitingRetry)
		w.end(w.infocall().ID)
		w.expectInfo(w.end(waits.ID), "N", "Номер заблокирован (423)", "423")
		if n := w.rung(w.carrier, customer); n != 2 {
			t.Errorf("rung %d times", n)
		}
	})
}

func TestFailuresThatAreNotTheCalleesDoNotCount(t *testing.T) {
	for name, prepare := range map[string]func(*world){
		"the trunk refuses":   func(w *world) { w.number(customer, lab.Reject(503, "No")) },
		"the trunk forbids":   func(w *world) { w.number(customer, lab.Reject(403, "No")) },
		"the trunk is silent": func(w *world) { w.number(customer, lab.Silence()) },
		"the trunk is down":   func(w *world) { w.down.Store("provider", "no answer") },
		"no engine works":     func(w *world) { w.speech.broken.Store(true) },
		"it is cancelled": func(w *world) {
			w.number(customer, lab.Ring(0))
			w.speech.broken.Store(false)
		},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(c *configs.Config) { anyNumberOfCalls(c); c.Infocall.BlockAfter = 1 }, func(w *world) {
				prepare(w)
				for range 2 {
					id := w.infocall().ID
					if name == "it is cancelled" {
						w.until(id, store.StateRinging)
						_, _ = w.svc.Cancel(context.Background(), id, "")
					}
					if rec := w.end(id); rec.Result == store.ResultBlocked {
						t.Error("the number is blocked")
					}
				}
			})
		})
	}
}

func TestAnsweredCallBeginsTheCountAnew(t *testing.T) {
	for name, steps := range map[string][]lab.Step{
		"and was heard":     listening(),
		"and was hung up":   hangingUpAfter(customerTone, 0),
		"but made no sound": append([]lab.Step{lab.NoSound()}, listening()...),
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(c *configs.Config) { anyNumberOfCalls(c); c.Infocall.BlockAfter = 3 }, func(w *world) {
				w.misses(2)
				w.number(customer, steps...)
				if rec := w.end(w.infocall().ID); rec.Info.Code != "200" {
					t.Errorf("code %s", rec.Info.Code)
				}
				w.misses(3)
				w.expectInfo(w.infocall(), "N", "Номер заблокирован (423)", "423")
			})
		})
	}
}

func TestOperatorListsAndUnblocksNumbers(t *testing.T) {
	inWorld(t, func(c *configs.Config) { anyNumberOfCalls(c); c.Infocall.BlockAfter = 2 }, func(w *world) {
		ctx := context.Background()
		w.misses(2)
		list, next, err := w.svc.BlockedNumbers(ctx, store.BlockFilter{})
		if err != nil || next != "" || len(list) != 1 || list[0].Number != "+"+customer || list[0].Failures != 2 {
			t.Fatalf("blocked are %+v, %q, %v", list, next, err)
		}
		b, err := w.svc.Unblock(ctx, "+"+customer, "ops", "he has asked")
		if err != nil || b.Failures != 2 {
			t.Errorf("unblocked %+v, %v", b, err)
		}
		if known, err := w.db.Block(ctx, "+"+customer); err != nil || known.Unblocked == nil || known.Unblocked.By != "ops" || known.Unblocked.Reason != "he has asked" {
			t.Errorf("kept is %+v, %v", known, err)
		}
		if _, err := w.svc.Unblock(ctx, "+"+customer, "ops", "again"); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("a second time: %v", err)
		}
		w.misses(1)
		w.number(customer, listening()...)
		w.expectInfo(w.end(w.infocall().ID), "Y", "Успешно (200)", "200")
	})
}

func TestBlockIsForInformationalCallsAlone(t *testing.T) {
	inWorld(t, func(c *configs.Config) { anyNumberOfCalls(c); c.Infocall.BlockAfter = 1 }, func(w *world) {
		w.misses(1)
		w.phone("101", answering(managerTone)...)
		w.number(customer, hangingUpAfter(customerTone, 2*time.Second)...)
		w.expect(w.end(w.callback().ID), store.ResultCompleted, "200", "")
		w.expectInfo(w.infocall(), "N", "Номер заблокирован (423)", "423")
	})
}

func TestNumbersAreNotBlockedWhereThatIsOff(t *testing.T) {
	inWorld(t, func(c *configs.Config) { anyNumberOfCalls(c); c.Infocall.BlockAfter = 0 }, func(w *world) {
		w.misses(12)
	})
}

func TestBlockedNumberIsAnsweredForWhateverTheLimits(t *testing.T) {
	inWorld(t, func(c *configs.Config) {
		c.Infocall.BlockAfter, c.Limits.PerNumber.Count, c.Infocall.LoopLimit = 2, 2, 2
	}, func(w *world) {
		w.misses(2)
		key := &store.Key{Scope: "test", Value: "one", Hash: "x"}
		first := w.inform(call.InfocallRequest{Key: key})
		for range 3 {
			w.expectInfo(w.infocall(), "N", "Номер заблокирован (423)", "423")
		}
		again, duplicate, err := w.svc.Infocall(context.Background(), fillInfocall(call.InfocallRequest{Key: key}))
		if err != nil || !duplicate || again.ID != first.ID {
			t.Errorf("repeated: %s, %v, %v", again.ID, duplicate, err)
		}
	})
}
