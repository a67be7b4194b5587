package call_test

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"perezvon/configs"
	"perezvon/internal/lab"
	"perezvon/internal/store"
)

// inbound lets the customer call the line.
func (w *world) inbound(steps ...lab.Step) *lab.Party {
	return w.inboundTo(lineNumber, steps...)
}

func (w *world) inboundTo(number string, steps ...lab.Step) *lab.Party {
	w.t.Helper()
	p, err := w.carrier.Call(context.Background(), lab.CallOptions{
		To: netip.MustParseAddrPort("10.0.0.1:5060"), User: number, From: "+" + customer, Script: steps,
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return p
}

// onlyCall is the one call in the store.
func (w *world) onlyCall() store.Call {
	w.t.Helper()
	time.Sleep(time.Second)
	calls, _, err := w.db.Calls(context.Background(), store.Filter{})
	if err != nil || len(calls) != 1 {
		w.t.Fatalf("%d calls are stored, want 1 (%v)", len(calls), err)
	}
	return w.end(calls[0].ID)
}

func TestCallerAndExtensionAreBridged(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.phone("101", answering(managerTone)...)
		caller := w.inbound(lab.Tone(customerTone), lab.Talk(10*time.Second), lab.Bye())
		<-caller.Ended()
		rec := w.onlyCall()
		w.expect(rec, store.ResultCompleted, "200", "")
		if rec.Kind != store.KindInbound || rec.Number != "+"+customer || rec.HangupBy != store.PartyCustomer {
			t.Errorf("stored as %s from %s, hung up by %s", rec.Kind, rec.Number, rec.HangupBy)
		}
		phone := w.party(w.phones["101"], "101", 1)
		if !caller.Heard(managerTone, 9*time.Second) || !phone.Heard(customerTone, 9*time.Second) {
			t.Error("they did not hear each other")
		}
		if caller.Heard(customerTone, 100*time.Millisecond) || phone.Heard(managerTone, 100*time.Millisecond) {
			t.Error("somebody heard himself")
		}
		if _, rang := caller.Event(lab.Ringing); !rang {
			t.Error("the caller got no 180")
		}
		left, right := w.recording(rec)
		if !hears(left, managerTone) || !hears(right, customerTone) {
			t.Error("the recording has the sides in the wrong channels")
		}
	})
}

func TestCallerIsTurnedAwayWhenNobodyAccepts(t *testing.T) {
	for name, c := range map[string]struct {
		steps  []lab.Step
		status int
		result store.Result
	}{
		"busy":           {[]lab.Step{lab.Reject(486, "Busy Here")}, 486, store.ResultBusy},
		"no answer":      {[]lab.Step{lab.Ring(0)}, 480, store.ResultMissed},
		"declined":       {[]lab.Step{lab.Reject(603, "Decline")}, 603, store.ResultMissed},
		"silent phone":   {[]lab.Step{lab.Silence()}, 480, store.ResultMissed},
		"does not exist": {[]lab.Step{lab.Reject(404, "Not Found")}, 404, store.ResultMissed},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, nil, func(w *world) {
				w.phone("101", c.steps...)
				caller := w.inbound(lab.Tone(customerTone))
				<-caller.Ended()
				if ev, _ := caller.Event(lab.Refused); ev.Status != c.status {
					t.Errorf("the caller got %v, want %d", ev, c.status)
				}
				if rec := w.onlyCall(); rec.Result != c.result {
					t.Errorf("ended with %s, want %s", rec.Result, c.result)
				}
			})
		})
	}
}

func TestCallerWhoGivesUpStopsTheRinging(t *testing.T) {
	for name, extra := range map[string][]lab.Step{
		"in time":                     nil,
		"while the phone is answered": {lab.AnswerOnCancel()},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, groupOf("all", "101", "102"), func(w *world) {
				w.phone("101", append(extra, lab.Ring(0))...)
				w.phone("102", lab.Ring(0))
				caller := w.inbound(lab.Cancel(5 * time.Second))
				<-caller.Ended()
				rec := w.onlyCall()
				w.expect(rec, store.ResultAbandoned, "304", store.PartyCustomer)
			})
		})
	}
}

func TestCallerWhoGivesUpWhileTheCallIsStoredLeavesNoOpenCall(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.phone("101", lab.Ring(0))
		w.disk.slow.Store(int64(time.Second))
		caller := w.inbound(lab.Cancel(300 * time.Millisecond))
		<-caller.Ended()
		rec := w.onlyCall()
		w.expect(rec, store.ResultAbandoned, "304", store.PartyCustomer)
		if n := len(w.phones["101"].Parties()); n != 0 {
			t.Errorf("the phone was rung %d times for a caller who had gone", n)
		}
	})
}

func TestHangupStepRefusesWithItsCode(t *testing.T) {
	inWorld(t, func(c *configs.Config) {
		c.Lines[0].Route = []configs.Step{{Hangup: &configs.HangupStep{Code: 480}}}
	}, func(w *world) {
		caller := w.inbound()
		<-caller.Ended()
		if ev, _ := caller.Event(lab.Refused); ev.Status != 480 {
			t.Errorf("the caller got %v", ev)
		}
		w.expect(w.onlyCall(), store.ResultMissed, "304", store.PartyUs)
	})
}

func TestUnknownNumberIsNotFoundAndMakesNoCall(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		caller := w.inboundTo("+74959999999")
		<-caller.Ended()
		if ev, _ := caller.Event(lab.Refused); ev.Status != 404 {
			t.Errorf("the caller got %v", ev)
		}
		calls, _, err := w.db.Calls(context.Background(), store.Filter{})
		if err != nil || len(calls) != 0 {
			t.Errorf("%d calls were stored (%v)", len(calls), err)
		}
	})
}

