package call_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"perezvon/configs"
	"perezvon/internal/call"
	"perezvon/internal/lab"
	"perezvon/internal/route"
	"perezvon/internal/store"
)

// The clock of these tests begins on Saturday, 1 January 2000, 03:00 in
// Moscow.
var moscow = time.FixedZone("MSK", 3*3600)

func weekdays(c *configs.Config) {
	c.Lines[0].Hours = &configs.Hours{Zone: "Europe/Moscow", Open: []string{"Mon-Fri 09:00-18:00"}, Holidays: []string{"2000-01-03"}}
}

func TestCallbackToAClosedLineIsScheduledForTheNextOpening(t *testing.T) {
	inWorld(t, weekdays, func(w *world) {
		w.phone("101", answering(managerTone)...)
		w.number(customer, hangingUpAfter(customerTone, 3*time.Second)...)
		rec := w.callback()
		opening := time.Date(2000, 1, 4, 9, 0, 0, 0, moscow) // Monday is a holiday
		if rec.State != store.StateScheduled || rec.NextAt == nil || !rec.NextAt.Equal(opening) {
			t.Fatalf("the callback is %s until %v, want scheduled until %v", rec.State, rec.NextAt, opening)
		}
		if again := w.callback(); again.ID != rec.ID {
			t.Error("the form sent again made another call")
		}
		time.Sleep(time.Hour)
		if w.rung(w.phones["101"], "101") != 0 {
			t.Fatal("a manager was rung outside the working hours")
		}
		time.Sleep(time.Until(opening))
		rec = w.end(rec.ID)
		w.expect(rec, store.ResultCompleted, "200", "")
		if late := rec.Legs[0].StartedAt.Sub(opening); late < 0 || late > time.Second {
			t.Errorf("the manager was rung %v after the opening", late)
		}
	})
}

func TestRetryThatFallsAfterClosingWaitsForTheNextOpening(t *testing.T) {
	inWorld(t, func(c *configs.Config) {
		weekdays(c)
		c.Callback.Attempts = 2
	}, func(w *world) {
		time.Sleep(time.Until(time.Date(2000, 1, 4, 17, 59, 30, 0, moscow)))
		w.phone("101", lab.Reject(603, "Decline"))
		id := w.callback().ID
		rec := w.until(id, store.StateScheduled)
		if want := time.Date(2000, 1, 5, 9, 0, 0, 0, moscow); !rec.NextAt.Equal(want) {
			t.Errorf("the retry is planned for %v, want %v", rec.NextAt, want)
		}
		w.phone("101", answering(managerTone)...)
		w.number(customer, hangingUpAfter(customerTone, 3*time.Second)...)
		time.Sleep(15 * time.Hour)
		w.expect(w.end(id), store.ResultCompleted, "200", "")
	})
}

func TestCallbackIsNotDialledBeforeTheTimeItWasOrderedFor(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.phone("101", answering(managerTone)...)
		w.number(customer, hangingUpAfter(customerTone, 3*time.Second)...)
		due := time.Now().Add(2 * time.Hour)
		rec := w.request(call.CallbackRequest{Line: "main", Number: customer, NotBefore: due})
		if rec.State != store.StateScheduled || !rec.NextAt.Equal(due) {
			t.Fatalf("the callback is %s until %v", rec.State, rec.NextAt)
		}
		w.crash() // what is scheduled outlives the process
		time.Sleep(2*time.Hour - time.Minute)
		if w.rung(w.phones["101"], "101") != 0 {
			t.Fatal("a manager was rung too early")
		}
		w.expect(w.end(rec.ID), store.ResultCompleted, "200", "")
	})
}

