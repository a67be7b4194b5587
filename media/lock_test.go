package media

import (
	"bytes"
	"errors"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	"perezvon/internal/memnet"
)

// behindNAT joins a party to one whose packets come from elsewhere than its
// description says.
func behindNAT(t *testing.T, w *world, described string) (a, b *phone, sb *Session) {
	t.Helper()
	a, b = w.phone("192.0.2.1:4000", PCMA), w.phone("198.51.100.9:61000", PCMA)
	sa, sb := w.open(SessionConfig{}), w.open(SessionConfig{})
	a.call(sa)
	answer, err := sb.AcceptOffer(b.sdpAt(netip.MustParseAddrPort(described)))
	if err != nil {
		t.Fatal(err)
	}
	b.aim(answer)
	w.e.Connect(sa, sb, PathConfig{})
	a.hum(500)
	return a, b, sb
}

// sprayer is somebody who knows a media port and nothing else.
func (w *world) sprayer(addr string, at *Session) *phone {
	x := w.phone(addr, PCMA)
	x.dest = netip.AddrPortFrom(engineIP, at.Port())
	x.hum(1200)
	return x
}

func TestStrangersAreIgnoredAlsoThoseQueuedBeforeTheLock(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b, _, sb := bridged(t, w)
		x := w.phone("198.51.100.66:4000", PCMA)
		x.dest = b.dest
		// Three good packets of the party and ten of a stranger wait in the
		// socket together, the stranger's in between.
		for i := range 10 {
			x.say(make([]int16, 160))
			if i%3 == 0 {
				b.say(make([]int16, 160))
			}
		}
		x.hum(1200)
		b.hum(800)
		time.Sleep(2 * time.Second)
		got := a.heard()
		smooth(t, got)
		a.hears(got, tones, 800)
		if st := sb.Stats(); st.Peer != b.conn.AddrPort() {
			t.Errorf("sound goes to %v", st.Peer)
		}
		if n := len(x.heard()); n != 0 {
			t.Errorf("the stranger hears %d packets", n)
		}
	})
}

func TestLockOpensAfterSilenceForTheSameHostOnly(t *testing.T) {
	for _, tc := range []struct {
		addr string
		want bool
	}{{"192.0.2.2:5900", true}, {"198.51.100.66:5000", false}} {
		t.Run(tc.addr, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				a, b, _, _ := bridged(t, w)
				b.hum(800)
				time.Sleep(time.Second)
				moved := w.phone(tc.addr, PCMA)
				moved.dest = b.dest
				moved.hum(1200)
				time.Sleep(time.Second)
				a.hears(a.heard(), tones, 800) // the party still speaks
				b.close()
				time.Sleep(time.Second)
				a.heard()
				time.Sleep(2 * time.Second)
				if tc.want {
					a.hears(a.heard(), tones, 1200)
				} else {
					a.hears(a.heard(), tones)
				}
			})
		})
	}
}

func TestPartyBehindNATIsHeardAfterTheGrace(t *testing.T) {
	for name, tc := range map[string]struct {
		late         time.Duration
		fewest, most uint64 // packets ignored
	}{
		"speaks at once":        {0, 20, 28},
		"speaks after a second": {time.Second, 2, 2},
	} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				a, b, sb := behindNAT(t, w, "192.168.1.7:5000")
				time.Sleep(tc.late)
				b.hum(800)
				time.Sleep(time.Second)
				a.hears(a.heard(), tones, 800)
				b.hears(b.heard(), tones, 500)
				st := sb.Stats()
				if st.Strangers < tc.fewest || st.Strangers > tc.most || st.Peer != b.conn.AddrPort() {
					t.Errorf("%d packets ignored, sound goes to %v", st.Strangers, st.Peer)
				}
			})
		})
	}
}

