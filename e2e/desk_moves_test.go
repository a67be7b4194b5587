package e2e

import (
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"perezvon/internal/audiotest"
	"perezvon/internal/lab"
	"perezvon/internal/store"
)

// A phone passes a customer on to a colleague, another one its colleague to a
// number outside, without asking either.
func TestDeskPhonesTransferBlindly(t *testing.T) {
	t.Parallel()
	const outside = "+79160000402"
	o := newDesks(t)
	asked, colleague, caller := o.desk(t, overTLS), o.desk(t, overTCP), o.desk(t, overUDP)
	customer := o.callIn(t, overTLS)
	call := o.only(store.KindInbound, store.StateTalking, nil)
	eventually(t, 10*time.Second, "the customer hears the first phone", func() bool { return customer.Heard(deskHz[overTLS], time.Second) })
	asked.do(t, "transfer", "sip:"+overTCP+"@"+o.sipAddr())
	eventually(t, 15*time.Second, "the customer hears the second phone", func() bool { return customer.Heard(deskHz[overTCP], 2*time.Second) })
	if err := customer.Hangup(within(t, 10*time.Second)); err != nil {
		t.Error(err)
	}
	call = o.ended(call.ID, 10*time.Second)
	wantResult(t, call, store.ResultCompleted, "200")
	if call.Manager == nil || call.Manager.Extension != overTCP {
		t.Errorf("at last the customer talked with %+v, want %s", call.Manager, overTCP)
	}
	o.clean()

	o.network.Number(outside, lab.Customer(300*time.Millisecond))
	caller.do(t, "dial", overTCP)
	call = o.only(store.KindInternal, store.StateTalking, nil)
	lasts(t, time.Second)
	colleague.do(t, "transfer", "sip:"+outside+"@"+o.sipAddr()+";transport=tcp")
	called, err := o.network.Wait(within(t, 15*time.Second), outside, 1)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, 15*time.Second, "the number outside hears the caller", func() bool { return called.Heard(deskHz[overUDP], 2*time.Second) })
	caller.do(t, "hangup", "")
	wantResult(t, o.ended(call.ID, 10*time.Second), store.ResultCompleted, "200")
	atRest(t, o.network)
	o.clean()
	for _, p := range []*desk{asked, colleague, caller} {
		p.quit(t)
	}
	wantTone(t, overTLS, asked.heard(t), customerHz, 800*time.Millisecond)
	sounds := colleague.sounds(t)
	if len(sounds) != 2 {
		t.Fatalf("the colleague kept %d sounds, want those of two calls", len(sounds))
	}
	wantTone(t, overTCP, sounds[0], customerHz, 1500*time.Millisecond)
	wantTone(t, overTCP, sounds[1], deskHz[overUDP], 500*time.Millisecond)
	pcm := caller.heard(t)
	wantTone(t, overUDP, pcm, deskHz[overTCP], 500*time.Millisecond)
	wantTone(t, overUDP, pcm, customerHz, 1500*time.Millisecond)
	o.stop()
}

// callIn calls the line of a phone from outside.
func (o *desks) callIn(t *testing.T, ext string) *lab.Party {
	t.Helper()
	caller, err := o.network.Call(within(t, 10*time.Second), lab.CallOptions{
		To: netip.MustParseAddrPort(o.sipAddr()), User: lineOf(ext), From: "+79160000300", Script: lab.Script{lab.Tone(customerHz)},
	})
	if err != nil {
		t.Fatal(err)
	}
	return caller
}

// Phones are called right after the server was killed, or stopped, and started
// again, although none has registered anew: those that came by a connection are
// connected to. One that takes no connections is called when it has made another
// one.
func TestDeskPhonesSurviveRestarts(t *testing.T) {
	t.Parallel()
	o := newDesks(t)
	phones := map[string]*desk{}
	for _, ext := range []string{overUDP, overTCP, overTLS} {
		phones[ext] = o.desk(t, ext)
	}
	lin := newLinphone(t, o.server, soft, secretOf(soft), "tcp")
	for _, end := range []syscall.Signal{syscall.SIGKILL, syscall.SIGTERM} {
		before := map[string]int{}
		for ext, p := range phones {
			before[ext] = registrations(p.baresip)
		}
		connection := phonesOf(t, o.server, soft)[0].Address
		o.signal(end)
		o.exit(15 * time.Second)
		o.start()
		o.fromOutside(t, nil, overUDP, overTCP, overTLS)
		for ext, p := range phones {
			if n := registrations(p.baresip); n != before[ext] {
				t.Errorf("after %s %s registered %d times more before it was called", end, ext, n-before[ext])
			}
		}
		eventually(t, 40*time.Second, "linphone has made another connection", func() bool {
			all := phonesOf(t, o.server, soft)
			return len(all) == 1 && all[0].Reachable && all[0].Address != connection
		})
		o.fromOutside(t, lin, soft)
	}
	for _, p := range phones {
		p.quit(t)
		for _, pcm := range p.sounds(t) {
			wantTone(t, p.ext, pcm, customerHz, 1500*time.Millisecond)
		}
	}
	o.stop()
}

