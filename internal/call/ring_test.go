package call_test

import (
	"slices"
	"testing"
	"time"

	"perezvon/configs"
	"perezvon/internal/lab"
	"perezvon/internal/store"
)

// twoSteps is a route that tries 101, then 102.
func twoSteps(cfg *configs.Config) {
	cfg.Lines[0].Route = []configs.Step{
		{Extension: &configs.ExtensionStep{Number: "101"}},
		{Extension: &configs.ExtensionStep{Number: "102"}},
	}
}

func TestNextDestinationIsRungWhenTheManager(t *testing.T) {
	for name, steps := range map[string][]lab.Step{
		"is busy":         {lab.Reject(486, "Busy Here")},
		"declines":        {lab.Ring(0), lab.Wait(2 * time.Second), lab.Reject(603, "Decline")},
		"does not answer": {lab.Ring(0)},
		"is unknown":      {lab.Reject(404, "Not Found")},
		"is unavailable":  {lab.Reject(503, "Service Unavailable")},
		"is silent":       {lab.Silence()},
		"never rings":     {lab.Trying()},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, twoSteps, func(w *world) {
				w.phone("101", steps...)
				w.phone("102", answering(managerTone)...)
				w.number(customer, hangingUpAfter(customerTone, 3*time.Second)...)
				rec := w.end(w.callback().ID)
				w.expect(rec, store.ResultCompleted, "200", "")
				if rec.Manager == nil || rec.Manager.Extension != "102" {
					t.Errorf("the manager is %+v, want 102", rec.Manager)
				}
			})
		})
	}
}

func TestManagerUnavailableWhenEveryDestinationWasTried(t *testing.T) {
	inWorld(t, twoSteps, func(w *world) {
		w.phone("101", lab.Reject(486, "Busy Here"))
		w.phone("102", lab.Reject(603, "Decline"))
		w.number(customer, answering(customerTone)...)
		rec := w.end(w.callback().ID)
		w.expect(rec, store.ResultManagerUnavailable, "304", store.PartyManager)
		if w.rung(w.carrier, customer) != 0 {
			t.Error("the customer was dialled without a manager")
		}
	})
}

func TestRetriesFollowTheirDelaysAndEndWithTheLastAttempt(t *testing.T) {
	inWorld(t, func(c *configs.Config) {
		c.Callback.Attempts = 3
		c.Callback.Retry = []time.Duration{2 * time.Minute, 10 * time.Minute}
	}, func(w *world) {
		w.phone("101", lab.Reject(603, "Decline"))
		id := w.callback().ID
		waiting := w.until(id, store.StateWaitingRetry)
		if waiting.NextAt == nil || time.Until(*waiting.NextAt).Round(time.Minute) != 2*time.Minute {
			t.Errorf("the first retry is due at %v", waiting.NextAt)
		}
		rec := w.end(id)
		w.expect(rec, store.ResultManagerUnavailable, "304", store.PartyManager)
		if len(rec.Attempts) != 3 || w.rung(w.phones["101"], "101") != 3 {
			t.Errorf("%d attempts, rung %d times; want 3", len(rec.Attempts), w.rung(w.phones["101"], "101"))
		}
		if took := rec.EndedAt.Sub(rec.CreatedAt).Round(time.Minute); took != 12*time.Minute {
			t.Errorf("it took %v, want 12 minutes", took)
		}
	})
}

func groupOf(strategy string, members ...string) func(*configs.Config) {
	return func(c *configs.Config) {
		c.Lines[0].Route = []configs.Step{{Group: &configs.GroupStep{Members: members, Strategy: strategy, Ring: 25 * time.Second}}}
	}
}

func TestGroupRingsAllAndTheFirstToAnswerWins(t *testing.T) {
	inWorld(t, groupOf("all", "101", "102", "103"), func(w *world) {
		w.phone("101", lab.Ring(0))
		w.phone("102", lab.Tone(managerTone), lab.Ring(0), lab.Answer(4*time.Second))
		w.phone("103", lab.Reject(603, "Decline"))
		w.number(customer, hangingUpAfter(customerTone, 3*time.Second)...)
		rec := w.end(w.callback().ID)
		w.expect(rec, store.ResultCompleted, "200", "")
		loser, ok := w.party(w.phones["101"], "101", 1).Event(lab.Cancelled)
		if !ok || !slices.Contains(loser.Reasons, `SIP;cause=200;text="Call completed elsewhere"`) {
			t.Errorf("the loser got %v", loser)
		}
	})
}

