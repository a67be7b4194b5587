package e2e

import (
	"testing"
	"time"

	"perezvon/internal/audiotest"
	"perezvon/internal/lab"
	"perezvon/internal/store"
)

// All phones at once call a number outside, then each is called from outside.
func TestDeskPhonesCallOutAndAreCalledThroughTheProvider(t *testing.T) {
	t.Parallel()
	o := newDesks(t)
	outside := map[string]string{overUDP: "+79160000202", overTCP: "+79160000203", overTLS: "+79160000204", soft: "+79160000205"}
	phones := map[string]*desk{}
	for _, ext := range []string{overUDP, overTCP, overTLS} {
		phones[ext] = o.desk(t, ext)
	}
	lin := newLinphone(t, o.server, soft, secretOf(soft), "tcp")
	for ext, number := range outside {
		o.network.Number(number, lab.Customer(500*time.Millisecond))
		if ext == soft {
			lin.do("call sip:" + number + "@" + o.sipAddr())
			continue
		}
		phones[ext].do(t, "dial", number)
	}
	lin.says("LinphoneCallStreamsRunning", 1)
	lin.plays(t, deskHz[soft])
	for ext, number := range outside {
		called, err := o.network.Wait(within(t, 20*time.Second), number, 1)
		if err != nil {
			t.Fatal(err)
		}
		eventually(t, 15*time.Second, number+" hears "+ext, func() bool { return called.Heard(deskHz[ext], 2*time.Second) })
		if err := called.Hangup(within(t, 10*time.Second)); err != nil {
			t.Error(err)
		}
		if got := called.From(); got != lineNumber {
			t.Errorf("%s was called by %q, want the line's number", number, got)
		}
	}
	atRest(t, o.network)
	o.clean()
	o.fromOutside(t, lin, overUDP, overTCP, overTLS, soft)
	for ext, p := range phones {
		p.quit(t)
		sounds := p.sounds(t)
		if len(sounds) != 2 {
			t.Fatalf("%s kept %d sounds, want those of two calls", ext, len(sounds))
		}
		for _, s := range sounds {
			wantTone(t, ext, s, customerHz, 1500*time.Millisecond)
		}
	}
	for _, c := range o.list(store.KindOutbound) {
		wantResult(t, c, store.ResultCompleted, "200")
	}
	o.stop()
}

// fromOutside calls phones through the provider, all at once, until each is
// heard. lin answers where soft is among them.
func (o *desks) fromOutside(t *testing.T, lin *linphone, exts ...string) {
	t.Helper()
	callers := map[string]*lab.Party{}
	for _, ext := range exts {
		callers[ext] = o.callIn(t, ext)
		if ext == soft {
			lin.rings()
			lin.do("answer")
		}
	}
	for ext, caller := range callers {
		if ext == soft {
			if _, err := caller.Until(within(t, 10*time.Second), lab.Acked); err != nil {
				t.Fatalf("%v: %v", err, caller.Timeline())
			}
			lin.plays(t, deskHz[soft])
		}
		eventually(t, 15*time.Second, "the caller hears "+ext, func() bool { return caller.Heard(deskHz[ext], 2*time.Second) })
		if err := caller.Hangup(within(t, 10*time.Second)); err != nil {
			t.Error(err)
		}
	}
	atRest(t, o.network)
	o.clean()
	for _, c := range o.inbound() {
		wantResult(t, c, store.ResultCompleted, "200")
	}
}

// A phone of each kind holds another one, which hears the music of the house;
// then they talk again.
func TestDeskPhonesHoldEachOther(t *testing.T) {
	t.Parallel()
	o := newDesks(t, music(t))
	phones := map[string]*desk{}
	for _, ext := range []string{overUDP, overTCP, overTLS} {
		phones[ext] = o.desk(t, ext)
	}
	lin := newLinphone(t, o.server, soft, secretOf(soft), "udp")
	seen := map[string]bool{}
	for _, pair := range [][2]string{{overUDP, overTLS}, {overTLS, overTCP}, {soft, overUDP}} {
		keys := map[string]func(){"dial": func() { lin.do("call sip:" + pair[1] + "@" + o.sipAddr()) }}
		keys["hold"], keys["resume"], keys["hangup"] = func() { lin.do("call-pause") }, func() { lin.do("call-resume 1") }, func() { lin.do("terminate 1") }
		if caller := phones[pair[0]]; caller != nil {
			for key := range keys {
				keys[key] = func() { caller.do(t, key, pair[1]) }
			}
		}
		keys["dial"]()
		call := o.only(store.KindInternal, store.StateTalking, seen)
		if pair[0] == soft {
			lin.says("LinphoneCallStreamsRunning", 1)
			lin.plays(t, deskHz[soft])
		}
		lasts(t, time.Second)
		keys["hold"]()
		o.until(call.ID, store.StateHeld, 10*time.Second)
		lasts(t, 2*time.Second)
		keys["resume"]()
		o.until(call.ID, store.StateTalking, 10*time.Second)
		if pair[0] == soft {
			lin.says("LinphoneCallStreamsRunning", 2)
			lin.plays(t, deskHz[soft]) // what it played has ended with the hold
		}
		lasts(t, 1500*time.Millisecond)
		keys["hangup"]()
		wantResult(t, o.ended(call.ID, 10*time.Second), store.ResultCompleted, "200")
	}
	o.clean()
	for _, p := range phones {
		p.quit(t)
	}
	// What it hears once it has held somebody, baresip does not keep.
	wantHeld(t, overTLS, phones[overTLS].sounds(t)[0], overUDP)
	wantHeld(t, overTCP, phones[overTCP].heard(t), overTLS)
	wantHeld(t, overUDP, phones[overUDP].sounds(t)[1], soft)
	wantTone(t, overUDP, phones[overUDP].sounds(t)[0], deskHz[overTLS], 500*time.Millisecond)
	wantTone(t, overTLS, phones[overTLS].sounds(t)[1], deskHz[overTCP], 500*time.Millisecond)
	o.stop()
}

