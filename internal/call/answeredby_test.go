package call_test

import (
	"errors"
	"testing"
	"time"

	"perezvon/configs"
	"perezvon/internal/call"
	"perezvon/internal/lab"
	"perezvon/internal/store"
)

// speaks is the pitch of somebody who speaks: too high for a beep.
const speaks = 2600

// says is a party that answers and speaks for so long, then listens.
func says(d time.Duration, then ...lab.Step) []lab.Step {
	steps := []lab.Step{lab.Ring(0), lab.Answer(time.Second), lab.Wait(300 * time.Millisecond)}
	for ; d > 0; d -= 500 * time.Millisecond { // words of 350 ms
		steps = append(steps, lab.Sound(speaks), lab.Wait(350*time.Millisecond), lab.Sound(0), lab.Wait(150*time.Millisecond))
	}
	return append(steps, then...)
}

// beeps is what a machine does when its greeting is over.
func beeps() []lab.Step {
	return []lab.Step{lab.Wait(400 * time.Millisecond), lab.Sound(1000), lab.Wait(500 * time.Millisecond), lab.Sound(0)}
}

func TestPersonHearsTheMessageWhenHeHasSaidHello(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.number(customer, says(500*time.Millisecond)...)
		rec := w.end(w.inform(call.InfocallRequest{AnsweringMachine: call.MachineHangUp}).ID)
		w.expect(rec, store.ResultDelivered, "200", "")
		w.expectInfo(rec, "Y", "Успешно (200)", "200")
		p := w.party(w.carrier, customer, 1)
		answered, _ := p.Event(lab.Answered)
		heard, ok := p.FirstHeard(speechTone)
		if after := heard.Sub(answered.At); !ok || after < 1300*time.Millisecond || after > 1600*time.Millisecond || rec.Info.AnsweredBy != "person" {
			t.Errorf("the message began %v after the answer by %q", after, rec.Info.AnsweredBy)
		}
	})
}

func TestNothingIsPlayedToAMachine(t *testing.T) {
	inWorld(t, func(c *configs.Config) { c.Infocall.AnsweringMachine = call.MachineHangUp }, func(w *world) {
		w.number(customer, says(6*time.Second)...)
		rec := w.end(w.infocall().ID)
		w.expect(rec, store.ResultMachine, "304", store.PartyCustomer)
		w.expectInfo(rec, "N", "Пропущен (304)", "304")
		p := w.party(w.carrier, customer, 1)
		if _, heard := p.FirstHeard(speechTone); heard || rec.Info.AnsweredBy != "machine" || rec.Info.HeardMS != 0 || rec.HangupBy != store.PartyUs {
			t.Errorf("the machine heard the message: %v; %+v, hung up by %s", heard, *rec.Info, rec.HangupBy)
		}
	})
}

func TestMachineIsSpokenToAfterItsBeep(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.number(customer, says(6*time.Second, beeps()...)...)
		rec := w.end(w.inform(call.InfocallRequest{AnsweringMachine: call.MachineAfterBeep}).ID)
		w.expect(rec, store.ResultDelivered, "200", "")
		p := w.party(w.carrier, customer, 1)
		answered, _ := p.Event(lab.Answered)
		heard, ok := p.FirstHeard(speechTone)
		if after := heard.Sub(answered.At); !ok || after < 7200*time.Millisecond || after > 7600*time.Millisecond || rec.Info.AnsweredBy != "machine" {
			t.Errorf("the message began %v after the answer by %q; the beep ended after 7.2s", after, rec.Info.AnsweredBy)
		}
		if rec.Info.HeardMS != speechTime.Milliseconds() {
			t.Errorf("%d ms of the message were heard", rec.Info.HeardMS)
		}
	})
}

func TestMachineWithoutABeepIsSpokenToWhenItHasBeenQuiet(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.number(customer, says(6*time.Second)...)
		rec := w.end(w.inform(call.InfocallRequest{AnsweringMachine: call.MachineAfterBeep}).ID)
		w.expect(rec, store.ResultDelivered, "200", "")
		p := w.party(w.carrier, customer, 1)
		answered, _ := p.Event(lab.Answered)
		heard, ok := p.FirstHeard(speechTone)
		if after := heard.Sub(answered.At); !ok || after < 9*time.Second || after > 9500*time.Millisecond {
			t.Errorf("the message began %v after the answer, its greeting ended after 6.15s", after)
		}
	})
}

func TestPhoneThatSendsNothingWhileNobodySpeaksIsSilent(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.number(customer, lab.NoSound(), lab.Ring(0), lab.Answer(time.Second))
		rec := w.end(w.inform(call.InfocallRequest{AnsweringMachine: call.MachineHangUp}).ID)
		w.expect(rec, store.ResultDelivered, "200", "")
		if rec.Info.AnsweredBy != "silent" {
			t.Errorf("answered by %q", rec.Info.AnsweredBy)
		}
	})
}

func TestWhoHangsUpBeforeItIsClearWhoHeIsHasHeardNothing(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.number(customer, says(500*time.Millisecond, lab.Bye())...)
		rec := w.end(w.inform(call.InfocallRequest{AnsweringMachine: call.MachineHangUp}).ID)
		w.expect(rec, store.ResultHungUpEarly, "200", store.PartyCustomer)
		if rec.Info.HeardMS != 0 || rec.Info.AnsweredBy != "" {
			t.Errorf("%+v", *rec.Info)
		}
	})
}

func TestUnknownWishForAnsweringMachinesIsRefused(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		_, _, err := w.svc.Infocall(t.Context(), fillInfocall(call.InfocallRequest{AnsweringMachine: "shout"}))
		refused, _ := errors.AsType[*call.RefusedError](err)
		if refused == nil || refused.Code != call.CodeInvalidRequest || len(refused.Problems) != 1 || refused.Problems[0].Field != "answering_machine" {
			t.Errorf("%v", err)
		}
	})
}