// Two phones are registered as one extension: both ring, and the one that is
// not taken learns that the other was.
func TestTwoDeskPhonesOfOneExtensionRingTogether(t *testing.T) {
	t.Parallel()
	o := newDesks(t)
	phones := []*desk{o.deskBy(t, overUDP, "udp", "manual", "-s"), o.deskBy(t, overUDP, "tcp", "manual", "-s")}
	o.registered(overUDP, 2)
	for i, winner := range phones {
		loser := phones[1-i]
		customer := o.callIn(t, overUDP)
		eventually(t, 10*time.Second, "both phones ring", func() bool {
			return winner.rang() == i+1 && loser.rang() == i+1
		})
		winner.do(t, "accept", "")
		eventually(t, 10*time.Second, "the customer hears who was quicker", func() bool { return customer.Heard(deskHz[overUDP], time.Second) })
		eventually(t, 5*time.Second, "the other phone learns why it rings no more", func() bool {
			return strings.Contains(loser.out.String(), "Reason: SIP;cause=200;text=\"Call completed elsewhere\"")
		})
		if err := customer.Hangup(within(t, 10*time.Second)); err != nil {
			t.Error(err)
		}
		atRest(t, o.network)
		o.clean()
	}
	for _, c := range o.inbound() {
		wantResult(t, c, store.ResultCompleted, "200")
	}
	for i, p := range phones {
		p.quit(t)
		if d := audiotest.Heard(p.heard(t), customerHz); d < 500*time.Millisecond {
			t.Errorf("phone %d heard the customer for %s", i, d)
		}
	}
	o.stop()
}

// rang is how often the phone has been called.
func (d *desk) rang() int { return strings.Count(d.out.String(), "Incoming call from") }

// A phone that is not to be disturbed does not ring, calls all the same, and
// rings again when it may be.
func TestDeskPhoneThatIsNotToBeDisturbed(t *testing.T) {
	t.Parallel()
	o := newDesks(t)
	caller, busy := o.desk(t, overUDP), o.desk(t, overTCP)
	seen := map[string]bool{}

	o.disturb(t, overTCP, false)
	caller.do(t, "dial", overTCP)
	wantResult(t, o.only(store.KindInternal, store.StateEnded, seen), store.ResultMissed, "480")
	eventually(t, 5*time.Second, "the caller is told why", func() bool { return strings.Contains(caller.out.String(), "480 Do Not Disturb") })
	if n := busy.rang(); n != 0 {
		t.Errorf("the phone rang %d times", n)
	}
	for _, pair := range [][2]*desk{{busy, caller}, {caller, busy}} {
		if pair[0] == caller {
			o.disturb(t, overTCP, true)
		}
		pair[0].do(t, "dial", pair[1].ext)
		call := o.only(store.KindInternal, store.StateTalking, seen)
		lasts(t, time.Second)
		pair[0].do(t, "hangup", "")
		wantResult(t, o.ended(call.ID, 10*time.Second), store.ResultCompleted, "200")
	}
	o.clean()
	caller.quit(t)
	busy.quit(t)
	for _, pcm := range busy.sounds(t) {
		wantTone(t, overTCP, pcm, deskHz[overUDP], 500*time.Millisecond)
	}
	o.stop()
}

// disturb says through the API whether a phone may be called.
func (o *desks) disturb(t *testing.T, ext string, may bool) {
	t.Helper()
	body := strings.NewReader(fmt.Sprintf(`{"on": %t}`, !may))
	req, err := http.NewRequestWithContext(within(t, 10*time.Second), http.MethodPut, o.url("/api/v1/extensions/"+ext+"/dnd"), body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		t.Fatalf("PUT %s: %s", req.URL, res.Status)
	}
}
