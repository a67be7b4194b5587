package lab_test

import (
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"perezvon/internal/lab"
	"perezvon/internal/memnet"
)

func TestHoldSilencesBothAndResumeBringsThemBack(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.b.Number("100", lab.Script{lab.Tone(1000), lab.Answer(0), lab.Talk(2 * time.Second), lab.Hold(), lab.Wait(2 * time.Second), lab.Resume(), lab.Talk(2 * time.Second), lab.Bye()})
		caller, called := w.call(lab.CallOptions{Script: lab.Script{lab.Tone(440)}})
		<-caller.Ended()
		w.settle()
		expect(t, "caller", caller, "invited, proceeding 100, answered 200, acked, reinvited 200 recvonly, reinvited 200 sendrecv, bye received")
		expect(t, "called", called, "invited, proceeding 100, answered 200, acked, reinvited 200 sendonly, reinvited 200 sendrecv, bye sent")
		for name, heard := range map[string]time.Duration{"caller": caller.HeardFor(1000), "called": called.HeardFor(440)} {
			if heard < 3800*time.Millisecond || heard > 4100*time.Millisecond {
				t.Errorf("%s heard the other for %s of 4 s", name, heard)
			}
		}
	})
}

func TestUnchangedReinviteChangesNothing(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.b.Number("100", lab.Script{lab.Tone(1000), lab.Answer(0), lab.ReinviteUnchanged(), lab.ReinviteUnchanged(), lab.ReinviteWithoutOffer(), lab.Talk(time.Second), lab.Bye()})
		caller, called := w.call(lab.CallOptions{Script: lab.Script{lab.Tone(440), lab.Codecs(lab.PCMA)}})
		<-caller.Ended()
		w.settle()
		if called.HeardFor(440) < 900*time.Millisecond || caller.HeardFor(1000) < 900*time.Millisecond {
			t.Error("they do not hear each other")
		}
	})
}

func TestInviteWithoutOfferIsAnsweredInTheACK(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.b.Number("100", lab.Script{lab.Tone(1000), lab.Answer(0), lab.Talk(time.Second), lab.Bye()})
		caller, called := w.call(lab.CallOptions{NoOffer: true, Script: lab.Script{lab.Tone(440), lab.Codecs(lab.PCMU)}})
		<-caller.Ended()
		w.settle()
		if !lab.Judge(caller, called).Mutual(900 * time.Millisecond) {
			t.Errorf("verdict:\n%s", lab.Judge(caller, called))
		}
	})
}

func TestCodecsArePickedAndUnknownOnesRefused(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.b.Number("100", lab.Script{lab.Tone(1000), lab.Codecs(lab.PCMU), lab.Answer(0), lab.Talk(time.Second), lab.Bye()})
		w.b.Number("101", lab.Script{lab.Codecs(lab.PCMU), lab.Answer(0)})
		caller, called := w.call(lab.CallOptions{Script: lab.Script{lab.Tone(440), lab.Ptime(60 * time.Millisecond)}})
		<-caller.Ended()
		other, err := w.a.Call(w.ctx, lab.CallOptions{To: w.b.Addr(), User: "101", From: "200", Script: lab.Script{lab.Codecs(lab.PCMA)}})
		if err != nil {
			t.Fatal(err)
		}
		<-other.Ended()
		w.settle()
		expect(t, "other", other, "invited, refused 488 Not Acceptable Here")
		if got := caller.Remote().Codecs; len(got) != 1 || got[0] != lab.PCMU {
			t.Errorf("answer has %v", got)
		}
		if !lab.Judge(caller, called).Mutual(900 * time.Millisecond) {
			t.Errorf("verdict:\n%s", lab.Judge(caller, called))
		}
	})
}

func TestKeysArriveOnceAndSoundGoesOn(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.b.Number("100", lab.Script{lab.Tone(1000), lab.TelephoneEvents(96), lab.Answer(0), lab.Press("1*9", time.Second), lab.PressINFO("#7", 0), lab.Talk(time.Second), lab.Bye()})
		caller, _ := w.call(lab.CallOptions{})
		<-caller.Ended()
		w.settle()
		if got := caller.Pressed(); got != "1*9#7" {
			t.Errorf("pressed %q", got)
		}
		if heard := caller.HeardFor(1000); heard < 1700*time.Millisecond {
			t.Errorf("heard the tone for %s", heard)
		}
	})
}