// wantHeld expects that who was held heard the other, then music, then the
// other again.
func wantHeld(t *testing.T, who string, pcm []int16, by string) {
	t.Helper()
	first, ok := audiotest.First(pcm, musicHz)
	if !ok {
		t.Errorf("%s heard no music", who)
		return
	}
	wantTone(t, who, pcm, musicHz, 1500*time.Millisecond)
	before := samples(first)
	after := min(before+samples(2500*time.Millisecond), len(pcm)) // the music is over by then
	wantTone(t, who+" before the music", pcm[:before], deskHz[by], 500*time.Millisecond)
	wantTone(t, who+" after the music", pcm[after:], deskHz[by], 500*time.Millisecond)
}

func samples(d time.Duration) int { return int(d * audiotest.Rate / time.Second) }

// The customer and a phone hold each other where there is no music: who is held
// hears nothing.
func TestCustomerAndDeskPhoneHoldEachOtherInSilence(t *testing.T) {
	t.Parallel()
	o := newDesks(t)
	phone := o.desk(t, overTLS)
	customer := o.callIn(t, overTLS)
	call := o.only(store.KindInbound, store.StateTalking, nil)
	eventually(t, 10*time.Second, "the customer hears the phone", func() bool { return customer.Heard(deskHz[overTLS], time.Second) })

	phone.do(t, "hold", "")
	o.until(call.ID, store.StateHeld, 10*time.Second)
	began := time.Now().Add(200 * time.Millisecond) // what is on its way is heard
	lasts(t, 1500*time.Millisecond)
	if !customer.Silent(began, time.Now()) {
		t.Errorf("the customer, who is held, heard %v", customer.HeardTones(began, time.Now()))
	}
	phone.do(t, "resume", "")
	o.until(call.ID, store.StateTalking, 10*time.Second)
	resumed := time.Now()
	eventually(t, 10*time.Second, "the customer hears the phone again", func() bool {
		return customer.HeardBetween(deskHz[overTLS], resumed, time.Now()) > time.Second
	})

	if err := customer.Hold(within(t, 5*time.Second)); err != nil {
		t.Fatal(err)
	}
	o.until(call.ID, store.StateHeld, 10*time.Second)
	if err := customer.Resume(within(t, 5*time.Second)); err != nil {
		t.Fatal(err)
	}
	o.until(call.ID, store.StateTalking, 10*time.Second)
	resumed = time.Now()
	eventually(t, 10*time.Second, "the customer hears the phone after his own hold", func() bool {
		return customer.HeardBetween(deskHz[overTLS], resumed, time.Now()) > time.Second
	})
	if err := customer.Hangup(within(t, 10*time.Second)); err != nil {
		t.Error(err)
	}
	atRest(t, o.network)
	o.clean()
	wantResult(t, o.ended(call.ID, 10*time.Second), store.ResultCompleted, "200")
	phone.quit(t)
	o.stop()
}

// One phone calls the softphone, which calls another one and takes both into a
// conference of its own: what it hears of either, the other hears.
func TestSoftphoneJoinsTwoCallsByItself(t *testing.T) {
	t.Parallel()
	o := newDesks(t)
	first, second := o.desk(t, overTLS), o.desk(t, overTCP)
	lin := newLinphone(t, o.server, soft, secretOf(soft), "tcp")
	seen := map[string]bool{}
	first.do(t, "dial", soft)
	lin.rings()
	lin.do("answer 1")
	calls := []string{o.only(store.KindInternal, store.StateTalking, seen).ID}
	lin.says("LinphoneCallStreamsRunning", 1)
	lin.do("call-pause 1")
	o.until(calls[0], store.StateHeld, 10*time.Second)
	lin.do("call sip:" + overTCP + "@" + o.sipAddr())
	calls = append(calls, o.only(store.KindInternal, store.StateTalking, seen).ID)
	lin.says("LinphoneCallStreamsRunning", 2)
	lin.do("conference add 1")
	lin.do("conference add 2")
	o.until(calls[0], store.StateTalking, 10*time.Second)
	lasts(t, 3*time.Second)
	first.do(t, "hangup", "")
	second.do(t, "hangup", "")
	for _, id := range calls {
		wantResult(t, o.ended(id, 10*time.Second), store.ResultCompleted, "200")
	}
	o.clean()
	first.quit(t)
	second.quit(t)
	wantTone(t, overTLS, first.heard(t), deskHz[overTCP], time.Second)
	wantTone(t, overTCP, second.heard(t), deskHz[overTLS], time.Second)
	o.stop()
}
