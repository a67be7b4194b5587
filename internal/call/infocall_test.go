package call_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"perezvon/configs"
	"perezvon/internal/call"
	"perezvon/internal/lab"
	"perezvon/internal/store"
)

// infocall places an informational call to the customer.
func (w *world) infocall() store.Call {
	w.t.Helper()
	return w.inform(call.InfocallRequest{})
}

// inform places an informational call; line, number and text may be left out.
func (w *world) inform(req call.InfocallRequest) store.Call {
	w.t.Helper()
	rec, _, err := w.svc.Infocall(context.Background(), fillInfocall(req))
	if err != nil {
		w.t.Fatalf("informational call refused: %v", err)
	}
	return rec
}

func fillInfocall(req call.InfocallRequest) call.InfocallRequest {
	if req.Line == "" {
		req.Line = "main"
	}
	if req.Number == "" {
		req.Number = "+" + customer
	}
	if req.Text == "" && req.Sound == "" {
		req.Text = "Ваш заказ готов."
	}
	return req
}

// expectInfo checks the triple that a business process gets.
func (w *world) expectInfo(rec store.Call, ok, text, code string) {
	w.t.Helper()
	if rec.Info == nil {
		w.t.Fatalf("ended with %s (%s) and no info", rec.Result, rec.Reason)
	}
	if i := rec.Info; i.OK != ok || i.Text != text || i.Code != code || rec.Code != code {
		w.t.Errorf("info is %+v, code %s (%s); want %s, %q, %s", *i, rec.Code, rec.Reason, ok, text, code)
	}
}

// listening is a party that answers and stays.
func listening() []lab.Step { return answering(customerTone) }

func TestInformationalCallPlaysItsMessageAndHangsUp(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.number(customer, listening()...)
		rec := w.end(w.infocall().ID)
		w.expect(rec, store.ResultDelivered, "200", "")
		w.expectInfo(rec, "Y", "Успешно (200)", "200")
		if rec.Info.HeardMS != speechTime.Milliseconds() || rec.HangupBy != store.PartyUs || rec.AnsweredAt == nil || rec.RingMS < 900 || rec.RingMS > 1100 {
			t.Errorf("heard %d ms, hung up by %q, answered at %v after ringing for %d ms", rec.Info.HeardMS, rec.HangupBy, rec.AnsweredAt, rec.RingMS)
		}
		p := w.party(w.carrier, customer, 1)
		if got := p.HeardFor(speechTone); got < speechTime-100*time.Millisecond {
			t.Errorf("heard %s of a message of %s", got, speechTime)
		}
		if p.From() != lineNumber || w.rung(w.phones["101"], "101") != 0 {
			t.Errorf("%s called; the manager was rung %d times", p.From(), w.rung(w.phones["101"], "101"))
		}
		states := w.stateNames(rec.ID)
		if want := []string{"rendering", "queued", "ringing", "playing"}; !slices.Equal(states, want) {
			t.Errorf("went through %v, want %v", states, want)
		}
	})
}

func TestNothingIsPlayedBeforeTheAnswer(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.number(customer, lab.EarlyMedia(0, customerTone), lab.Wait(5*time.Second), lab.Answer(0))
		rec := w.end(w.infocall().ID)
		p := w.party(w.carrier, customer, 1)
		answered, _ := p.Event(lab.Answered)
		heard, ok := p.FirstHeard(speechTone)
		if !ok || heard.Before(answered.At.Add(-150*time.Millisecond)) || rec.Info.HeardMS != speechTime.Milliseconds() {
			t.Errorf("answered at %v, the message was heard at %v, %d ms of it", answered.At, heard, rec.Info.HeardMS)
		}
	})
}

