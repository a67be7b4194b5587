package call_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"perezvon/configs"
	"perezvon/internal/call"
	"perezvon/internal/lab"
	"perezvon/internal/store"
)

// other is the n-th customer besides the first.
func other(n int) string { return fmt.Sprintf("7999000%04d", 100+n) }

func (w *world) callbackTo(number string) string {
	w.t.Helper()
	return w.request(call.CallbackRequest{Line: "main", Number: "+" + number}).ID
}

func TestCallbackWaitsForTheFirstFreeManagerWithoutUsingAnAttempt(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.phone("101", answering(managerTone)...)
		w.number(customer, hangingUpAfter(customerTone, 2*time.Minute)...)
		w.number(other(1), hangingUpAfter(customerTone, 3*time.Second)...)
		first := w.callback().ID
		w.until(first, store.StateTalking)
		second := w.callbackTo(other(1))
		time.Sleep(time.Minute)
		if n := w.rung(w.phones["101"], "101"); n != 1 {
			t.Fatalf("the manager's phone was rung %d times while he was talking", n)
		}
		ended := w.end(first)
		rec := w.end(second)
		w.expect(rec, store.ResultCompleted, "200", "")
		if len(rec.Attempts) != 1 {
			t.Errorf("%d attempts were used, want 1", len(rec.Attempts))
		}
		if late := rec.Legs[0].StartedAt.Sub(*ended.EndedAt); late > time.Second {
			t.Errorf("the manager was rung %v after he was free", late)
		}
	})
}

func TestWhoHasWaitedLongestGetsTheFreeManager(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.phone("101", answering(managerTone)...)
		w.number(customer, hangingUpAfter(customerTone, time.Minute)...)
		ids := []string{w.callback().ID}
		w.until(ids[0], store.StateTalking)
		for n := 1; n <= 3; n++ {
			w.number(other(n), hangingUpAfter(customerTone, time.Minute)...)
			ids = append(ids, w.callbackTo(other(n)))
			time.Sleep(7 * time.Second)
		}
		var last time.Time
		for i, id := range ids {
			rec := w.end(id)
			w.expect(rec, store.ResultCompleted, "200", "")
			if rec.AnsweredAt.Before(last) {
				t.Errorf("callback %d overtook the one before it", i)
			}
			last = *rec.AnsweredAt
		}
	})
}

func TestPhonesThatSayBusyAreRungAgainWithoutUsingAnAttempt(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.phone("101", lab.Reject(486, "Busy Here"))
		id := w.callback().ID
		time.Sleep(3 * time.Minute)
		w.phone("101", answering(managerTone)...)
		w.number(customer, hangingUpAfter(customerTone, 3*time.Second)...)
		rec := w.end(id)
		w.expect(rec, store.ResultCompleted, "200", "")
		if n := len(rec.Attempts); n < 4 || n > 8 {
			t.Errorf("%d tries in three minutes", n)
		}
		for _, a := range rec.Attempts[:len(rec.Attempts)-1] {
			if !a.Waited {
				t.Errorf("try %d counts as an attempt", a.N)
			}
		}
	})
}

func TestManagersWhoTalkUntilTheEndAreUnavailable(t *testing.T) {
	inWorld(t, func(c *configs.Config) { c.Callback.TTL = 2 * time.Minute }, func(w *world) {
		w.phone("101", answering(managerTone)...)
		w.number(customer, hangingUpAfter(customerTone, 4*time.Minute)...)
		first := w.callback().ID
		w.until(first, store.StateTalking)
		second := w.callbackTo(other(1))
		rec := w.end(second)
		w.expect(rec, store.ResultManagerUnavailable, "304", store.PartyManager)
		if waited := rec.EndedAt.Sub(rec.CreatedAt).Round(10 * time.Second); waited != 2*time.Minute {
			t.Errorf("it waited %v, want its time-to-live of 2 minutes", waited)
		}
		w.end(first)
	})
}

func TestManagerInACallIsPassedOverForTheNextOfTheRoute(t *testing.T) {
	inWorld(t, func(c *configs.Config) {
		c.Lines[0].Route = append(c.Lines[0].Route, configs.Step{Extension: &configs.ExtensionStep{Number: "102"}})
	}, func(w *world) {
		w.phone("101", answering(managerTone)...)
		w.phone("102", answering(managerTone)...)
		w.number(customer, hangingUpAfter(customerTone, time.Minute)...)
		w.number(other(1), hangingUpAfter(customerTone, 3*time.Second)...)
		first := w.callback().ID
		w.until(first, store.StateTalking)
		rec := w.end(w.callbackTo(other(1)))
		w.expect(rec, store.ResultCompleted, "200", "")
		if rec.Manager.Extension != "102" || w.rung(w.phones["101"], "101") != 1 {
			t.Errorf("extension %s took the call, 101 was rung %d times", rec.Manager.Extension, w.rung(w.phones["101"], "101"))
		}
		w.end(first)
	})
}

func TestLongestIdleManagerIsRungFirst(t *testing.T) {
	inWorld(t, func(c *configs.Config) {
		c.Lines[0].Route = []configs.Step{{Group: &configs.GroupStep{
			Members: []string{"101", "102", "103"}, Strategy: "longest_idle", Ring: 10 * time.Second,
		}}}
	}, func(w *world) {
		for _, ext := range []string{"101", "102", "103"} {
			w.phone(ext, answering(managerTone)...)
		}
		var took []string
		for n := range 5 {
			if n == 3 { // the one who is next does not pick up
				w.phone("101", lab.Ring(0))
			}
			w.number(other(n), hangingUpAfter(customerTone, 3*time.Second)...)
			rec := w.end(w.callbackTo(other(n)))
			w.expect(rec, store.ResultCompleted, "200", "")
			took = append(took, rec.Manager.Extension)
		}
		if got := fmt.Sprint(took); got != "[101 102 103 102 103]" {
			t.Errorf("the calls were taken by %s", got)
		}
	})
}

