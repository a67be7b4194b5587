package media

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// bridged is a world with two parties in conversation.
func bridged(t *testing.T, w *world) (a, b *phone, sa, sb *Session) {
	t.Helper()
	a, b, sa, sb = w.pair(PCMA, PCMA)
	w.e.Connect(sa, sb, PathConfig{DTMF: true})
	return a, b, sa, sb
}

func TestNewDescriptionMovesTheSoundAtOnce(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b, _, sb := bridged(t, w)
		b.hum(800)
		a.hum(500)
		time.Sleep(time.Second)
		c := w.phone("198.51.100.7:7000", PCMA)
		if err := sb.AcceptAnswer(c.sdp()); err != nil { // the 200 names another place than the 183
			t.Fatal(err)
		}
		c.dest = b.dest
		time.Sleep(100 * time.Millisecond) // b's last packets are still under way
		b.hush(true)
		c.hum(1200)
		a.heard()
		b.heard()
		time.Sleep(time.Second)
		a.hears(a.heard(), tones, 1200)
		c.hears(c.heard(), tones, 500)
		if n := len(b.heard()); n != 0 {
			t.Errorf("the old place hears %d packets", n)
		}
	})
}

func TestRepeatedDescriptionDisturbsNothing(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b, sa, _ := bridged(t, w)
		a.hum(500)
		b.hum(800)
		first, err := sa.AcceptOffer(a.sdp())
		if err != nil {
			t.Fatal(err)
		}
		for range 20 {
			again, err := sa.AcceptOffer(a.sdp())
			if err != nil || string(again) != string(first) {
				t.Fatalf("%v:\n%s\nafter:\n%s", err, again, first)
			}
			time.Sleep(110 * time.Millisecond)
		}
		pa, pb := a.heard(), b.heard()
		smooth(t, pa)
		smooth(t, pb)
		if len(pa) < 109 || len(pb) < 109 {
			t.Errorf("%d and %d packets in 2.2 s", len(pa), len(pb))
		}
	})
}

func TestHoldAndResume(t *testing.T) {
	for _, hold := range []string{"a=sendonly", "a=inactive", "c=IN IP4 0.0.0.0"} {
		t.Run(hold, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				a, b := w.phone("192.0.2.1:4000", PCMA), w.phone("198.51.100.9:61000", PCMA)
				sa, sb := w.open(SessionConfig{}), w.open(SessionConfig{})
				a.call(sa)
				inside := netip.MustParseAddrPort("192.168.1.7:5000") // behind NAT
				talk, err := sb.AcceptOffer(b.sdpAt(inside))
				if err != nil {
					t.Fatal(err)
				}
				b.aim(talk)
				w.e.Connect(sa, sb, PathConfig{})
				silenceB := watched(sb)
				a.hum(500)
				b.hum(800)
				time.Sleep(time.Second)
				before := b.heard()
				held, err := sb.AcceptOffer(b.sdpAt(inside, hold))
				if err != nil || !sb.Held() {
					t.Fatal(err, sb.Held())
				}
				want := map[string]string{"a=sendonly": "a=recvonly", "a=inactive": "a=inactive", "c=IN IP4 0.0.0.0": "a=recvonly"}[hold]
				if !strings.Contains(string(held), want+"\r\n") || !strings.Contains(string(held), " 2 IN IP4") {
					t.Errorf("answer to hold:\n%s", held)
				}
				b.heard()
				b.hush(true)
				time.Sleep(2 * time.Minute)
				if n := len(b.heard()); n != 0 {
					t.Errorf("%d packets while held", n)
				}
				if closed(silenceB.noAudio) || closed(silenceB.dead) {
					t.Error("silence on hold was taken for trouble")
				}
				b.hush(false)
				if _, err = sb.AcceptOffer(b.sdpAt(inside)); err != nil || sb.Held() {
					t.Fatal(err, sb.Held())
				}
				time.Sleep(100 * time.Millisecond)
				b.heard()
				time.Sleep(time.Second)
				after := b.heard()
				smooth(t, after)
				b.hears(after, tones, 500)
				if after[0].SSRC != before[0].SSRC {
					t.Error("another SSRC after hold")
				}
				a.heard()
				time.Sleep(time.Second)
				a.hears(a.heard(), tones, 800)
			})
		})
	}
}