// What was heard is counted in packets that left before the BYE came, whatever
// the moment.
func TestWhatWasHeardIsMeasuredToThePacket(t *testing.T) {
	for _, tt := range []struct {
		stays time.Duration
		ok    string
		text  string
	}{
		{0, "N", "Прослушано не полностью (200)"},
		{333 * time.Millisecond, "N", "Прослушано не полностью (200)"},
		{1150 * time.Millisecond, "N", "Прослушано не полностью (200)"},
		{1250 * time.Millisecond, "Y", "Успешно (200)"}, // 60 % of 2 s are 1.2 s
		{1987 * time.Millisecond, "Y", "Успешно (200)"},
	} {
		inWorld(t, nil, func(w *world) {
			w.number(customer, hangingUpAfter(customerTone, tt.stays)...)
			rec := w.end(w.infocall().ID)
			w.expectInfo(rec, tt.ok, tt.text, "200")
			truth := time.Duration(len(w.party(w.carrier, customer, 1).Recorded())) * time.Second / 8000
			if off := time.Duration(rec.Info.HeardMS)*time.Millisecond - truth; off < -40*time.Millisecond || off > 40*time.Millisecond {
				t.Errorf("%s: heard %d ms, it was %s", tt.stays, rec.Info.HeardMS, truth)
			}
			if rec.HangupBy != store.PartyCustomer {
				t.Errorf("%s: hung up by %q", tt.stays, rec.HangupBy)
			}
			if tt.ok == "N" {
				w.expect(rec, store.ResultHungUpEarly, "200", store.PartyCustomer)
				if !strings.HasSuffix(rec.Reason, "s of a message of 2.0 s were heard; hung up") {
					t.Errorf("the reason is %q", rec.Reason)
				}
			}
		})
	}
}

func TestWhatIsNotHeardWhileTheListenerHoldsWaits(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.number(customer, append(listening(), lab.Talk(500*time.Millisecond), lab.Hold(), lab.Talk(10*time.Second), lab.Resume())...)
		rec := w.end(w.infocall().ID)
		w.expectInfo(rec, "Y", "Успешно (200)", "200")
		if took := rec.EndedAt.Sub(*rec.AnsweredAt); rec.Info.HeardMS != speechTime.Milliseconds() || took < 11*time.Second {
			t.Errorf("heard %d ms within %s", rec.Info.HeardMS, took)
		}
	})
}

func TestMessageIsPlayedAsOftenAsAskedFor(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.number(customer, listening()...)
		rec := w.end(w.inform(call.InfocallRequest{Repeat: 3}).ID)
		w.expectInfo(rec, "Y", "Успешно (200)", "200")
		p := w.party(w.carrier, customer, 1)
		if got := p.HeardFor(speechTone); rec.Info.HeardMS != 3*speechTime.Milliseconds() || got < 3*speechTime-300*time.Millisecond {
			t.Errorf("counted %d ms, heard %s of %s", rec.Info.HeardMS, got, 3*speechTime)
		}
		if took := rec.EndedAt.Sub(*rec.AnsweredAt); took < 3*speechTime+2*time.Second {
			t.Errorf("there was no pause in between: %s", took)
		}
	})
}

func TestWhoHearsTheMessageOnceMayHangUpInARepetition(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.number(customer, hangingUpAfter(customerTone, speechTime+200*time.Millisecond)...)
		rec := w.end(w.inform(call.InfocallRequest{Repeat: 5}).ID)
		w.expectInfo(rec, "Y", "Успешно (200)", "200")
		if rec.HangupBy != store.PartyCustomer || rec.Info.HeardMS != speechTime.Milliseconds() {
			t.Errorf("heard %d ms, hung up by %q", rec.Info.HeardMS, rec.HangupBy)
		}
	})
}