func TestTrunkThatIsDownIsNotDialledAndTheManagerNotRung(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.phone("101", answering(managerTone)...)
		w.number(customer, hangingUpAfter(customerTone, 3*time.Second)...)
		w.down.Store("provider", "it does not answer OPTIONS")
		id := w.callback().ID
		time.Sleep(5 * time.Minute)
		if w.rung(w.phones["101"], "101") != 0 {
			t.Fatal("the manager was rung while no trunk was up")
		}
		w.down.Delete("provider")
		rec := w.end(id)
		w.expect(rec, store.ResultCompleted, "200", "")
		if len(rec.Attempts) != 1 {
			t.Errorf("%d attempts were used, want 1", len(rec.Attempts))
		}
	})
}

func TestTrunkThatStaysDownEndsTheCallbackWithItsReason(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.down.Store("provider", "it does not answer OPTIONS")
		rec := w.end(w.callback().ID)
		w.expect(rec, store.ResultTrunkFailed, "503", store.PartyTrunk)
		if rec.Reason != "trunk provider is down: it does not answer OPTIONS" {
			t.Errorf("the reason is %q", rec.Reason)
		}
		if w.rung(w.phones["101"], "101") != 0 {
			t.Error("the manager was rung")
		}
	})
}

func TestOtherTrunkOfTheLineStandsInForOneThatIsDown(t *testing.T) {
	inWorld(t, func(c *configs.Config) { c.Lines[0].Trunks = []string{"provider", "backup"} }, func(w *world) {
		w.phone("101", answering(managerTone)...)
		w.backup.Number(customer, hangingUpAfter(customerTone, 3*time.Second))
		w.down.Store("provider", "it does not answer OPTIONS")
		rec := w.end(w.callback().ID)
		w.expect(rec, store.ResultCompleted, "200", "")
		if w.rung(w.carrier, customer) != 0 {
			t.Error("the trunk that is down was tried")
		}
	})
}

func TestNumberOfAnOfficeTakesManyCallsAtOnce(t *testing.T) {
	inWorld(t, func(c *configs.Config) {
		no := false
		c.Lines[0].Route = []configs.Step{{Mobile: &configs.MobileStep{Number: "+" + mobile, Confirm: &no}}}
	}, func(w *world) {
		w.number(mobile, answering(managerTone)...)
		w.number(customer, hangingUpAfter(customerTone, time.Minute)...)
		w.number(other(1), hangingUpAfter(customerTone, time.Minute)...)
		first, second := w.callback().ID, w.callbackTo(other(1))
		w.until(first, store.StateTalking)
		w.until(second, store.StateTalking)
		w.expect(w.end(first), store.ResultCompleted, "200", "")
		w.expect(w.end(second), store.ResultCompleted, "200", "")
	})
}

func TestRouteWithNobodyToRingEndsAtOnce(t *testing.T) {
	inWorld(t, func(c *configs.Config) {
		c.Lines[0].Route = []configs.Step{{Hangup: &configs.HangupStep{Code: 480}}}
	}, func(w *world) {
		rec := w.end(w.callback().ID)
		w.expect(rec, store.ResultManagerUnavailable, "304", store.PartyManager)
		if took := rec.EndedAt.Sub(rec.CreatedAt); took > time.Second {
			t.Errorf("it took %v", took)
		}
	})
}

func TestWaitingCallbackFollowsItsLineAsItIsConfiguredNow(t *testing.T) {
	inWorld(t, func(c *configs.Config) { c.Callback.Attempts = 3 }, func(w *world) {
		w.phone("101", lab.Ring(0), lab.Reject(603, "Decline"))
		w.phone("102", answering(managerTone)...)
		w.number(customer, hangingUpAfter(customerTone, 5*time.Second)...)
		id := w.callback().ID
		w.until(id, store.StateWaitingRetry)
		next := *w.cfg
		next.Lines = slices.Clone(w.cfg.Lines)
		next.Lines[0].Route = []configs.Step{{Extension: &configs.ExtensionStep{Number: "102", Ring: 25 * time.Second}}}
		follow, err := w.svc.Prepare(&next)
		if err != nil {
			t.Fatal(err)
		}
		follow()
		w.expect(w.end(id), store.ResultCompleted, "200", "")
	})
}

func TestWaitingCallbackOfALineThatIsGoneEnds(t *testing.T) {
	inWorld(t, func(c *configs.Config) { c.Callback.Attempts = 3 }, func(w *world) {
		w.phone("101", lab.Ring(0), lab.Reject(603, "Decline"))
		id := w.callback().ID
		w.until(id, store.StateWaitingRetry)
		next := *w.cfg
		next.Lines = nil
		follow, err := w.svc.Prepare(&next)
		if err != nil {
			t.Fatal(err)
		}
		follow()
		w.expect(w.end(id), store.ResultInterrupted, "OTHER", store.PartyUs)
	})
}

func TestConfigurationWhoseSoundCannotBeReadIsNotFollowed(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		next := *w.cfg
		next.Lines = slices.Clone(w.cfg.Lines)
		next.Lines[0].Route = []configs.Step{{Announce: &configs.AnnounceStep{Sound: "/nowhere/at/all.wav"}}}
		if _, err := w.svc.Prepare(&next); err == nil {
			t.Error("no error")
		}
	})
}