func TestScheduleThatCannotBeIsRefused(t *testing.T) {
	inWorld(t, func(c *configs.Config) {
		c.Lines[0].Hours = &configs.Hours{Zone: "Europe/Moscow", Open: []string{"Mon-Sun 09:00-18:00"}}
		closed := c.Lines[0]
		closed.ID, closed.Number = "never", "+74950000001"
		closed.Hours = &configs.Hours{Zone: "Europe/Moscow", Open: []string{"Mon 09:00-18:00"}}
		for d := time.Date(2000, 1, 3, 0, 0, 0, 0, time.UTC); d.Year() < 2002; d = d.AddDate(0, 0, 7) {
			closed.Hours.Holidays = append(closed.Hours.Holidays, d.Format(time.DateOnly))
		}
		c.Lines = append(c.Lines, closed)
	}, func(w *world) {
		for code, req := range map[string]call.CallbackRequest{
			call.CodeInvalidTime: {Line: "main", Number: customer, NotBefore: time.Now().Add(call.MaxAhead + time.Hour)},
			call.CodeInvalidMode: {Line: "main", Number: customer, Mode: "both"},
			call.CodeLineClosed:  {Line: "never", Number: customer},
		} {
			_, _, err := w.svc.Callback(context.Background(), req)
			var refused *call.RefusedError
			if !errors.As(err, &refused) || refused.Code != code || refused.Status != 422 {
				t.Errorf("want %s, got %v", code, err)
			}
		}
	})
}

func TestCallerOutsideTheWorkingHoursTakesTheOtherwiseRoute(t *testing.T) {
	inWorld(t, func(c *configs.Config) {
		weekdays(c)
		c.Lines[0].Otherwise = []configs.Step{{Extension: &configs.ExtensionStep{Number: "102"}}}
	}, func(w *world) {
		w.phone("101", answering(managerTone)...)
		w.phone("102", answering(managerTone)...)
		if route.Open(w.cfg.Lines[0].Hours, time.Now()) {
			t.Fatal("the line is open")
		}
		<-w.inbound(lab.Tone(customerTone), lab.Talk(3*time.Second), lab.Bye()).Ended()
		rec := w.onlyCall()
		w.expect(rec, store.ResultCompleted, "200", "")
		if w.rung(w.phones["101"], "101") != 0 || w.rung(w.phones["102"], "102") != 1 {
			t.Error("the wrong phone was rung")
		}
	})
}

func TestCallerOutsideTheWorkingHoursWhomNobodyAnswers(t *testing.T) {
	inWorld(t, weekdays, func(w *world) {
		<-w.inbound().Ended()
		rec := w.onlyCall()
		w.expect(rec, store.ResultOutOfHours, "304", store.PartyUs)
		if w.rung(w.phones["101"], "101") != 0 {
			t.Error("a phone was rung outside the working hours")
		}
	})
}

func TestCallOrderedForLaterComesAtOnceWhenItIsAskedForNow(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.phone("101", answering(managerTone)...)
		w.number(customer, hangingUpAfter(customerTone, 3*time.Second)...)
		ordered := func(in time.Duration) store.Call {
			return w.request(call.CallbackRequest{Line: "main", Number: customer, NotBefore: time.Now().Add(in)})
		}
		first := ordered(5 * time.Hour)
		if later := ordered(6 * time.Hour); !later.NextAt.Equal(*first.NextAt) {
			t.Errorf("the call was put off to %v", later.NextAt)
		}
		sooner := ordered(time.Hour)
		if sooner.ID != first.ID || !sooner.NextAt.Equal(time.Now().Add(time.Hour)) {
			t.Errorf("the call waits until %v, want in an hour", sooner.NextAt)
		}
		time.Sleep(time.Minute)
		if w.rung(w.phones["101"], "101") != 0 {
			t.Fatal("the manager was rung too early")
		}
		w.callback()
		rec := w.end(first.ID)
		w.expect(rec, store.ResultCompleted, "200", "")
		if took := rec.EndedAt.Sub(rec.CreatedAt); took > 2*time.Minute {
			t.Errorf("it took %v", took)
		}
	})
}