func TestListenerWhoIsNotReached(t *testing.T) {
	reject := func(status int, headers ...string) []lab.Step {
		return []lab.Step{lab.Ring(0), lab.Wait(2 * time.Second), lab.Reject(status, "No", headers...)}
	}
	for name, c := range map[string]struct {
		steps  []lab.Step
		result store.Result
		code   string
		owner  store.Party
		text   string
	}{
		"is busy":                    {reject(486), store.ResultBusy, "486", store.PartyCustomer, "Занято (486)"},
		"does not answer":            {[]lab.Step{lab.Ring(0)}, store.ResultNoAnswer, "304", store.PartyCustomer, "Пропущен (304)"},
		"declines":                   {reject(603), store.ResultDeclined, "603", store.PartyCustomer, "Отклонен (603)"},
		"does not exist":             {reject(404), store.ResultInvalidNumber, "404", store.PartyCustomer, "Неверный номер (404)"},
		"is incomplete":              {reject(484), store.ResultDirection, "484", store.PartyCustomer, "Направление недоступно (484)"},
		"has the phone off":          {reject(480, "Reason: Q.850;cause=20"), store.ResultUnavailable, "480", store.PartyCustomer, "Временно недоступен (480)"},
		"is refused for no funds":    {reject(402), store.ResultTrunkFailed, "402", store.PartyTrunk, "Недостаточно средств (402)"},
		"is forbidden":               {reject(403), store.ResultTrunkFailed, "403", store.PartyTrunk, "Запрещено (403)"},
		"meets a trunk that is down": {reject(503), store.ResultTrunkFailed, "503", store.PartyTrunk, "Направление недоступно (503)"},
		"is refused in another way":  {reject(423), store.ResultUnavailable, "OTHER", store.PartyCustomer, "Не определен (OTHER)"},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, nil, func(w *world) {
				w.number(customer, c.steps...)
				rec := w.end(w.infocall().ID)
				w.expect(rec, c.result, c.code, c.owner)
				w.expectInfo(rec, "N", c.text, c.code)
				if rec.Info.HeardMS != 0 {
					t.Errorf("heard %d ms", rec.Info.HeardMS)
				}
				if c.result == store.ResultNoAnswer && (rec.RingMS < 39_900 || rec.RingMS > 40_500) {
					t.Errorf("rang for %d ms", rec.RingMS)
				}
			})
		})
	}
}

func TestResultIsToldInTheConfiguredLanguage(t *testing.T) {
	inWorld(t, func(c *configs.Config) { c.Language = "en" }, func(w *world) {
		w.carrier.Turns(customer, lab.Script(hangingUpAfter(customerTone, 300*time.Millisecond)), lab.Script{lab.Reject(486, "Busy Here")})
		w.expectInfo(w.end(w.infocall().ID), "N", "Heard in part (200)", "200")
		w.expectInfo(w.end(w.infocall().ID), "N", "Busy (486)", "486")
	})
}

func TestInformationalCallIsTriedAgainAsConfigured(t *testing.T) {
	inWorld(t, func(c *configs.Config) { c.Infocall.Attempts = 3 }, func(w *world) {
		w.carrier.Turns(customer, lab.Script{lab.Reject(486, "Busy Here")}, lab.Script{lab.Reject(503, "No")}, lab.Script(listening()))
		rec := w.end(w.infocall().ID)
		w.expectInfo(rec, "Y", "Успешно (200)", "200")
		if len(rec.Attempts) != 3 {
			t.Fatalf("%d attempts", len(rec.Attempts))
		}
		first, second, third := rec.Attempts[0], rec.Attempts[1], rec.Attempts[2]
		if a, b := second.StartedAt.Sub(first.StartedAt), third.StartedAt.Sub(second.StartedAt); a.Round(time.Minute) != 5*time.Minute || b.Round(time.Minute) != 10*time.Minute {
			t.Errorf("tried again after %s and %s", a, b)
		}
		if first.Result != store.ResultBusy || second.Result != store.ResultTrunkFailed {
			t.Errorf("attempts ended with %s and %s", first.Result, second.Result)
		}
	})
}

func TestInformationalCallsAttemptsAreOneBudget(t *testing.T) {
	inWorld(t, func(c *configs.Config) { c.Infocall.Attempts = 2 }, func(w *world) {
		w.carrier.Turns(customer, lab.Script{lab.Reject(503, "No")}, lab.Script{lab.Reject(486, "Busy Here")}, lab.Script(listening()))
		w.expectInfo(w.end(w.infocall().ID), "N", "Занято (486)", "486")
	})
}

