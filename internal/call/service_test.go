package call_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"perezvon/configs"
	"perezvon/internal/call"
	"perezvon/internal/lab"
	"perezvon/internal/store"
)

func TestCancelEndsACallInEveryState(t *testing.T) {
	ringForever := []lab.Step{lab.Ring(0)}
	for state, c := range map[store.State]struct{ manager, customer []lab.Step }{
		store.StateRingingManager:  {ringForever, nil},
		store.StateAnnouncing:      {answering(managerTone), nil},
		store.StateRingingCustomer: {answering(managerTone), ringForever},
		store.StateWaitingRetry:    {[]lab.Step{lab.Reject(486, "Busy Here")}, nil},
	} {
		t.Run(string(state), func(t *testing.T) {
			inWorld(t, func(c *configs.Config) { c.Callback.Attempts = 2 }, func(w *world) {
				w.phone("101", c.manager...)
				w.number(customer, c.customer...)
				id := w.callback().ID
				w.until(id, state)
				rec, err := w.svc.Cancel(context.Background(), id, "ops")
				if err != nil {
					t.Fatal(err)
				}
				w.expect(rec, store.ResultCancelled, "603-S", store.PartyUs)
				if !strings.Contains(rec.Reason, "ops") {
					t.Errorf("the reason %q does not say who cancelled", rec.Reason)
				}
				var refused *call.RefusedError
				if _, err := w.svc.Cancel(context.Background(), id, "ops"); !errors.As(err, &refused) || refused.Code != call.CodeAlreadyEnded {
					t.Errorf("a second cancel says %v", err)
				}
			})
		})
	}
}

func TestCancelDuringTheTalkHangsUpBothSides(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.phone("101", answering(managerTone)...)
		w.number(customer, answering(customerTone)...)
		id := w.callback().ID
		w.until(id, store.StateTalking)
		time.Sleep(5 * time.Second)
		rec, err := w.svc.Cancel(context.Background(), id, "ops")
		if err != nil {
			t.Fatal(err)
		}
		w.expect(rec, store.ResultCompleted, "200", "")
		if rec.HangupBy != store.PartyUs {
			t.Errorf("hung up by %q", rec.HangupBy)
		}
		if got := w.party(w.carrier, customer, 1).BYEs(); got != 1 {
			t.Errorf("the customer got %d BYEs", got)
		}
	})
}

func TestCancelOfAnUnknownCall(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		if _, err := w.svc.Cancel(context.Background(), strings.Repeat("0", 32), ""); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("got %v", err)
		}
	})
}

func TestBadRequestsAreRefusedWithEveryBadField(t *testing.T) {
	for name, c := range map[string]struct {
		req    call.CallbackRequest
		code   string
		fields string
		says   string
	}{
		"unknown line":        {call.CallbackRequest{Line: "mian", Number: "+79990000001"}, call.CodeUnknownLine, "line", `"main"`},
		"unparseable number":  {call.CallbackRequest{Line: "main", Number: "hello"}, call.CodeInvalidNumber, "number", ""},
		"too short":           {call.CallbackRequest{Line: "main", Number: "12"}, call.CodeInvalidNumber, "number", ""},
		"our own number":      {call.CallbackRequest{Line: "main", Number: lineNumber}, call.CodeInvalidNumber, "number", "line"},
		"foreign destination": {call.CallbackRequest{Line: "main", Number: "+14155550100"}, call.CodeNotAllowed, "number", "limits.destinations"},
		"unknown voice":       {call.CallbackRequest{Line: "main", Number: "+79990000001", Voice: "robot"}, call.CodeUnknownVoice, "voice", ""},
		"huge text":           {call.CallbackRequest{Line: "main", Number: "+79990000001", Text: strings.Repeat("ж", 1<<19)}, call.CodeInvalidText, "text", ""},
		"unknown manager":     {call.CallbackRequest{Line: "main", Number: "+79990000001", Manager: "999999"}, call.CodeInvalidManager, "manager", ""},
		"two at once":         {call.CallbackRequest{Line: "main", Number: "x", Voice: "robot"}, call.CodeInvalidRequest, "number voice", ""},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, nil, func(w *world) {
				_, _, err := w.svc.Callback(context.Background(), c.req)
				var refused *call.RefusedError
				if !errors.As(err, &refused) {
					t.Fatalf("got %v", err)
				}
				var fields []string
				for _, p := range refused.Problems {
					fields = append(fields, p.Field)
				}
				if refused.Code != c.code || strings.Join(fields, " ") != c.fields || !strings.Contains(err.Error(), c.says) {
					t.Errorf("got %s for %v: %v", refused.Code, fields, err)
				}
			})
		})
	}
}

