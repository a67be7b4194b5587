package call_test

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"perezvon/configs"
	"perezvon/internal/lab"
	"perezvon/internal/store"
)

func TestCallerHearsOneNetworkAndRingbackWhenItsPhoneIsDone(t *testing.T) {
	inWorld(t, func(c *configs.Config) {
		no := false
		c.Lines[0].Route = []configs.Step{
			{Mobile: &configs.MobileStep{Number: "+" + mobile, Confirm: &no, Ring: 20 * time.Second}}, ring("101"),
		}
	}, func(w *world) {
		w.number(mobile, lab.EarlyMedia(0, 1400), lab.Wait(3*time.Second), lab.Reject(480, "Temporarily Unavailable"))
		w.phone("101", lab.Tone(managerTone), lab.Ring(0), lab.Answer(6*time.Second))
		caller := w.inbound(lab.Tone(customerTone), lab.Talk(5*time.Second), lab.Bye())
		<-caller.Ended()
		w.expect(w.onlyCall(), store.ResultCompleted, "200", "")
		if !caller.Heard(1400, 2500*time.Millisecond) || !caller.Heard(ringbackTone, 900*time.Millisecond) || !caller.Heard(managerTone, 4*time.Second) {
			t.Errorf("the caller heard %v", caller.HeardTones(time.Time{}, time.Time{}))
		}
		if !heardBefore(caller, 1400, ringbackTone) {
			t.Error("ringback sounded into the other network's sound")
		}
	})
}

func TestCallerWhoHearsOneNetworkIsBridgedWithAnotherPhone(t *testing.T) {
	inWorld(t, groupOf("all", "101", "102"), func(w *world) {
		w.phone("101", lab.EarlyMedia(0, 1400), lab.Wait(time.Minute))
		w.phone("102", lab.Tone(managerTone), lab.Ring(0), lab.Answer(4*time.Second))
		caller := w.inbound(lab.Tone(customerTone), lab.Talk(5*time.Second), lab.Bye())
		<-caller.Ended()
		rec := w.onlyCall()
		w.expect(rec, store.ResultCompleted, "200", "")
		if !caller.Heard(1400, 3*time.Second) || !caller.Heard(managerTone, 4*time.Second) || !heardBefore(caller, 1400, managerTone) {
			t.Errorf("the caller heard %v", caller.HeardTones(time.Time{}, time.Time{}))
		}
		if rec.Manager == nil || rec.Manager.Extension != "102" {
			t.Errorf("who answered: %+v", rec.Manager)
		}
	})
}

func TestEarlyMediaThatIsPromisedAndNeverComesLeavesTheCallerWithRingback(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.phone("101", lab.NoSound(), lab.EarlyMedia(0, 0), lab.Wait(6*time.Second), lab.Reject(480, "Temporarily Unavailable"))
		caller := w.inbound(lab.Tone(customerTone))
		<-caller.Ended()
		w.expect(w.onlyCall(), store.ResultMissed, "304", store.PartyManager)
		if !caller.Heard(ringbackTone, 900*time.Millisecond) {
			t.Errorf("the caller heard %v", caller.HeardTones(time.Time{}, time.Time{}))
		}
	})
}

func TestRingAllOfAnInboundCallHasOneWinner(t *testing.T) {
	inWorld(t, groupOf("all", "101", "102", "103"), func(w *world) {
		w.phone("101", lab.Ring(0))
		w.phone("102", lab.Tone(managerTone), lab.Ring(0), lab.Answer(4*time.Second))
		w.phone("103", lab.Ring(0), lab.AnswerOnCancel())
		caller := w.inbound(lab.Tone(customerTone), lab.Talk(5*time.Second), lab.Bye())
		<-caller.Ended()
		rec := w.onlyCall()
		w.expect(rec, store.ResultCompleted, "200", "")
		if rec.Manager == nil || rec.Manager.Extension != "102" {
			t.Errorf("who answered: %+v", rec.Manager)
		}
		loser, ok := w.party(w.phones["101"], "101", 1).Event(lab.Cancelled)
		if !ok || !slices.Contains(loser.Reasons, `SIP;cause=200;text="Call completed elsewhere"`) {
			t.Errorf("the loser got %v", loser)
		}
		if late := w.party(w.phones["103"], "103", 1); late.ACKs() == 0 || late.BYEs() != 1 {
			t.Errorf("who answered too late got %d ACKs and %d BYEs", late.ACKs(), late.BYEs())
		}
	})
}