func TestNobodyIsTriedAgainWhoHasDeclinedOrHasListened(t *testing.T) {
	for code, steps := range map[string][]lab.Step{
		"603": {lab.Reject(603, "Decline")},
		"200": hangingUpAfter(customerTone, 300*time.Millisecond),
	} {
		inWorld(t, func(c *configs.Config) { c.Infocall.Attempts = 3 }, func(w *world) {
			w.number(customer, steps...)
			if rec := w.end(w.infocall().ID); rec.Code != code || len(rec.Attempts) != 1 {
				t.Errorf("code %s after %d attempts", rec.Code, len(rec.Attempts))
			}
		})
	}
}

func TestInformationalCallWithoutAWorkingTrunkFailsAtOnce(t *testing.T) {
	inWorld(t, func(c *configs.Config) { c.Infocall.Attempts = 2 }, func(w *world) {
		w.down.Store("provider", "no answer to OPTIONS")
		began := time.Now()
		rec := w.end(w.infocall().ID)
		w.expect(rec, store.ResultTrunkFailed, "503", store.PartyTrunk)
		w.expectInfo(rec, "N", "Направление недоступно (503)", "503")
		if took := time.Since(began); w.rung(w.carrier, customer) != 0 || len(rec.Attempts) != 2 || took > 3*time.Minute {
			t.Errorf("it took %s and %d attempts", took, len(rec.Attempts))
		}
	})
}

func TestListenerIsReachedThroughTheOtherTrunk(t *testing.T) {
	inWorld(t, bothTrunks, func(w *world) {
		w.number(customer, lab.Reject(503, "No"))
		w.backup.Number(customer, lab.Script(listening()))
		w.expectInfo(w.end(w.infocall().ID), "Y", "Успешно (200)", "200")
	})
}

func TestMessageThatCannotBeSpokenRingsNobody(t *testing.T) {
	inWorld(t, func(c *configs.Config) { c.Infocall.Attempts = 3 }, func(w *world) {
		w.speech.broken.Store(true)
		rec := w.end(w.infocall().ID)
		w.expect(rec, store.ResultSpeechFailed, "OTHER", store.PartyUs)
		w.expectInfo(rec, "N", "Не определен (OTHER)", "OTHER")
		if w.rung(w.carrier, customer) != 0 || !strings.Contains(rec.Reason, "no engine") {
			t.Errorf("rung %d times: %s", w.rung(w.carrier, customer), rec.Reason)
		}
	})
}

func TestInformationalCallIsCancelledInEveryState(t *testing.T) {
	for _, tt := range []struct {
		state  store.State
		after  time.Duration
		result store.Result
		ok     string
		text   string
	}{
		{store.StateRinging, 0, store.ResultCancelled, "N", "Вызов отменен (603-S)"},
		{store.StatePlaying, 300 * time.Millisecond, store.ResultCancelled, "N", "Вызов отменен (603-S)"},
		{store.StatePlaying, 1500 * time.Millisecond, store.ResultDelivered, "Y", "Успешно (200)"},
		{store.StateWaitingRetry, 0, store.ResultCancelled, "N", "Вызов отменен (603-S)"},
	} {
		inWorld(t, func(c *configs.Config) { c.Infocall.Attempts = 2 }, func(w *world) {
			switch tt.state {
			case store.StateRinging:
				w.number(customer, lab.Ring(0))
			case store.StateWaitingRetry:
				w.number(customer, lab.Reject(486, "Busy Here"))
			default:
				w.number(customer, listening()...)
			}
			id := w.infocall().ID
			w.until(id, tt.state)
			time.Sleep(tt.after)
			rec, err := w.svc.Cancel(context.Background(), id, "a test")
			if err != nil || rec.Result != tt.result || rec.Info.OK != tt.ok || rec.Info.Text != tt.text {
				t.Errorf("in %s: %s, %+v, error %v", tt.state, rec.Result, rec.Info, err)
			}
		})
	}
}

func TestWhoPicksUpAsTheRingTimeEndsHearsTheMessage(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.number(customer, lab.AnswerOnCancel(), lab.Ring(0))
		w.expectInfo(w.end(w.infocall().ID), "Y", "Успешно (200)", "200")
	})
}

