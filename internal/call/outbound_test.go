package call_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"perezvon/configs"
	"perezvon/internal/lab"
	"perezvon/internal/store"
)

func TestExtensionAndNumberOutsideAreBridged(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.number(customer, answering(customerTone)...)
		anna := w.dial("101", "89990000001", lab.Tone(managerTone), lab.Talk(10*time.Second), lab.Bye())
		<-anna.Ended()
		far := w.party(w.carrier, customer, 1)
		if !anna.Heard(customerTone, 9*time.Second) || !far.Heard(managerTone, 9*time.Second) {
			t.Error("they did not hear each other")
		}
		if anna.Heard(managerTone, 100*time.Millisecond) || far.Heard(customerTone, 100*time.Millisecond) {
			t.Error("somebody heard himself")
		}
		if _, rang := anna.Event(lab.Ringing); !rang {
			t.Error("the phone got no 180")
		}
		if far.From() != lineNumber || far.DisplayName() != "Main office" {
			t.Errorf("the number outside sees %q <%s>", far.DisplayName(), far.From())
		}
		rec := w.onlyCall()
		w.expect(rec, store.ResultCompleted, "200", "")
		if rec.Kind != store.KindOutbound || rec.Line != "main" || rec.Number != "+"+customer || rec.HangupBy != store.PartyManager {
			t.Errorf("stored as %s on line %q to %s, hung up by %s", rec.Kind, rec.Line, rec.Number, rec.HangupBy)
		}
		if rec.Manager == nil || rec.Manager.Extension != "101" || rec.Customer == nil || rec.Customer.Number != "+"+customer || !rec.CustomerReached {
			t.Errorf("took part: %+v and %+v", rec.Manager, rec.Customer)
		}
		left, right := w.recording(rec)
		if !hears(left, managerTone) || !hears(right, customerTone) {
			t.Error("the recording has the sides in the wrong channels")
		}
	})
}

func TestPhoneHearsWhatTheFarSideSays(t *testing.T) {
	for name, c := range map[string]struct {
		steps  []lab.Step
		status int
		result store.Result
		code   string
		owner  store.Party
	}{
		"busy":               {[]lab.Step{lab.Ring(0), lab.Reject(486, "Busy Here")}, 486, store.ResultBusy, "486", store.PartyCustomer},
		"busy everywhere":    {[]lab.Step{lab.Reject(600, "Busy Everywhere")}, 600, store.ResultBusy, "486", store.PartyCustomer},
		"declined":           {[]lab.Step{lab.Ring(0), lab.Reject(603, "Decline")}, 603, store.ResultMissed, "603", store.PartyCustomer},
		"does not exist":     {[]lab.Step{lab.Reject(404, "Not Found")}, 404, store.ResultInvalidNumber, "404", store.PartyCustomer},
		"no longer exists":   {[]lab.Step{lab.Reject(410, "Gone")}, 410, store.ResultInvalidNumber, "404", store.PartyCustomer},
		"incomplete":         {[]lab.Step{lab.Reject(484, "Address Incomplete")}, 484, store.ResultDirection, "484", store.PartyCustomer},
		"off":                {[]lab.Step{lab.Reject(480, "Temporarily Unavailable")}, 480, store.ResultMissed, "480", store.PartyCustomer},
		"nobody there":       {[]lab.Step{lab.Ring(0), lab.Wait(20 * time.Second), lab.Reject(480, "No Answer")}, 480, store.ResultMissed, "304", store.PartyCustomer},
		"no money":           {[]lab.Step{lab.Reject(402, "Payment Required")}, 402, store.ResultTrunkFailed, "402", store.PartyTrunk},
		"forbidden":          {[]lab.Step{lab.Reject(403, "Forbidden")}, 403, store.ResultTrunkFailed, "403", store.PartyTrunk},
		"overload":           {[]lab.Step{lab.Reject(503, "Service Unavailable")}, 503, store.ResultTrunkFailed, "503", store.PartyTrunk},
		"trouble":            {[]lab.Step{lab.Reject(502, "Bad Gateway")}, 503, store.ResultTrunkFailed, "503", store.PartyTrunk},
		"silence":            {[]lab.Step{lab.Silence()}, 503, store.ResultTrunkFailed, "503", store.PartyTrunk},
		"a password, for us": {[]lab.Step{lab.Reject(407, "Proxy Authentication Required", `Proxy-Authenticate: Digest realm="x", nonce="y"`)}, 503, store.ResultTrunkFailed, "503", store.PartyTrunk},
		"rings for ever":     {[]lab.Step{lab.Ring(0)}, 480, store.ResultMissed, "304", store.PartyCustomer},
		"moved":              {[]lab.Step{lab.Reject(302, "Moved Temporarily", "Contact: <sip:1@192.0.2.1>")}, 480, store.ResultTrunkFailed, "503", store.PartyTrunk},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, nil, func(w *world) {
				w.number(customer, c.steps...)
				anna := w.dial("101", customer, lab.Tone(managerTone))
				<-anna.Ended()
				if ev, _ := anna.Event(lab.Refused); ev.Status != c.status {
					t.Errorf("the phone got %v, want %d", ev, c.status)
				}
				rec := w.onlyCall()
				w.expect(rec, c.result, c.code, c.owner)
				if rec.Kind != store.KindOutbound || len(rec.Legs) != 2 {
					t.Errorf("stored as %s with %d legs", rec.Kind, len(rec.Legs))
				}
			})
		})
	}
}

