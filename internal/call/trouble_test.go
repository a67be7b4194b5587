package call_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"perezvon/configs"
	"perezvon/internal/call"
	"perezvon/internal/lab"
	"perezvon/internal/store"
)

func TestFullDiskLosesNoResultAndNoEvent(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.phone("101", answering(managerTone)...)
		w.number(customer, hangingUpAfter(customerTone, 10*time.Second)...)
		id := w.callback().ID
		w.until(id, store.StateTalking)
		w.disk.full.Store(true)
		time.Sleep(time.Minute)
		if rec, err := w.db.Call(context.Background(), id); err != nil || rec.State == store.StateEnded {
			t.Fatalf("the disk is not full: %v %v", rec.State, err)
		}
		_, _, err := w.svc.Callback(context.Background(), call.CallbackRequest{Line: "main", Number: "+79990000003"})
		if refused := (*call.RefusedError)(nil); !errors.As(err, &refused) || refused.Status != 503 {
			t.Errorf("a callback on a full disk got %v", err)
		}
		w.disk.full.Store(false)
		rec := w.end(id)
		w.expect(rec, store.ResultCompleted, "200", "")
		if n := w.endings(id); n != 1 {
			t.Errorf("there are %d terminal events", n)
		}
		if got := w.states(id); !slices.Contains(got, store.EventRecordingReady) || !slices.Contains(got, store.EventLegEnded) {
			t.Errorf("events were lost: %v", got)
		}
		again := w.callback() // nothing of the first call stands in the way
		w.expect(w.end(again.ID), store.ResultCompleted, "200", "")
	})
}

func TestCancelIsNotConfirmedBeforeItIsStored(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.phone("101", lab.Ring(0))
		id := w.callback().ID
		w.until(id, store.StateRingingManager)
		w.disk.full.Store(true)
		_, err := w.svc.Cancel(context.Background(), id, "ops")
		if refused := (*call.RefusedError)(nil); !errors.As(err, &refused) || refused.Status != 503 || refused.RetryAfter <= 0 {
			t.Errorf("a cancel that cannot be stored got %v", err)
		}
		w.disk.full.Store(false)
		w.expect(w.end(id), store.ResultCancelled, "603-S", store.PartyUs)
	})
}

func TestBurstWaitsForMediaPortsInsteadOfFailing(t *testing.T) {
	inWorld(t, func(c *configs.Config) {
		c.Media.Ports = configs.PortRange{First: 20000, Last: 20011} // six pairs: three calls
	}, func(w *world) {
		w.phone("101", answering(managerTone)...)
		w.number("*", hangingUpAfter(customerTone, 3*time.Second)...)
		var ids []string
		for i := range 9 {
			ids = append(ids, w.request(call.CallbackRequest{Line: "main", Number: fmt.Sprintf("+7999000010%d", i)}).ID)
		}
		for _, id := range ids {
			rec := w.end(id)
			w.expect(rec, store.ResultCompleted, "200", "")
			if len(rec.Attempts) != 1 {
				t.Errorf("%d attempts", len(rec.Attempts))
			}
		}
	})
}

func TestCallerWithoutAMediaPortIsToldToComeAgain(t *testing.T) {
	inWorld(t, func(c *configs.Config) {
		c.Media.Ports = configs.PortRange{First: 20000, Last: 20003}
	}, func(w *world) {
		w.phone("101", answering(managerTone)...)
		first := w.inbound(lab.Tone(customerTone), lab.Talk(5*time.Second), lab.Bye())
		time.Sleep(time.Second)
		second := w.inbound(lab.Tone(customerTone))
		<-second.Ended()
		if ev, _ := second.Event(lab.Refused); ev.Status != 503 {
			t.Errorf("the second caller got %v", ev)
		}
		<-first.Ended()
	})
}

func TestRepeatedRequestGetsItsCallWhateverTheLimit(t *testing.T) {
	inWorld(t, func(c *configs.Config) { c.Limits.PerNumber = configs.Rate{Count: 1, Per: time.Hour} }, func(w *world) {
		w.phone("101", lab.Reject(603, "Decline"))
		req := call.CallbackRequest{Line: "main", Number: customer, Key: &store.Key{Scope: "site", Value: "form1", Hash: "h"}}
		first := w.request(req)
		w.end(first.ID)
		again, duplicate, err := w.svc.Callback(context.Background(), req)
		if err != nil || !duplicate || again.ID != first.ID {
			t.Errorf("got %s, duplicate %v, %v", again.ID, duplicate, err)
		}
	})
}

func TestImpatientCustomerDoesNotUseUpTheRetries(t *testing.T) {
	inWorld(t, func(c *configs.Config) { c.Callback.Attempts = 2 }, func(w *world) {
		w.phone("101", lab.Reject(603, "Decline"))
		id := w.callback().ID
		for range 2 {
			w.until(id, store.StateWaitingRetry)
			w.callback()
			time.Sleep(time.Second)
		}
		w.until(id, store.StateWaitingRetry)
		w.phone("101", answering(managerTone)...)
		w.number(customer, hangingUpAfter(customerTone, 3*time.Second)...)
		rec := w.end(id)
		w.expect(rec, store.ResultCompleted, "200", "")
		if took := rec.EndedAt.Sub(rec.CreatedAt); took < 2*time.Minute {
			t.Errorf("the planned retry came after %v", took)
		}
	})
}

func TestSessionThatTheFarSideNoLongerRefreshesEndsTheTalk(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.phone("101", answering(managerTone)...)
		w.number(customer, lab.Tone(customerTone), lab.Ring(0), lab.SessionTimer(90*time.Second, "uas"), lab.NeverRefresh(), lab.Answer(time.Second))
		rec := w.end(w.callback().ID)
		w.expect(rec, store.ResultCompleted, "200", "")
		if rec.HangupBy != store.PartyTrunk || !strings.Contains(rec.Reason, "did not refresh the call") {
			t.Errorf("hung up by %q: %s", rec.HangupBy, rec.Reason)
		}
		if rec.TalkMS > 65_000 {
			t.Errorf("the dead session was kept for %d ms", rec.TalkMS)
		}
	})
}