func TestListenerWhoGivesNoSignOfLifeEndsALongMessage(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.number(customer, append([]lab.Step{lab.NoSound()}, listening()...)...)
		rec := w.end(w.inform(call.InfocallRequest{Text: longText}).ID)
		w.expect(rec, store.ResultNoAudio, "OTHER", store.PartyCustomer)
		w.expectInfo(rec, "N", "Не определен (OTHER)", "OTHER")
		if rec.Info.HeardMS < 55_000 || rec.Info.HeardMS > 65_000 || !rec.Legs[0].NoAudio {
			t.Errorf("%d ms were sent, marked: %v", rec.Info.HeardMS, rec.Legs[0].NoAudio)
		}
	})
}

func TestNoInformationalCallLastsLongerThanAnyCallMay(t *testing.T) {
	inWorld(t, func(c *configs.Config) { c.Limits.MaxCall = 30 * time.Second }, func(w *world) {
		w.number(customer, listening()...)
		rec := w.end(w.inform(call.InfocallRequest{Text: longText}).ID)
		w.expect(rec, store.ResultHungUpEarly, "200", store.PartyUs)
		if rec.Info.HeardMS < 29_000 || rec.Info.HeardMS > 30_000 {
			t.Errorf("%d ms were sent", rec.Info.HeardMS)
		}
	})
}

func TestCrashInEveryStateOfAnInformationalCall(t *testing.T) {
	for name, c := range map[string]struct {
		at      store.State
		after   time.Duration // in that state
		ok      string
		code    string
		dialled int
	}{
		"before anything is dialled": {store.StateWaitingRetry, time.Second, "Y", "200", 2},
		"while it rings":             {store.StateRinging, 500 * time.Millisecond, "Y", "200", 3},
		"while it is played":         {store.StatePlaying, time.Second, "N", "OTHER", 2},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(c *configs.Config) { c.Infocall.Attempts = 3 }, func(w *world) {
				w.carrier.Turns(customer, lab.Script{lab.Reject(486, "Busy Here")}, lab.Script(listening()), lab.Script(listening()))
				id := w.infocall().ID
				w.until(id, store.StateWaitingRetry)
				w.until(id, c.at)
				time.Sleep(c.after)
				w.crash()
				rec := w.end(id)
				if n := w.rung(w.carrier, customer); rec.Info == nil || rec.Info.OK != c.ok || rec.Code != c.code || n != c.dialled || w.endings(id) != 1 {
					t.Errorf("ended with %s (%s), %+v, dialled %d times, %d endings", rec.Result, rec.Reason, rec.Info, n, w.endings(id))
				}
			})
		})
	}
}

func TestInformationalCallThatWaitsAtAStopGoesOnAfterTheStart(t *testing.T) {
	inWorld(t, func(c *configs.Config) { c.Infocall.Attempts = 2 }, func(w *world) {
		w.carrier.Turns(customer, lab.Script{lab.Reject(486, "Busy Here")}, lab.Script(listening()))
		id := w.infocall().ID
		w.until(id, store.StateWaitingRetry)
		w.stop()
		w.start()
		w.expectInfo(w.end(id), "Y", "Успешно (200)", "200")
	})
}

func TestTwoInformationalCallsToOnePersonComeOneAfterTheOther(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.number(customer, listening()...)
		first, second := w.infocall(), w.inform(call.InfocallRequest{Text: "Второе сообщение."})
		a, b := w.end(first.ID), w.end(second.ID)
		w.expectInfo(a, "Y", "Успешно (200)", "200")
		w.expectInfo(b, "Y", "Успешно (200)", "200")
		if early, late := min(a.EndedAt.UnixNano(), b.EndedAt.UnixNano()), max(a.AnsweredAt.UnixNano(), b.AnsweredAt.UnixNano()); late < early {
			t.Error("both were played at once")
		}
	})
}

func TestInformationalCallIsMadeOutsideTheWorkingHours(t *testing.T) {
	inWorld(t, func(c *configs.Config) {
		c.Lines[0].Hours = &configs.Hours{Zone: "UTC", Open: []string{"Mon 09:00-09:01"}}
		c.Infocall.Attempts = 2
	}, func(w *world) {
		w.carrier.Turns(customer, lab.Script{lab.Reject(486, "Busy Here")}, lab.Script(listening()))
		id := w.infocall().ID
		w.until(id, store.StateWaitingRetry)
		w.expectInfo(w.end(id), "Y", "Успешно (200)", "200")
	})
}