func TestOtherPortOfTheDescribedHostIsBelievedAfterThreePackets(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b, sb := behindNAT(t, w, "198.51.100.9:5000")
		x := w.sprayer("198.51.100.66:4000", sb)
		time.Sleep(100 * time.Millisecond)
		b.hum(800)
		time.Sleep(300 * time.Millisecond)
		a.hears(a.heard(), tones, 800)
		b.hears(b.heard(), tones, 500)
		if n := len(x.heard()); n != 0 {
			t.Errorf("the stranger hears %d packets", n)
		}
	})
}

func TestDescribedHostTakesItsPlaceBackFromAStranger(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b, sb := behindNAT(t, w, "198.51.100.9:5000")
		x := w.sprayer("198.51.100.66:4000", sb)
		time.Sleep(2 * time.Second)
		b.hum(800)
		time.Sleep(100 * time.Millisecond)
		a.heard()
		x.heard()
		time.Sleep(time.Second)
		a.hears(a.heard(), tones, 800)
		b.hears(b.heard(), tones, 500)
		if n := len(x.heard()); n != 0 {
			t.Errorf("the stranger hears %d packets", n)
		}
	})
}

func TestStrangerWhoSpraysBeforeTheFirstPacketIsNotHeard(t *testing.T) {
	for _, late := range []time.Duration{20 * time.Millisecond, 100 * time.Millisecond, 450 * time.Millisecond} {
		t.Run(late.String(), func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				a, b, _, sb := bridged(t, w)
				a.hum(500)
				x := w.sprayer("198.51.100.66:4000", sb)
				time.Sleep(late)
				b.hum(800)
				time.Sleep(15 * time.Second)
				a.hears(a.heard(), tones, 800)
				b.hears(b.heard(), tones, 500)
				if n := len(x.heard()); n != 0 {
					t.Errorf("the stranger hears %d packets", n)
				}
				if n := sb.Stats().Strangers; n > 30 {
					t.Errorf("%d packets of the stranger reached us: the kernel could have dropped them", n)
				}
			})
		})
	}
}

func TestDescribedAddressWinsBackWithItsFirstPacket(t *testing.T) {
	for _, late := range []time.Duration{time.Second, 9 * time.Second} {
		t.Run(late.String(), func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				a, b, _, sb := bridged(t, w)
				a.hum(500)
				x := w.sprayer("198.51.100.66:4000", sb)
				time.Sleep(late)
				a.heard()
				b.heard()
				x.heard()
				b.hum(800)
				time.Sleep(5 * time.Second)
				got := a.heard()
				smooth(t, got)
				a.hears(got, tones, 800)
				b.hears(b.heard(), tones, 500)
				if n := len(x.heard()); n > 1 {
					t.Errorf("the stranger hears %d packets", n)
				}
				if st := sb.Stats(); st.Peer != b.conn.AddrPort() {
					t.Errorf("sound goes to %v", st.Peer)
				}
			})
		})
	}
}

func TestStrangersAreDroppedByTheKernelOnceAPartyBehindNATIsCertain(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b, sb := behindNAT(t, w, "192.168.1.7:5000")
		b.hum(800)
		time.Sleep(time.Second)
		w.sprayer("198.51.100.66:4000", sb)
		time.Sleep(8 * time.Second)
		early := sb.Stats().Strangers
		time.Sleep(3 * time.Second)
		sure := sb.Stats().Strangers
		time.Sleep(10 * time.Second)
		if n := sb.Stats().Strangers; early < 400 || n != sure {
			t.Errorf("%d, %d and %d packets of strangers", early, sure, n)
		}
		a.hears(a.heard(), tones, 800)
		b.hears(b.heard(), tones, 500)
	})
}