func TestMobileThatAnswersAnInboundCallConfirms(t *testing.T) {
	for name, c := range map[string]struct {
		press  []lab.Step
		result store.Result
	}{
		"with the key 1":            {[]lab.Step{lab.Press("1", 2*time.Second)}, store.ResultCompleted},
		"and a voicemail does not":  {nil, store.ResultMissed},
		"and another key is no yes": {[]lab.Step{lab.Press("2", 2*time.Second)}, store.ResultMissed},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, routed(configs.Step{Mobile: &configs.MobileStep{Number: "+" + mobile}}), func(w *world) {
				w.number(mobile, append(answering(managerTone), c.press...)...)
				caller := w.inbound(lab.Tone(customerTone), lab.Talk(5*time.Second), lab.Bye())
				<-caller.Ended()
				rec := w.onlyCall()
				if rec.Result != c.result || (rec.Manager != nil) != (c.result == store.ResultCompleted) {
					t.Errorf("ended with %s, answered by %+v", rec.Result, rec.Manager)
				}
				if _, ok := caller.Event(lab.Answered); ok != (c.result == store.ResultCompleted) {
					t.Errorf("the caller was answered: %v", ok)
				}
			})
		})
	}
}

func TestLongestIdleGetsTheCallAndWhoTalksComesLast(t *testing.T) {
	inWorld(t, groupOf("longest_idle", "101", "102", "103"), func(w *world) {
		for _, ext := range []string{"101", "102", "103"} {
			w.phone(ext, answering(managerTone)...)
		}
		var got []string
		call := func(talk time.Duration) *lab.Party {
			p := w.inbound(lab.Tone(customerTone), lab.Talk(talk), lab.Bye())
			time.Sleep(3 * time.Second)
			open, err := w.db.OpenCalls(context.Background())
			if err != nil || len(open) == 0 {
				t.Fatalf("no call is open (%v)", err)
			}
			got = append(got, open[len(open)-1].Manager.Extension)
			return p
		}
		<-call(5 * time.Second).Ended()  // 101: all are equal, the first in the list
		<-call(5 * time.Second).Ended()  // 102 has not talked yet
		long := call(10 * time.Minute)   // 103, who goes on talking
		<-call(5 * time.Second).Ended()  // 101 has talked before 102
		<-call(5 * time.Second).Ended()  // 102
		<-call(20 * time.Second).Ended() // 101; not 103, who is in a call
		<-long.Ended()
		if want := []string{"101", "102", "103", "101", "102", "101"}; !slices.Equal(got, want) {
			t.Errorf("answered by %v, want %v", got, want)
		}
	})
}

// A caller may give up at any moment: each leaves one record that is ended,
// and nothing that rings on.
func TestCallerHangsUpAtEveryMoment(t *testing.T) {
	inWorld(t, func(c *configs.Config) {
		c.Lines[0].Route = []configs.Step{
			{Extension: &configs.ExtensionStep{Number: "101", Ring: 2 * time.Second}},
			{Group: &configs.GroupStep{Members: []string{"102", "103"}, Strategy: "all", Ring: 10 * time.Second}},
		}
	}, func(w *world) {
		w.phone("101", lab.Ring(100*time.Millisecond))
		w.phone("102", lab.Tone(managerTone), lab.Ring(100*time.Millisecond), lab.Answer(2*time.Second), lab.Talk(500*time.Millisecond), lab.Bye())
		w.phone("103", lab.Ring(100*time.Millisecond), lab.AnswerOnCancel())
		moments := []time.Duration{0, time.Microsecond, time.Millisecond, 2 * time.Millisecond, 5 * time.Millisecond}
		for d := 100 * time.Millisecond; d < 4900*time.Millisecond; d += 100 * time.Millisecond {
			moments = append(moments, d-time.Millisecond, d, d+time.Millisecond)
		}
		for i, after := range moments {
			caller, err := w.carrier.Call(context.Background(), lab.CallOptions{
				To: netip.MustParseAddrPort("10.0.0.1:5060"), User: lineNumber, From: fmt.Sprintf("+7999%07d", i),
				Script: lab.Script{lab.Tone(customerTone), lab.Cancel(after), lab.Talk(time.Minute), lab.Bye()},
			})
			if err != nil {
				t.Fatal(err)
			}
			<-caller.Ended()
			time.Sleep(time.Second)
		}
		time.Sleep(10 * time.Second)
		calls, _, err := w.db.Calls(context.Background(), store.Filter{Limit: 1000})
		if err != nil || len(calls) != len(moments) {
			t.Fatalf("%d calls came of %d (%v)", len(calls), len(moments), err)
		}
		results := map[store.Result]int{}
		for _, rec := range calls {
			results[rec.Result]++
			if n := w.endings(rec.ID); n != 1 {
				t.Errorf("call of %s has %d terminal events", rec.Number, n)
			}
			answered := rec.Result == store.ResultCompleted
			if answered != (rec.AnsweredAt != nil) || answered != (rec.Manager != nil) {
				t.Errorf("call of %s ended with %s, answered at %v by %v", rec.Number, rec.Result, rec.AnsweredAt, rec.Manager)
			}
		}
		if results[store.ResultAbandoned] < 50 || results[store.ResultCompleted] < 10 || len(results) != 2 {
			t.Errorf("they ended %v", results)
		}
	})
}