func TestRequestsFollowTheRouteSet(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.b.Number("100", lab.Script{lab.RecordRoute(), lab.Ring(0), lab.Answer(0)})
		caller, called := w.call(lab.CallOptions{Script: lab.Script{lab.Talk(time.Second), lab.ReinviteUnchanged(), lab.Bye()}})
		<-caller.Ended()
		w.settle()
		expect(t, "called", called, "invited, proceeding 100, ringing 180, answered 200, acked, reinvited 200 sendrecv, bye received")
	})
}

func TestCredentialsAreAskedForAndChecked(t *testing.T) {
	for name, auth := range map[string]lab.Credentials{
		"MD5":          {Username: "u", Password: "p"},
		"SHA-256 or 5": {Username: "u", Password: "p", Algorithms: []string{"SHA-256", "MD5"}, Status: 401},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, &auth, func(w *world) {
				w.b.Number("100", lab.Customer(0))
				caller, err := w.a.Call(w.ctx, lab.CallOptions{To: w.b.Addr(), User: "100", From: "200"})
				if err != nil {
					t.Fatal(err)
				}
				<-caller.Ended()
				w.settle()
				if e, _ := caller.Event(lab.Refused); e.Status != max(auth.Status, 401) && e.Status != 407 {
					t.Errorf("caller: %s", kinds(caller))
				}
				if len(w.b.Parties()) != 0 {
					t.Error("the call went through without a password")
				}
			})
		})
	}
}

func TestLossIsCountedWhereTheNetworkMayLose(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.b.Number("100", lab.Customer(0))
		var n atomic.Int32
		w.net.SetFilter(func(p memnet.Packet) memnet.Fate {
			if p.Data[0] != 0x80 {
				return memnet.Fate{}
			}
			return memnet.Fate{Drop: n.Add(1) == 100}
		})
		caller, called := w.call(lab.CallOptions{Script: lab.Script{lab.Talk(3 * time.Second), lab.Bye()}})
		<-caller.Ended()
		if lost := caller.Reception().Lost + called.Reception().Lost; lost != 1 {
			t.Errorf("%d packets lost", lost)
		}
		if v := append(w.a.Violations(), w.b.Violations()...); len(v) != 1 || !strings.Contains(v[0], "sequence number jumped") {
			t.Errorf("violations %q", v)
		}
	})
}

func TestRetransmissionsCarryACallThroughLoss(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.b.Number("100", lab.Script{lab.Ring(time.Second), lab.Answer(2 * time.Second), lab.Talk(5 * time.Second), lab.Bye()})
		var mu sync.Mutex
		seen := make(map[string]int)
		w.net.SetFilter(func(p memnet.Packet) memnet.Fate {
			if p.Data[0] == 0x80 {
				return memnet.Fate{}
			}
			mu.Lock()
			defer mu.Unlock()
			line, _, _ := strings.Cut(string(p.Data), "\r\n")
			seen[line]++
			return memnet.Fate{Drop: seen[line] == 1 && !strings.Contains(line, " 180 ")}
		})
		caller, called := w.call(lab.CallOptions{})
		<-caller.Ended()
		<-called.Ended()
		w.settle()
		if called.INVITEs() < 2 || called.ACKs() != 1 {
			t.Errorf("%d INVITEs, %d ACKs", called.INVITEs(), called.ACKs())
		}
	})
}

func TestWrongMediaAddressIsToldApart(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		w.b.Number("100", lab.Script{lab.Tone(1000), lab.MediaAddress(netip.MustParseAddr("192.168.7.7")), lab.Answer(0), lab.Talk(time.Second), lab.Bye()})
		caller, _ := w.call(lab.CallOptions{})
		<-caller.Ended()
		if v := w.a.Violations(); len(v) == 0 || !strings.Contains(v[0], "but the description says 192.168.7.7") {
			t.Errorf("violations %q", v)
		}
	})
}