func TestTooManyCallsToOneNumberAreRefused(t *testing.T) {
	inWorld(t, func(c *configs.Config) { c.Limits.PerNumber = configs.Rate{Count: 2, Per: time.Hour} }, func(w *world) {
		w.phone("101", lab.Reject(603, "Decline"))
		for range 2 {
			w.end(w.callback().ID)
		}
		_, _, err := w.svc.Callback(context.Background(), call.CallbackRequest{Line: "main", Number: customer})
		var refused *call.RefusedError
		if !errors.As(err, &refused) || refused.Status != 429 || refused.RetryAfter <= 0 {
			t.Errorf("got %v", err)
		}
		time.Sleep(time.Hour)
		w.end(w.callback().ID)
	})
}

func TestDrainLetsTalksFinishAndRefusesNewCalls(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.phone("101", answering(managerTone)...)
		w.number(customer, hangingUpAfter(customerTone, 30*time.Second)...)
		id := w.callback().ID
		w.until(id, store.StateTalking)
		closed := make(chan error)
		go func() {
			ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
			defer cancel()
			closed <- w.svc.Close(ctx)
		}()
		time.Sleep(time.Second)
		_, _, err := w.svc.Callback(context.Background(), call.CallbackRequest{Line: "main", Number: "+79990000003"})
		var refused *call.RefusedError
		if !errors.As(err, &refused) || refused.Status != 503 || refused.RetryAfter <= 0 {
			t.Errorf("a callback while draining got %v", err)
		}
		inbound := w.inbound()
		<-inbound.Ended()
		if ev, _ := inbound.Event(lab.Refused); ev.Status != 503 {
			t.Errorf("an INVITE while draining got %v", ev)
		}
		if err := <-closed; err != nil {
			t.Errorf("drain: %v", err)
		}
		w.expect(w.end(id), store.ResultCompleted, "200", "")
	})
}

func TestDrainLimitHangsUpWhatIsLeft(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.phone("101", answering(managerTone)...)
		w.number(customer, answering(customerTone)...)
		id := w.callback().ID
		w.until(id, store.StateTalking)
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := w.svc.Close(ctx); err == nil {
			t.Error("nothing was said of the call that was hung up")
		}
		w.expect(w.end(id), store.ResultCompleted, "200", "")
	})
}

func TestCallsThatWaitGoOnAfterARestart(t *testing.T) {
	inWorld(t, func(c *configs.Config) { c.Callback.Attempts = 2 }, func(w *world) {
		w.phone("101", lab.Reject(486, "Busy Here"))
		id := w.callback().ID
		w.until(id, store.StateWaitingRetry)
		w.stop()
		w.phone("101", answering(managerTone)...)
		w.number(customer, hangingUpAfter(customerTone, 3*time.Second)...)
		w.start()
		w.expect(w.end(id), store.ResultCompleted, "200", "")
	})
}

func TestCustomerWhoPicksUpWhileTheServerStopsIsNotCalledAgain(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.phone("101", answering(managerTone)...)
		w.number(customer, lab.Tone(customerTone), lab.Ring(0), lab.AnswerOnCancel())
		id := w.callback().ID
		w.until(id, store.StateRingingCustomer)
		time.Sleep(time.Second)
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if err := w.svc.Close(ctx); err == nil {
			t.Error("nothing was said of the call that was hung up")
		}
		w.stop()
		w.start()
		w.expect(w.end(id), store.ResultInterrupted, "OTHER", store.PartyUs)
		time.Sleep(time.Hour)
		if n := w.rung(w.carrier, customer); n != 1 {
			t.Errorf("the customer was dialled %d times", n)
		}
	})
}

func TestCallThatOnlyRangWhenTheServerStoppedGoesOnAfterwards(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.phone("101", answering(managerTone)...)
		w.number(customer, lab.Ring(0))
		id := w.callback().ID
		w.until(id, store.StateRingingCustomer)
		time.Sleep(time.Second)
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = w.svc.Close(ctx) // says that a call was hung up
		w.stop()
		w.number(customer, hangingUpAfter(customerTone, 3*time.Second)...)
		w.start()
		w.expect(w.end(id), store.ResultCompleted, "200", "")
	})
}