func through(c *configs.Config) {
	c.Trunks[0].Format, c.Trunks[1].Format = "raw", "raw"
	c.Lines = []configs.Line{{
		ID: "through", Number: "9*", Trunks: []string{"provider"},
		Route: []configs.Step{{Forward: &configs.ForwardStep{Trunk: "backup"}}},
	}}
}

func TestForwardPassesTheDialledNumberOnAsItIs(t *testing.T) {
	inWorld(t, through, func(w *world) {
		w.backup.Number("9123", answering(managerTone))
		caller := w.inboundTo("9123", lab.Tone(customerTone), lab.Talk(5*time.Second), lab.Bye())
		<-caller.Ended()
		w.expect(w.onlyCall(), store.ResultCompleted, "200", "")
		far := w.party(w.backup, "9123", 1)
		if !caller.Heard(managerTone, 4*time.Second) || !far.Heard(customerTone, 4*time.Second) {
			t.Error("they did not hear each other")
		}
	})
}

func TestForwardLetsTheFarNetworksSoundThroughBeforeTheAnswer(t *testing.T) {
	inWorld(t, through, func(w *world) {
		w.backup.Number("9123", lab.Script{lab.EarlyMedia(time.Second, 1400), lab.Wait(4 * time.Second), lab.Reject(404, "Not Found")})
		caller := w.inboundTo("9123", lab.Tone(customerTone))
		<-caller.Ended()
		if !caller.Heard(1400, 3*time.Second) {
			t.Errorf("the caller heard %v", caller.HeardTones(time.Time{}, time.Time{}))
		}
		if ev, _ := caller.Event(lab.Refused); ev.Status != 404 {
			t.Errorf("the caller got %v", ev)
		}
	})
}

func TestCallerWithoutOfferGetsOneAndIsBridged(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.phone("101", answering(managerTone)...)
		caller, err := w.carrier.Call(context.Background(), lab.CallOptions{
			To: netip.MustParseAddrPort("10.0.0.1:5060"), User: lineNumber, From: customer, NoOffer: true,
			Script: lab.Script{lab.Tone(customerTone), lab.Talk(5 * time.Second), lab.Bye()},
		})
		if err != nil {
			t.Fatal(err)
		}
		<-caller.Ended()
		w.expect(w.onlyCall(), store.ResultCompleted, "200", "")
		if !caller.Heard(managerTone, 4*time.Second) {
			t.Error("the caller heard nothing")
		}
	})
}

func TestForwardThatComesBackEndsInsteadOfCirclingForEver(t *testing.T) {
	inWorld(t, func(c *configs.Config) {
		through(c)
		c.Trunks[1].Host = "10.0.0.1:5060" // our own address
		c.Lines[0].Trunks = []string{"provider", "backup"}
		c.Callback.Ring = time.Minute
	}, func(w *world) {
		caller := w.inboundTo("9123", lab.Tone(customerTone))
		<-caller.Ended()
		if _, refused := caller.Event(lab.Refused); !refused {
			t.Errorf("the caller got %v", caller.Timeline())
		}
		time.Sleep(2 * time.Minute)
		calls, _, err := w.db.Calls(context.Background(), store.Filter{Limit: 1000})
		if err != nil || len(calls) > 70 {
			t.Errorf("%d calls came of one (%v)", len(calls), err)
		}
		for _, rec := range calls {
			if rec.State != store.StateEnded {
				t.Errorf("call %s is still %s", rec.ID, rec.State)
			}
		}
	})
}

func TestCallerWhoNeverAcknowledgesIsNoCompletedCall(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.phone("101", answering(managerTone)...)
		caller := w.inbound(lab.Tone(customerTone), lab.LoseACKs(-1))
		<-caller.Ended()
		w.expect(w.onlyCall(), store.ResultTrunkFailed, "503", store.PartyTrunk)
	})
}

func TestCallToARegisteredContactBelongsToTheLineThatToNames(t *testing.T) {
	for name, c := range map[string]struct {
		to, phone string
		lines     int
	}{
		"a number of the account":                       {"+74950000002", "102", 2},
		"the account itself":                            {"74950000000", "101", 2},
		"no number of ours, and the account has a line": {"pbx", "101", 1},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(cfg *configs.Config) {
				cfg.Trunks[0].Register, cfg.Trunks[0].Username = true, "74950000000"
				cfg.Trunks[0].Password = configs.NewSecret("secret")
				second := cfg.Lines[0]
				second.ID, second.Number = "second", "+74950000002"
				second.Route = []configs.Step{{Extension: &configs.ExtensionStep{Number: "102"}}}
				cfg.Lines = append(cfg.Lines, second)[:c.lines]
			}, func(w *world) {
				w.carrier.NewRegistrar(lab.RegistrarOptions{Credentials: lab.Credentials{Username: "74950000000", Password: "secret"}})
				time.Sleep(time.Minute)
				w.phone(c.phone, answering(managerTone)...)
				caller, err := w.carrier.Call(context.Background(), lab.CallOptions{
					To: netip.MustParseAddrPort("10.0.0.1:5060"), User: c.to, Account: "74950000000", From: "+" + customer,
					Script: []lab.Step{lab.Tone(customerTone), lab.Talk(3 * time.Second), lab.Bye()},
				})
				if err != nil {
					t.Fatal(err)
				}
				<-caller.Ended()
				w.expect(w.onlyCall(), store.ResultCompleted, "200", "")
				if w.rung(w.phones[c.phone], c.phone) != 1 {
					t.Errorf("extension %s was not rung", c.phone)
				}
			})
		})
	}
}