func TestGroupMemberWhoseAnswerCrossesTheWinnerGetsBye(t *testing.T) {
	inWorld(t, groupOf("all", "101", "102"), func(w *world) {
		w.phone("101", lab.Ring(0), lab.AnswerOnCancel())
		w.phone("102", lab.Tone(managerTone), lab.Ring(0), lab.Answer(4*time.Second))
		w.number(customer, hangingUpAfter(customerTone, 3*time.Second)...)
		rec := w.end(w.callback().ID)
		w.expect(rec, store.ResultCompleted, "200", "")
		late := w.party(w.phones["101"], "101", 1)
		if late.ACKs() == 0 || late.BYEs() != 1 {
			t.Errorf("the late phone got %d ACKs and %d BYEs", late.ACKs(), late.BYEs())
		}
	})
}

func TestTwoPhonesThatAnswerInTheSameMomentMakeOneTalk(t *testing.T) {
	inWorld(t, groupOf("all", "101", "102", "103"), func(w *world) {
		for _, ext := range []string{"101", "102", "103"} {
			w.phone(ext, lab.Tone(managerTone), lab.Ring(0), lab.Answer(2*time.Second))
		}
		w.number(customer, hangingUpAfter(customerTone, 3*time.Second)...)
		rec := w.end(w.callback().ID)
		w.expect(rec, store.ResultCompleted, "200", "")
		if n := w.rung(w.carrier, customer); n != 1 {
			t.Errorf("the customer was dialled %d times", n)
		}
	})
}

func TestGroupInOrderRingsOneAfterTheOther(t *testing.T) {
	inWorld(t, groupOf("in_order", "101", "102"), func(w *world) {
		w.phone("101", lab.Ring(0))
		w.phone("102", answering(managerTone)...)
		w.number(customer, hangingUpAfter(customerTone, 3*time.Second)...)
		rec := w.end(w.callback().ID)
		w.expect(rec, store.ResultCompleted, "200", "")
		first, second := w.party(w.phones["101"], "101", 1), w.party(w.phones["102"], "102", 1)
		a, _ := first.Event(lab.Cancelled)
		b, _ := second.Event(lab.Invited)
		if b.At.Before(a.At) {
			t.Error("the second phone rang while the first one did")
		}
	})
}

func mobileRoute(c *configs.Config) {
	c.Lines[0].Route = []configs.Step{
		{Mobile: &configs.MobileStep{Number: "+" + mobile, Ring: 20 * time.Second}},
		{Extension: &configs.ExtensionStep{Number: "102"}},
	}
}

func TestMobileWinsWithTheKeyOne(t *testing.T) {
	inWorld(t, mobileRoute, func(w *world) {
		w.number(mobile, append(answering(managerTone), lab.Press("1", 3*time.Second))...)
		w.number(customer, hangingUpAfter(customerTone, 3*time.Second)...)
		rec := w.end(w.callback().ID)
		w.expect(rec, store.ResultCompleted, "200", "")
		p := w.party(w.carrier, mobile, 1)
		if !p.Heard(sentenceTone, 500*time.Millisecond) {
			t.Error("the mobile was not asked for the key")
		}
		if p.From() != lineNumber {
			t.Errorf("the mobile saw %q, want the line's number", p.From())
		}
	})
}

func TestMobileWhoseVoicemailAnswersDoesNotWin(t *testing.T) {
	inWorld(t, mobileRoute, func(w *world) {
		w.number(mobile, answering(managerTone)...)
		w.phone("102", answering(managerTone)...)
		w.number(customer, hangingUpAfter(customerTone, 3*time.Second)...)
		rec := w.end(w.callback().ID)
		w.expect(rec, store.ResultCompleted, "200", "")
		if rec.Manager.Extension != "102" {
			t.Errorf("the manager is %+v", rec.Manager)
		}
	})
}

func TestManagerWhoHangsUpDuringTheAnnouncementKeepsTheCustomerFromBeingDialled(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.phone("101", append(answering(managerTone), lab.Talk(time.Second), lab.Bye())...)
		w.number(customer, answering(customerTone)...)
		rec := w.end(w.callback().ID)
		w.expect(rec, store.ResultManagerHungUp, "603-S", store.PartyManager)
		if w.rung(w.carrier, customer) != 0 {
			t.Error("the customer was dialled")
		}
	})
}

func TestManagerWhoHangsUpWhileTheCustomerRingsStopsTheRinging(t *testing.T) {
	for name, extra := range map[string][]lab.Step{
		"and the CANCEL is in time":      nil,
		"and the customer's 200 crosses": {lab.AnswerOnCancel()},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, nil, func(w *world) {
				w.phone("101", append(answering(managerTone), lab.Talk(6*time.Second), lab.Bye())...)
				w.number(customer, append(extra, lab.Tone(customerTone), lab.Ring(0))...)
				rec := w.end(w.callback().ID)
				w.expect(rec, store.ResultManagerHungUp, "603-S", store.PartyManager)
				p := w.party(w.carrier, customer, 1)
				if len(extra) > 0 && (p.ACKs() == 0 || p.BYEs() != 1) {
					t.Errorf("the customer's 200 got %d ACKs and %d BYEs", p.ACKs(), p.BYEs())
				}
			})
		})
	}
}