func TestPartyWhoOnlyListensIsHeardByNobodyAndNotMissed(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a := w.phone("192.0.2.1:4000", PCMA)
		s := w.open(SessionConfig{})
		a.call(s, "a=recvonly")
		silence := watched(s)
		if _, err := s.Play(context.Background(), clip(800, 70*time.Second)); err != nil {
			t.Fatal(err)
		}
		a.hears(a.heard(), tones, 800)
		if s.Held() || closed(silence.noAudio) || closed(silence.dead) {
			t.Error("a listener was taken for a dead leg")
		}
	})
}

func TestSilentLegIsMarkedAfterFiveSecondsAndDeadAfterAMinute(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a := w.phone("192.0.2.1:4000", PCMA)
		s := w.open(SessionConfig{})
		a.call(s)
		time.Sleep(10 * time.Second) // nothing is missed before the answer
		silence := watched(s)
		begun := time.Now()
		go func() { _, _ = s.Play(context.Background(), clip(800, 30*time.Second)) }()
		<-silence.noAudio
		if d := time.Since(begun); d < 5*time.Second || d > 5500*time.Millisecond {
			t.Errorf("marked after %v", d)
		}
		<-silence.dead
		if d := time.Since(begun); d < time.Minute || d > 60500*time.Millisecond {
			t.Errorf("dead after %v", d)
		}
	})
}

func TestWatchOfAClosedLegIsOver(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a := w.phone("192.0.2.1:4000", PCMA)
		early, late := w.open(SessionConfig{}), w.open(SessionConfig{})
		a.call(early)
		a.call(late)
		early.Answered(Watch{NoAudio: func() { t.Error("told of silence after Close") }})
		var begun, over atomic.Bool
		late.Answered(Watch{NoAudio: func() {
			begun.Store(true)
			_ = late.Stats() // no lock stands in the way
			time.Sleep(time.Second)
			over.Store(true)
		}, Dead: func() { t.Error("told of the end after Close") }})
		late.Answered(Watch{NoAudio: func() { t.Error("the second watch was told") }})
		time.Sleep(4900 * time.Millisecond)
		_ = early.Close()
		time.Sleep(600 * time.Millisecond)
		if !begun.Load() || over.Load() {
			t.Fatalf("begun %v, over %v", begun.Load(), over.Load())
		}
		go func() { _ = late.Close() }()
		_ = late.Close()
		if !over.Load() {
			t.Error("Close did not wait")
		}
		time.Sleep(2 * time.Minute)
	})
}

func TestReportsAndComfortNoiseAreSignsOfLife(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b := w.phone("192.0.2.1:4000", PCMA), w.phone("192.0.2.2:5000", PCMA)
		control := w.net.MustListen("192.0.2.2:5001")
		defer control.Close()
		sa, sb := w.open(SessionConfig{}), w.open(SessionConfig{})
		a.call(sa)
		b.call(sb)
		silenceA, silenceB := watched(sa), watched(sb)
		report := []byte{0x80, 201, 0, 1, 0, 0, 0, 5} // an empty receiver report
		for range 30 {
			a.send(13, false, []byte{60})
			_, _ = control.WriteToUDPAddrPort(report, netip.AddrPortFrom(engineIP, sb.Port()+1))
			time.Sleep(4 * time.Second)
		}
		for _, silence := range []silence{silenceA, silenceB} {
			if closed(silence.noAudio) || closed(silence.dead) {
				t.Error("a leg with signs of life was taken for dead")
			}
		}
		x := w.net.MustListen("198.51.100.66:5001")
		defer x.Close()
		for range 3 { // a stranger's report is no sign
			_, _ = x.WriteToUDPAddrPort(report, netip.AddrPortFrom(engineIP, sb.Port()+1))
			time.Sleep(2 * time.Second)
		}
		if !closed(silenceB.noAudio) || sb.Stats().Strangers != 3 {
			t.Error("a stranger kept a leg alive")
		}
	})
}

func TestSoundBeforeADescriptionIsThrownAway(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b := w.phone("192.0.2.1:4000", PCMA), w.phone("192.0.2.2:5000", PCMA)
		sa, sb := w.open(SessionConfig{}), w.open(SessionConfig{})
		a.call(sa)
		w.e.Connect(sa, sb, PathConfig{})
		b.dest = netip.AddrPortFrom(engineIP, sb.Port())
		for range 50 {
			b.say(make([]int16, 160))
		}
		time.Sleep(time.Second)
		b.answer(sb)
		b.hum(800)
		time.Sleep(time.Second)
		got := a.heard()
		if len(got) > 51 {
			t.Errorf("%d packets in one second: the past was heard", len(got))
		}
		a.hears(got, tones, 800)
	})
}