func TestWrongInformationalCallsAreRefusedWithEveryProblem(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		_, _, err := w.svc.Infocall(context.Background(), call.InfocallRequest{
			Line: "main", Number: "12", Text: strings.Repeat("a", 5000), Voice: "nobody", Repeat: 11,
		})
		refused, _ := errors.AsType[*call.RefusedError](err)
		if refused == nil || refused.Status != 422 || refused.Code != call.CodeInvalidRequest {
			t.Fatalf("got %v", err)
		}
		var fields []string
		for _, p := range refused.Problems {
			fields = append(fields, p.Field)
		}
		if want := []string{"number", "text", "voice", "repeat"}; !slices.Equal(fields, want) {
			t.Errorf("problems of %v, want %v", fields, want)
		}
		if _, _, err = w.svc.Infocall(context.Background(), fillInfocall(call.InfocallRequest{Line: "no"})); err == nil || !strings.Contains(err.Error(), "unknown_line") {
			t.Errorf("unknown line: %v", err)
		}
	})
}

func TestSameMessageToTheSameNumberIsRefusedAsALoop(t *testing.T) {
	inWorld(t, func(c *configs.Config) { c.Infocall.LoopLimit, c.Limits.PerNumber.Count = 3, 100 }, func(w *world) {
		w.number(customer, listening()...)
		key := &store.Key{Scope: "test", Value: "one", Hash: "x"}
		first := w.inform(call.InfocallRequest{Key: key})
		began := time.Now()
		for range 2 {
			w.end(w.infocall().ID)
		}
		_, _, err := w.svc.Infocall(context.Background(), fillInfocall(call.InfocallRequest{}))
		refused, _ := errors.AsType[*call.RefusedError](err)
		if refused == nil || refused.Code != call.CodeLoop || refused.Status != 429 || refused.RetryAfter != 20*time.Minute {
			t.Fatalf("the fourth time: %v", err)
		}
		again, duplicate, err := w.svc.Infocall(context.Background(), fillInfocall(call.InfocallRequest{Key: key}))
		if err != nil || !duplicate || again.ID != first.ID {
			t.Errorf("a repeated request: %s, duplicate %v, %v", again.ID, duplicate, err)
		}
		w.end(w.inform(call.InfocallRequest{Text: "Другое сообщение."}).ID)
		w.carrier.Number("79990000009", lab.Script(listening()))
		w.end(w.inform(call.InfocallRequest{Number: "+79990000009"}).ID)
		time.Sleep(time.Until(began.Add(time.Hour)))
		w.expectInfo(w.end(w.infocall().ID), "Y", "Успешно (200)", "200")
	})
}

func TestInformationalCallsCountForTheLimitOfTheirNumber(t *testing.T) {
	inWorld(t, func(c *configs.Config) { c.Limits.PerNumber = configs.Rate{Count: 1, Per: time.Hour} }, func(w *world) {
		w.number(customer, listening()...)
		w.end(w.infocall().ID)
		_, _, err := w.svc.Infocall(context.Background(), fillInfocall(call.InfocallRequest{Text: "Another"}))
		if refused, _ := errors.AsType[*call.RefusedError](err); refused == nil || refused.Code != call.CodeTooMany {
			t.Errorf("got %v", err)
		}
	})
}

// stateNames are the states that a call went through, in their order.
func (w *world) stateNames(id string) []string {
	w.t.Helper()
	evs, _, err := w.db.Events(context.Background(), store.EventFilter{CallID: id, Limit: 1000})
	if err != nil {
		w.t.Fatal(err)
	}
	var names []string
	for _, e := range evs {
		if e.Type == store.EventCallState {
			_, rest, _ := strings.Cut(string(e.Data), `"state":"`)
			name, _, _ := strings.Cut(rest, `"`)
			names = append(names, name)
		}
	}
	return names
}