func TestCauseOfTheFarNetworkReachesThePhone(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.number(customer, lab.Reject(480, "Temporarily Unavailable", `Reason: Q.850;cause=20;text="absent"`))
		anna := w.dial("101", customer, lab.Tone(managerTone))
		<-anna.Ended()
		if ev, _ := anna.Event(lab.Refused); ev.Status != 480 || len(ev.Reasons) != 1 || ev.Reasons[0] != `Q.850;cause=20;text="absent"` {
			t.Errorf("the phone got %v", ev)
		}
	})
}

func TestAnnouncementOfTheNetworkIsHeardBeforeTheAnswer(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.number(customer, lab.EarlyMedia(time.Second, 1400), lab.Wait(4*time.Second), lab.Reject(404, "Not Found"))
		anna := w.dial("101", customer, lab.Tone(managerTone))
		<-anna.Ended()
		if !anna.Heard(1400, 3*time.Second) {
			t.Errorf("the phone heard %v", anna.HeardTones(time.Time{}, time.Time{}))
		}
		if ev, _ := anna.Event(lab.Progress); ev.Status != 183 {
			t.Errorf("the phone got no 183: %v", anna.Timeline())
		}
		w.expect(w.onlyCall(), store.ResultInvalidNumber, "404", store.PartyCustomer)
	})
}

func TestPhoneWithoutOfferIsBridged(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.number(customer, hangingUpAfter(customerTone, 5*time.Second)...)
		anna, err := w.phones["101"].Call(context.Background(), lab.CallOptions{
			To: ourSIP, User: customer, From: "101", NoOffer: true, Script: lab.Script{lab.Tone(managerTone)},
		})
		if err != nil {
			t.Fatal(err)
		}
		<-anna.Ended()
		w.expect(w.onlyCall(), store.ResultCompleted, "200", "")
		if !anna.Heard(customerTone, 4*time.Second) {
			t.Error("the phone heard nothing")
		}
	})
}

func TestNextTrunkOfTheLineCarriesTheCall(t *testing.T) {
	for name, fails := range map[string][]lab.Step{
		"503":     {lab.Reject(503, "Service Unavailable")},
		"silence": {lab.Silence()},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(c *configs.Config) { c.Lines[0].Trunks = []string{"provider", "backup"} }, func(w *world) {
				w.number(customer, fails...)
				w.backup.Number(customer, hangingUpAfter(customerTone, 5*time.Second))
				anna := w.dial("101", customer, lab.Tone(managerTone))
				<-anna.Ended()
				w.expect(w.onlyCall(), store.ResultCompleted, "200", "")
				if !anna.Heard(customerTone, 4*time.Second) {
					t.Error("they did not hear each other")
				}
			})
		})
	}
}