func TestDescriptionsThatCannotBeUsedChangeNothing(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b, sa, sb := bridged(t, w)
		for _, tc := range []struct {
			body string
			want error
		}{
			{"nonsense", ErrSyntax}, {"v=0\r\nm=audio 0 RTP/AVP 8\r\n", ErrNoAudio}, {"v=0\r\nm=audio 9 RTP/AVP 18\r\n", ErrNoCommonCodec},
		} {
			if _, err := sa.AcceptOffer([]byte(tc.body)); !errors.Is(err, tc.want) {
				t.Errorf("offer %q: %v", tc.body, err)
			}
			if err := sb.AcceptAnswer([]byte(tc.body)); !errors.Is(err, tc.want) {
				t.Errorf("answer %q: %v", tc.body, err)
			}
		}
		fresh := w.open(SessionConfig{})
		if err := fresh.AcceptAnswer(a.sdp()); !errors.Is(err, ErrNoOffer) {
			t.Errorf("answer without an offer: %v", err)
		}
		a.hum(500)
		b.hum(800)
		time.Sleep(time.Second)
		a.hears(a.heard(), tones, 800)
		b.hears(b.heard(), tones, 500)
	})
}

func TestCodecIsThePreferredOneAndStaysInAReInvite(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		both := []byte("v=0\r\nc=IN IP4 192.0.2.1\r\nm=audio 4000 RTP/AVP 0 8\r\n")
		s := w.open(SessionConfig{Prefer: PCMA})
		if _, err := s.AcceptOffer(both); err != nil || s.Codec() != PCMA {
			t.Errorf("%v, %v", s.Codec(), err)
		}
		s2 := w.open(SessionConfig{})
		if _, err := s2.AcceptOffer(both); err != nil || s2.Codec() != PCMU {
			t.Errorf("%v, %v", s2.Codec(), err)
		}
		if _, err := s2.AcceptOffer([]byte(strings.Replace(string(both), "0 8", "8 0", 1))); err != nil || s2.Codec() != PCMU {
			t.Errorf("after a re-INVITE: %v, %v", s2.Codec(), err)
		}
		s3 := w.open(SessionConfig{Prefer: PCMU})
		offer, err := s3.CreateOffer()
		if err != nil || !strings.Contains(string(offer), "RTP/AVP 0 8 101") {
			t.Errorf("%v\n%s", err, offer)
		}
	})
}

func TestInfoDigits(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		s := w.open(SessionConfig{})
		for _, in := range []struct{ kind, body string }{
			{"application/dtmf-relay", "Signal=5\r\nDuration=160\r\n"},
			{"Application/DTMF-Relay; x=y", "Duration=160\nsignal= * \n"},
			{"application/dtmf", "7"},
			{"application/dtmf-relay", "Signal=11\r\n"},
			{"application/dtmf-relay", "Signal=d\r\n"},
			{"application/dtmf-relay", "Signal=\r\n"},
			{"application/dtmf-relay", "Signal=16\r\n"},
			{"application/dtmf", strings.Repeat("1", 1000)},
			{"text/plain", "Signal=5"},
		} {
			s.InfoDigit(in.kind, []byte(in.body))
		}
		if got := digits(s); got != "5*7#D" {
			t.Errorf("digits %q", got)
		}
		for range 100 {
			s.InfoDigit("application/dtmf", []byte("1"))
		}
		s.FlushDigits()
		if got := digits(s); got != "" {
			t.Errorf("digits %q after flushing", got)
		}
	})
}

func TestClosedEngineAndSessionRefuse(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		s := w.open(SessionConfig{})
		_ = s.Close()
		if _, err := s.CreateOffer(); !errors.Is(err, ErrClosed) {
			t.Error(err)
		}
		if _, err := s.AcceptOffer([]byte("v=0\r\n")); !errors.Is(err, ErrClosed) {
			t.Error(err)
		}
		if err := s.AcceptAnswer([]byte("v=0\r\n")); !errors.Is(err, ErrClosed) {
			t.Error(err)
		}
		_ = w.e.Close()
		if _, err := w.e.Open(context.Background(), SessionConfig{}); !errors.Is(err, ErrClosed) {
			t.Error(err)
		}
	})
}

func TestIdleEngineDoesNothing(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		time.Sleep(time.Millisecond)
		s := w.open(SessionConfig{})
		_ = s.Close()
		time.Sleep(3 * time.Second) // rested
		// With a timer anywhere this would take as many turns as there are
		// beats in a thousand years.
		time.Sleep(200 * 365 * 24 * time.Hour)
		if _, busy := w.e.pacer.next(); busy {
			t.Error("the pacer is busy")
		}
	})
}
