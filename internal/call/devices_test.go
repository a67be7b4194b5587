package call_test

import (
	"context"
	"net/netip"
	"strings"
	"testing"
	"time"

	"perezvon/configs"
	"perezvon/internal/lab"
	"perezvon/internal/store"
)

const phonePassword = "a long password"

// registering has Anna's phones register; who comes after her in the route is
// Boris.
func registering(cfg *configs.Config) {
	cfg.Extensions[0].Contact, cfg.Extensions[0].Password = "", configs.NewSecret(phonePassword)
	cfg.Lines[0].Route = append(cfg.Lines[0].Route, configs.Step{Extension: &configs.ExtensionStep{Number: "102"}})
}

// desk is a phone of Anna's, and what it does when it is rung.
func (w *world) desk(addr string, steps ...lab.Step) *lab.Carrier {
	w.t.Helper()
	return w.deskOf("101", addr, steps...)
}

// deskOf is a phone that registers as an extension, and what it does when it is
// rung.
func (w *world) deskOf(ext, addr string, steps ...lab.Step) *lab.Carrier {
	w.t.Helper()
	p := w.network(addr)
	w.phones[ext+" at "+addr] = p
	p.Number(ext, lab.Script(steps))
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if _, err := p.RegisterPhone(ctx, lab.Account{At: netip.MustParseAddrPort("10.0.0.1:5060"), Username: ext, Password: phonePassword}); err != nil {
		w.t.Fatal(err)
	}
	return p
}

func TestAllPhonesOfAnExtensionRingAndOneWins(t *testing.T) {
	inWorld(t, registering, func(w *world) {
		slow := w.desk("10.0.0.21:5060", lab.Ring(time.Second))
		quick := w.desk("10.0.0.22:5060", lab.Ring(time.Second), lab.Answer(3*time.Second))
		w.number(customer, lab.Answer(time.Second), lab.Talk(10*time.Second), lab.Bye())
		rec := w.end(w.callback().ID)
		w.expect(rec, store.ResultCompleted, "200", "")
		if n := w.rung(slow, "101") + w.rung(quick, "101"); n != 2 {
			t.Fatalf("%d phones rang", n)
		}
		e, ok := w.party(slow, "101", 1).Event(lab.Cancelled)
		if !ok || !strings.Contains(strings.Join(e.Reasons, ","), "Call completed elsewhere") {
			t.Errorf("the other phone: %v", w.party(slow, "101", 1).Timeline())
		}
		if n := w.rung(w.phones["102"], "102"); n != 0 {
			t.Errorf("the next of the route was rung, too")
		}
	})
}

func TestWhoDeclinesDoesSoOnAllPhones(t *testing.T) {
	inWorld(t, registering, func(w *world) {
		w.phone("102", lab.Ring(0), lab.Reject(486, "Busy Here"))
		w.desk("10.0.0.21:5060", lab.Ring(0), lab.Wait(2*time.Second), lab.Reject(603, "Decline"))
		other := w.desk("10.0.0.22:5060", lab.Ring(0))
		rec := w.end(w.callback().ID)
		if e, ok := w.party(other, "101", 1).Event(lab.Cancelled); !ok || e.At.Sub(rec.CreatedAt) > 3*time.Second {
			t.Errorf("the other phone: %v", w.party(other, "101", 1).Timeline())
		}
		if n := w.rung(w.phones["102"], "102"); n != 1 {
			t.Errorf("the next of the route was rung %d times", n)
		}
	})
}

func TestAPhoneThatIsBusyDoesNotEndTheOther(t *testing.T) {
	inWorld(t, registering, func(w *world) {
		w.desk("10.0.0.21:5060", lab.Reject(486, "Busy Here"))
		w.desk("10.0.0.22:5060", lab.Ring(0), lab.Answer(2*time.Second))
		w.number(customer, lab.Answer(time.Second), lab.Talk(5*time.Second), lab.Bye())
		w.expect(w.end(w.callback().ID), store.ResultCompleted, "200", "")
	})
}

func TestWhoIsNotRegisteredIsPassedOverAtOnce(t *testing.T) {
	inWorld(t, registering, func(w *world) {
		w.phone("102", lab.Ring(0), lab.Reject(486, "Busy Here"))
		began := time.Now()
		c := w.callback()
		w.party(w.phones["102"], "102", 1)
		if took := time.Since(began); took > time.Second {
			t.Errorf("the next was rung after %s", took)
		}
		rec := w.end(c.ID)
		if len(rec.Legs) != 2 || rec.Legs[0].Reason != "extension 101 is not registered" {
			t.Errorf("%+v", rec.Legs)
		}
	})
}

// One phone that never answers, and is not even there, keeps the other waiting
// for nothing.
func TestAPhoneThatIsAwayDoesNotEndTheOther(t *testing.T) {
	inWorld(t, registering, func(w *world) {
		away := w.desk("10.0.0.21:5060")
		w.desk("10.0.0.22:5060", lab.Ring(0), lab.Answer(8*time.Second))
		if err := away.Close(); err != nil {
			t.Fatal(err)
		}
		w.number(customer, lab.Answer(time.Second), lab.Talk(5*time.Second), lab.Bye())
		w.expect(w.end(w.callback().ID), store.ResultCompleted, "200", "")
	})
}

func TestWhoDialsAColleagueWhoIsNotRegisteredIsToldSo(t *testing.T) {
	inWorld(t, registering, func(w *world) {
		boris := w.dial("102", "101", lab.Tone(managerTone))
		<-boris.Ended()
		if ev, _ := boris.Event(lab.Refused); ev.Status != 480 {
			t.Errorf("the caller got %v, want 480", ev)
		}
		w.expect(w.onlyCall(), store.ResultMissed, "480", store.PartyCustomer)
	})
}

func TestRingingOfAnExtensionIsThatOfThePhoneThatAnswered(t *testing.T) {
	inWorld(t, registering, func(w *world) {
		w.desk("10.0.0.21:5060", lab.Ring(0), lab.Answer(3*time.Second))
		w.desk("10.0.0.22:5060", lab.Reject(486, "Busy Here"))
		boris := w.dial("102", "101", lab.Tone(otherTone), lab.Talk(5*time.Second), lab.Bye())
		<-boris.Ended()
		rec := w.onlyCall()
		w.expect(rec, store.ResultCompleted, "200", "")
		if rec.RingMS < 2500 || rec.RingMS > 3500 {
			t.Errorf("it rang for %d ms", rec.RingMS)
		}
	})
}