func TestNumberThatMayNotBeDialledMakesNoCall(t *testing.T) {
	for number, status := range map[string]int{
		"+442079460000": 403, // not a destination
		"88091234567":   403, // premium
		"8999":          484,
		"84950000000":   404, // our own
		"anna":          404,
	} {
		t.Run(number, func(t *testing.T) {
			inWorld(t, nil, func(w *world) {
				anna := w.dial("101", number, lab.Tone(managerTone))
				<-anna.Ended()
				if ev, _ := anna.Event(lab.Refused); ev.Status != status {
					t.Errorf("the phone got %v, want %d", ev, status)
				}
				w.noCall()
			})
		})
	}
}

func TestEmergencyCallPassesWhateverTheRules(t *testing.T) {
	inWorld(t, func(c *configs.Config) {
		c.Outgoing = []configs.Outgoing{{Prefix: "9", Strip: 1, Extensions: []string{"103"}}}
		c.Limits.Destinations = []string{"+1"}
	}, func(w *world) {
		w.number("112", hangingUpAfter(customerTone, 3*time.Second)...)
		anna := w.dial("101", "112", lab.Tone(managerTone))
		<-anna.Ended()
		w.expect(w.onlyCall(), store.ResultCompleted, "200", "")
		other := w.dial("101", "989990000001", lab.Tone(managerTone))
		<-other.Ended()
		if ev, _ := other.Event(lab.Refused); ev.Status != 403 {
			t.Errorf("a number that no rule fits got %v", ev)
		}
	})
}

func TestRuleChoosesTheLineAndItsCallerID(t *testing.T) {
	inWorld(t, func(c *configs.Config) {
		second := c.Lines[0]
		second.ID, second.Number, second.Trunks, second.Record, second.Name = "second", "+74950000002", []string{"backup"}, false, "Shop"
		c.Lines = append(c.Lines, second)
		c.Outgoing = []configs.Outgoing{{Prefix: "77", Strip: 2, Line: "second"}, {}}
	}, func(w *world) {
		w.backup.Number(customer, hangingUpAfter(customerTone, 3*time.Second))
		<-w.dial("101", "7789990000001", lab.Tone(managerTone)).Ended()
		rec := w.onlyCall()
		w.expect(rec, store.ResultCompleted, "200", "")
		far := w.party(w.backup, customer, 1)
		if rec.Line != "second" || far.From() != "+74950000002" || far.DisplayName() != "Shop" || rec.Recording != nil {
			t.Errorf("went through line %s as %q <%s>, recording %v", rec.Line, far.DisplayName(), far.From(), rec.Recording)
		}
	})
}

func TestCallbackWaitsWhileSomebodyTalksWithTheCustomer(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.phone("101", answering(managerTone)...)
		w.number(customer, answering(customerTone)...)
		boris := w.dial("102", customer, lab.Tone(otherTone), lab.Talk(30*time.Second), lab.Bye())
		time.Sleep(5 * time.Second)
		rec := w.callback()
		time.Sleep(20 * time.Second)
		if n := w.rung(w.carrier, customer); n != 1 {
			t.Errorf("the customer was dialled %d times", n)
		}
		if n := w.rung(w.phones["101"], "101"); n != 0 {
			t.Errorf("the manager was rung %d times", n)
		}
		<-boris.Ended()
		w.until(rec.ID, store.StateTalking)
		if _, err := w.svc.Cancel(context.Background(), rec.ID, "ops"); err != nil {
			t.Error(err)
		}
	})
}