func TestStrangerDoesNotSlipInOnHold(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b, sb := behindNAT(t, w, "192.168.1.7:5000")
		b.hum(800)
		time.Sleep(2 * time.Second)
		inside := netip.MustParseAddrPort("192.168.1.7:5000")
		if _, err := sb.AcceptOffer(b.sdpAt(inside, "a=inactive")); err != nil {
			t.Fatal(err)
		}
		b.hush(true)
		x := w.sprayer("198.51.100.66:4000", sb)
		time.Sleep(time.Minute)
		if _, err := sb.AcceptOffer(b.sdpAt(inside)); err != nil {
			t.Fatal(err)
		}
		b.hush(false)
		a.heard()
		b.heard()
		time.Sleep(time.Second)
		a.hears(a.heard(), tones, 800)
		b.hears(b.heard(), tones, 500)
		if n := len(x.heard()); n != 0 {
			t.Errorf("the stranger hears %d packets", n)
		}
	})
}

func TestManyPacketsOfStrangersAreReportedOnceWithTheirAddresses(t *testing.T) {
	var out bytes.Buffer
	inWorld(t, func(t *testing.T, w *world) {
		_, b, sb := behindNAT(t, w, "192.168.1.7:5000")
		b.hum(800)
		time.Sleep(time.Second)
		w.sprayer("198.51.100.66:4000", sb)
		w.sprayer("198.51.100.67:4000", sb)
		time.Sleep(5 * time.Second)
		_ = w.e.Close() // nobody writes any more
		got := out.String()
		if n := strings.Count(got, "\n"); n != 1 {
			t.Errorf("%d lines", n)
		}
		for _, want := range []string{"level=WARN", "198.51.100.66:4000", "198.51.100.67:4000", "heard=198.51.100.9:61000", "described=192.168.1.7:5000"} {
			if !strings.Contains(got, want) {
				t.Errorf("no %q in %s", want, got)
			}
		}
	}, func(c *Config) {
		c.Logger = slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelWarn}))
	})
}

func TestDescriptionThatNamesAGroupOrOurselvesIsRefused(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		b := w.phone("192.0.2.2:5000", PCMA)
		var sent []netip.AddrPort
		w.net.SetLog(func(p memnet.Packet) { sent = append(sent, p.To) })
		sa, sb := w.open(SessionConfig{}), w.open(SessionConfig{})
		if _, err := sb.CreateOffer(); err != nil {
			t.Fatal(err)
		}
		ours := func(s *Session) string { return netip.AddrPortFrom(engineIP, s.Port()).String() }
		describing := func(addr string) []byte { return b.sdpAt(netip.MustParseAddrPort(addr)) }
		groups := []string{"224.2.1.1:5000", "239.255.0.1:5000", "255.255.255.255:5000"}
		groups = append(groups, netip.AddrPortFrom(engineIP, 5060).String())
		for _, addr := range append(groups, ours(sa)) {
			if _, err := sa.AcceptOffer(describing(addr)); !errors.Is(err, ErrNoAudio) {
				t.Errorf("offer of %s: %v", addr, err)
			}
		}
		for _, addr := range append(groups, ours(sb)) {
			if err := sb.AcceptAnswer(describing(addr)); !errors.Is(err, ErrNoAudio) {
				t.Errorf("answer with %s: %v", addr, err)
			}
		}
		rtcp := append(describing("192.0.2.2:5000"), "a=rtcp:5060 IN IP4 "+engineIP.String()+"\r\n"...)
		if _, err := sa.AcceptOffer(rtcp); !errors.Is(err, ErrNoAudio) || !strings.Contains(err.Error(), "not for sound") {
			t.Errorf("RTCP at our SIP port: %v", err)
		}
		defer sb.Ringback()()
		time.Sleep(time.Second)
		if len(sent) != 0 {
			t.Errorf("something was sent to %v", sent)
		}
		// A carrier may leave the sound between two of our lines to us.
		if _, err := sa.AcceptOffer(describing(ours(sb))); err != nil {
			t.Errorf("offer of another leg's port: %v", err)
		}
		if _, err := sa.AcceptOffer(describing("192.0.2.2:5060")); err != nil {
			t.Errorf("a number of ours at another address: %v", err)
		}
	}, func(c *Config) { c.Reserved = []uint16{5060} })
}
