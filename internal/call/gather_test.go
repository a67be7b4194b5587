package call_test

import (
	"context"
	"testing"
	"time"

	"perezvon/configs"
	"perezvon/internal/call"
	"perezvon/internal/lab"
	"perezvon/internal/store"
)

func TestKeysOfTheListenerComeBackWithTheResult(t *testing.T) {
	const whole = 2000 // ms of the message
	for name, tt := range map[string]struct {
		most   int
		steps  []lab.Step
		keys   string
		heard  [2]int64         // least and most, ms
		within [2]time.Duration // from the answer to the end
	}{
		"after the message":            {1, []lab.Step{lab.Talk(3 * time.Second), lab.Press("7", 0)}, "7", [2]int64{whole, whole}, [2]time.Duration{3 * time.Second, 4 * time.Second}},
		"by SIP INFO":                  {1, []lab.Step{lab.Talk(3 * time.Second), lab.PressINFO("*", 0)}, "*", [2]int64{whole, whole}, [2]time.Duration{3 * time.Second, 4 * time.Second}},
		"several":                      {4, []lab.Step{lab.Talk(3 * time.Second), lab.Press("1234", 0)}, "1234", [2]int64{whole, whole}, [2]time.Duration{3 * time.Second, 5 * time.Second}},
		"no more than asked for":       {2, []lab.Step{lab.Talk(3 * time.Second), lab.Press("1234", 0)}, "12", [2]int64{whole, whole}, [2]time.Duration{3 * time.Second, 5 * time.Second}},
		"ended with a hash":            {10, []lab.Step{lab.Talk(3 * time.Second), lab.Press("42#", 0)}, "42", [2]int64{whole, whole}, [2]time.Duration{3 * time.Second, 5 * time.Second}},
		"fewer than asked for":         {4, []lab.Step{lab.Talk(3 * time.Second), lab.Press("42", 0)}, "42", [2]int64{whole, whole}, [2]time.Duration{8 * time.Second, 10 * time.Second}},
		"the hash itself":              {1, []lab.Step{lab.Talk(3 * time.Second), lab.Press("#", 0)}, "#", [2]int64{whole, whole}, [2]time.Duration{3 * time.Second, 4 * time.Second}},
		"none":                         {1, nil, "", [2]int64{whole, whole}, [2]time.Duration{7 * time.Second, 8 * time.Second}},
		"early: enough is heard first": {1, []lab.Step{lab.Talk(300 * time.Millisecond), lab.Press("1", 0)}, "1", [2]int64{1200, 1200}, [2]time.Duration{1200 * time.Millisecond, 1700 * time.Millisecond}},
		"when enough was heard":        {1, []lab.Step{lab.Talk(1500 * time.Millisecond), lab.Press("1", 0)}, "1", [2]int64{1440, 1640}, [2]time.Duration{1500 * time.Millisecond, 2 * time.Second}},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, nil, func(w *world) {
				w.number(customer, append(listening(), tt.steps...)...)
				rec := w.end(w.inform(call.InfocallRequest{Gather: tt.most}).ID)
				w.expectInfo(rec, "Y", "Успешно (200)", "200")
				if i := rec.Info; i.Digits != tt.keys || i.HeardMS < tt.heard[0] || i.HeardMS > tt.heard[1] {
					t.Errorf("keys %q, heard %d ms; want %q, %d to %d ms", i.Digits, i.HeardMS, tt.keys, tt.heard[0], tt.heard[1])
				}
				if took := rec.EndedAt.Sub(*rec.AnsweredAt); took < tt.within[0] || took > tt.within[1] {
					t.Errorf("it took %s, want %s to %s", took, tt.within[0], tt.within[1])
				}
			})
		})
	}
}

func TestMessageThatIsCutForKeysHasNoSeam(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.number(customer, listening()...)
		w.end(w.inform(call.InfocallRequest{Gather: 1}).ID)
		if got := w.party(w.carrier, customer, 1).Recorded(); len(got) < 16000 || len(got) > 16000+160 {
			t.Errorf("%d samples came of a message of 16000", len(got))
		}
	})
}

func TestKeysLeaveOutTheRepetitions(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.number(customer, append(listening(), lab.Talk(2300*time.Millisecond), lab.Press("1", 0))...)
		rec := w.end(w.inform(call.InfocallRequest{Gather: 1, Repeat: 5}).ID)
		if rec.Info.HeardMS != speechTime.Milliseconds() || rec.Info.Digits != "1" {
			t.Errorf("heard %d ms, keys %q", rec.Info.HeardMS, rec.Info.Digits)
		}
	})
}

func TestKeysOfAListenerWhoHangsUpThenAreKept(t *testing.T) {
	inWorld(t, func(c *configs.Config) { c.Infocall.MinHeard = 100 }, func(w *world) {
		w.number(customer, append(listening(), lab.Talk(500*time.Millisecond), lab.Press("13", 0), lab.Bye())...)
		rec := w.end(w.inform(call.InfocallRequest{Gather: 5}).ID)
		w.expect(rec, store.ResultHungUpEarly, "200", store.PartyCustomer)
		if rec.Info.Digits != "13" {
			t.Errorf("keys %q", rec.Info.Digits)
		}
	})
}

func TestKeysThatNobodyAskedForAreNotTold(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.number(customer, append(listening(), lab.Talk(300*time.Millisecond), lab.Press("1", 0))...)
		rec := w.end(w.infocall().ID)
		if rec.Info.Digits != "" || rec.Info.HeardMS != speechTime.Milliseconds() {
			t.Errorf("keys %q, heard %d ms", rec.Info.Digits, rec.Info.HeardMS)
		}
	})
}

func TestWhoWaitsForAnInformationalCallIsToldItsEnd(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.number(customer, listening()...)
		id := w.infocall().ID
		rec, err := w.svc.AwaitInfocall(context.Background(), id)
		if err != nil || rec.State != store.StateEnded || rec.Info.OK != "Y" {
			t.Errorf("got %s, %+v, %v", rec.State, rec.Info, err)
		}
		if stored, err := w.db.Call(context.Background(), id); err != nil || stored.State != store.StateEnded {
			t.Errorf("stored is %s, %v", stored.State, err)
		}
		if again, err := w.svc.AwaitInfocall(context.Background(), id); err != nil || again.Info == nil {
			t.Errorf("of a call that is over: %+v, %v", again.Info, err)
		}
	})
}

func TestNobodyWaitsForeverForAnInformationalCall(t *testing.T) {
	inWorld(t, func(c *configs.Config) { c.Infocall.Attempts = 2 }, func(w *world) {
		w.number(customer, lab.Reject(486, "Busy Here"))
		id := w.infocall().ID
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		defer cancel()
		began := time.Now()
		if rec, err := w.svc.AwaitInfocall(ctx, id); err != nil || rec.State != store.StateWaitingRetry || time.Since(began) != time.Minute {
			t.Errorf("after %s: %s, %v", time.Since(began), rec.State, err)
		}
		done := make(chan store.Call)
		go func() {
			rec, _ := w.svc.AwaitInfocall(context.Background(), id)
			done <- rec
		}()
		time.Sleep(time.Second)
		w.stop() // the call waits for the next start
		if rec := <-done; rec.State != store.StateWaitingRetry {
			t.Errorf("at the stop: %s", rec.State)
		}
		w.start()
		w.expectInfo(w.end(id), "N", "Занято (486)", "486")
	})
}