func TestTwoOfTheOfficeMayCallOneNumber(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.number(customer, answering(customerTone)...)
		first := w.dial("101", customer, lab.Tone(managerTone), lab.Talk(10*time.Second), lab.Bye())
		time.Sleep(3 * time.Second)
		second := w.dial("102", customer, lab.Tone(otherTone), lab.Talk(10*time.Second), lab.Bye())
		<-first.Ended()
		<-second.Ended()
		if !second.Heard(customerTone, 9*time.Second) {
			t.Error("the second caller was not connected")
		}
	})
}

func TestOutboundCallLastsNoLongerThanItMay(t *testing.T) {
	inWorld(t, func(c *configs.Config) { c.Limits.MaxCall = 30 * time.Second }, func(w *world) {
		w.number(customer, answering(customerTone)...)
		<-w.dial("101", customer, lab.Tone(managerTone)).Ended()
		rec := w.onlyCall()
		w.expect(rec, store.ResultCompleted, "200", "")
		if rec.HangupBy != store.PartyUs || rec.TalkMS < 29_900 || rec.TalkMS > 30_500 {
			t.Errorf("hung up by %s after %d ms", rec.HangupBy, rec.TalkMS)
		}
	})
}

func TestCrashDuringACallOfAPhoneEndsBothSides(t *testing.T) {
	for _, number := range []string{"102", customer} {
		for name, at := range map[string]time.Duration{"while it rings": 500 * time.Millisecond, "during the talk": 4 * time.Second} {
			t.Run(fmt.Sprintf("to %s %s", number, name), func(t *testing.T) {
				inWorld(t, nil, func(w *world) {
					w.phone("102", answering(otherTone)...)
					w.number(customer, answering(customerTone)...)
					anna := w.dial("101", number, lab.Tone(managerTone))
					time.Sleep(at)
					w.crash()
					<-anna.Ended()
					rec := w.onlyCall()
					w.expect(rec, store.ResultInterrupted, "OTHER", store.PartyUs)
					if n := w.endings(rec.ID); n != 1 {
						t.Errorf("%d terminal events", n)
					}
				})
			})
		}
	}
}

func TestPhoneWhoseOfferHasNoCodecOfOursIsRefused(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		anna := w.dial("101", customer, lab.EditSDP(func(s string) string {
			return strings.NewReplacer("RTP/AVP 8 0 101", "RTP/AVP 9", "a=rtpmap:8 PCMA/8000\r\n", "", "a=rtpmap:0 PCMU/8000\r\n", "").Replace(s)
		}))
		<-anna.Ended()
		if ev, _ := anna.Event(lab.Refused); ev.Status != 488 {
			t.Errorf("the phone got %v", ev)
		}
		w.expect(w.onlyCall(), store.ResultMissed, "503", store.PartyTrunk)
		if w.rung(w.carrier, customer) != 0 {
			t.Error("the number was dialled")
		}
	})
}

func TestManyPhonesCallAtOnce(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		var parties []*lab.Party
		for i := range 30 {
			number := fmt.Sprintf("7999000%04d", i)
			w.number(number, lab.Tone(customerTone), lab.Ring(0), lab.Answer(time.Duration(i)*100*time.Millisecond), lab.Talk(3*time.Second), lab.Bye())
			parties = append(parties, w.dial([]string{"101", "102", "103"}[i%3], number, lab.Tone(managerTone), lab.Cancel(time.Duration(1500+i)*time.Millisecond)))
		}
		for _, p := range parties {
			<-p.Ended()
		}
		time.Sleep(10 * time.Second)
		calls, _, err := w.db.Calls(context.Background(), store.Filter{Limit: 100})
		if err != nil || len(calls) != 30 {
			t.Fatalf("%d calls (%v)", len(calls), err)
		}
		for _, rec := range calls {
			if rec.State != store.StateEnded || rec.Result != store.ResultCompleted && rec.Result != store.ResultAbandoned || w.endings(rec.ID) != 1 {
				t.Errorf("call to %s: %s, %s (%s)", rec.Number, rec.State, rec.Result, rec.Reason)
			}
		}
	})
}
