package media

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"perezvon/internal/memnet"
	"perezvon/media/sdp"
)

func TestDescriptionThatSaysNothingNewKeepsTheKeys(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		b, sb := w.phone("192.0.2.2:5000", PCMA), w.open(SessionConfig{})
		b.call(sb)
		c, sc := w.secret("192.0.2.3:4000", PCMA, sdp.AESCM)
		w.e.Connect(sc, sb, PathConfig{})
		c.hum(500)
		b.hum(800)
		first, err := sc.AcceptOffer(c.sdp())
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		again, err := sc.AcceptOffer(c.sdp())
		if err != nil || !bytes.Equal(first, again) {
			t.Errorf("%v, answered\n%s\nthen\n%s", err, first, again)
		}
		time.Sleep(time.Second)
		got := c.heard()
		smooth(t, got)
		if n := c.strange(); n != 0 || len(got) < 98 || sc.Stats().Strangers != 0 {
			t.Errorf("%d packets, %d could not be opened, %d of theirs", len(got), n, sc.Stats().Strangers)
		}
		// Another number of the line is echoed, with the same key.
		c.crypt.own.Tag = 9
		renumbered, err := sc.AcceptOffer(c.sdp())
		if want := strings.Replace(cryptoLine(c.crypt.theirs), ":1 ", ":9 ", 1); err != nil || !strings.Contains(string(renumbered), want) {
			t.Errorf("%v, no %s in\n%s", err, want, renumbered)
		}
	})
}

func TestNothingIsForgottenWhenTheSameKeyIsOfferedAgain(t *testing.T) {
	for _, suite := range []sdp.Suite{sdp.AESCM, sdp.AESGCM} {
		inWorld(t, func(t *testing.T, w *world) {
			a, s := w.secret("192.0.2.1:4000", PCMA, suite)
			var mu sync.Mutex
			var caught []byte
			w.net.SetLog(func(p memnet.Packet) {
				mu.Lock()
				defer mu.Unlock()
				if p.From == a.conn.AddrPort() && caught == nil {
					caught = slices.Clone(p.Data)
				}
			})
			a.hum(500)
			defer s.Ringback()()
			time.Sleep(1010 * time.Millisecond) // between two packets
			replay := func() {
				t.Helper()
				a.call(s)
				in := s.Stats().PacketsIn
				_, _ = a.conn.WriteToUDPAddrPort(caught, a.dest)
				synctest.Wait()
				if got := s.Stats().PacketsIn; got != in {
					t.Error("a packet was heard for the second time")
				}
			}
			replay()
			time.Sleep(22 * time.Minute) // the sequence begins anew
			a.heard()
			in := s.Stats().PacketsIn
			replay()
			time.Sleep(time.Second)
			if n, got := len(a.heard()), s.Stats().PacketsIn-in; n < 49 || got < 49 || a.strange() != 0 {
				t.Errorf("%d packets sent and %d heard, %d could not be opened", n, got, a.strange())
			}
		})
	}
}

func TestNewKeysOfTheOtherSideAreAnsweredWithNewOnesOfOurs(t *testing.T) {
	for _, suite := range []sdp.Suite{sdp.AESCM, sdp.AESGCM} {
		inWorld(t, func(t *testing.T, w *world) {
			a, sa := w.secret("192.0.2.1:4000", PCMA, sdp.AESCM)
			b, sb := w.phone("192.0.2.2:5000", PCMA), w.open(SessionConfig{})
			b.call(sb)
			w.e.Connect(sa, sb, PathConfig{})
			a.hum(500)
			b.hum(800)
			time.Sleep(time.Second)
			before, old := a.heard(), *a.crypt
			a.encrypt("RTP/SAVP", suite)
			a.call(sa)
			b.heard()
			time.Sleep(time.Second)
			after := a.heard()
			if a.crypt.theirs.Same(old.theirs) || a.strange() != 0 {
				t.Errorf("the key is the old one: %v; %d packets not opened", a.crypt.theirs.Same(old.theirs), a.strange())
			}
			smooth(t, append(before[len(before)-5:], after...))
			a.hears(after, tones, 800)
			b.hears(b.heard(), tones, 500)
			// What is encrypted with the old key is nothing any more.
			a.mu.Lock()
			a.crypt.out = old.out
			a.mu.Unlock()
			in := sa.Stats().PacketsIn
			time.Sleep(time.Second)
			if got := sa.Stats(); got.PacketsIn != in || got.Strangers < 49 {
				t.Errorf("%d packets with the old key heard, %d strange ones", got.PacketsIn-in, got.Strangers)
			}
		})
	}
}

func TestOldKeyHoldsUntilTheNewOneIsInUse(t *testing.T) {
	for _, suite := range []sdp.Suite{sdp.AESCM, sdp.AESGCM} {
		inWorld(t, func(t *testing.T, w *world) {
			a, s := w.secret("192.0.2.1:4000", PCMA, suite)
			a.hum(500)
			time.Sleep(time.Second)
			for range 2 {
				a.mu.Lock()
				old := a.crypt.out
				a.mu.Unlock()
				a.encrypt("RTP/SAVP", suite)
				a.mu.Lock()
				fresh := a.crypt.out
				a.crypt.out = old // our answer is on its way to him
				a.mu.Unlock()
				a.call(s)
				in := s.Stats()
				time.Sleep(time.Second)
				if got := s.Stats(); got.PacketsIn-in.PacketsIn < 49 || got.Strangers != in.Strangers {
					t.Errorf("%v: %d packets with the old key were heard, %d not", suite, got.PacketsIn-in.PacketsIn, got.Strangers-in.Strangers)
				}
				a.mu.Lock()
				a.crypt.out = fresh
				a.mu.Unlock()
				in = s.Stats()
				time.Sleep(time.Second)
				if got := s.Stats(); got.PacketsIn-in.PacketsIn < 49 || got.Strangers != in.Strangers {
					t.Errorf("%v: %d packets with the new key were heard, %d not", suite, got.PacketsIn-in.PacketsIn, got.Strangers-in.Strangers)
				}
			}
		})
	}
}

func TestOffersHaveFreshKeysWhichHoldOnceTheyAreAnswered(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, s := w.secret("192.0.2.1:4000", PCMA, sdp.AESGCM)
		a.hum(500)
		defer s.Ringback()()
		first := a.crypt.theirs
		offer, err := s.CreateOffer() // for a re-INVITE without one
		if err != nil {
			t.Fatal(err)
		}
		a.heard()
		time.Sleep(time.Second)
		if n := len(a.heard()); n < 49 || a.strange() != 0 {
			t.Errorf("%d packets with the key in force, %d not opened", n, a.strange())
		}
		a.aim(offer)
		if err := s.AcceptAnswer(a.sdp()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if n := len(a.heard()); n < 49 || a.strange() != 0 || a.crypt.theirs.Same(first) {
			t.Errorf("%d packets, %d not opened, the same key: %v", n, a.strange(), a.crypt.theirs.Same(first))
		}
		if got := s.Stats(); got.Strangers != 0 || got.PacketsIn < 98 {
			t.Errorf("%+v", got)
		}
		// The same description may be offered again as a refresh.
		if err := s.AcceptAnswer(a.sdp()); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if n := len(a.heard()); n < 49 || a.strange() != 0 {
			t.Errorf("%d packets after a refresh, %d not opened", n, a.strange())
		}
	})
}

func TestForkWithAKeyOfItsOwnTakesOver(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b := w.phone("192.0.2.1:4000", PCMA), w.phone("192.0.2.2:4000", PCMA)
		a.encrypt("RTP/SAVP", sdp.AESCM)
		b.encrypt("RTP/SAVP", sdp.AESGCM)
		s := w.open(secureLeg)
		offer, err := s.CreateOffer()
		if err != nil {
			t.Fatal(err)
		}
		defer s.Ringback()()
		for _, p := range []*phone{a, b} {
			p.aim(offer)
			p.hum(500)
			if err := s.AcceptAnswer(p.sdp()); err != nil {
				t.Fatal(err)
			}
			in := s.Stats().PacketsIn
			time.Sleep(time.Second)
			if got, n := s.Stats().PacketsIn-in, len(p.heard()); got < 49 || n < 49 || p.strange() != 0 {
				t.Errorf("%v: %d packets heard, %d sent, %d not opened", p.conn.AddrPort(), got, n, p.strange())
			}
		}
	})
}

func TestFailedNegotiationLeavesTheEncryptionAsItWas(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, s := w.secret("192.0.2.1:4000", PCMA, sdp.AESCM)
		a.hum(500)
		defer s.Ringback()()
		plain := bytes.Replace(a.sdp(), []byte("a=crypto"), []byte("a=x-crypto"), 1)
		if _, err := s.AcceptOffer(plain); !errors.Is(err, ErrNotEncrypted) {
			t.Fatal(err)
		}
		if err := s.AcceptAnswer(plain); !errors.Is(err, ErrNotEncrypted) {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		if got := s.Stats(); got.PacketsIn < 49 || len(a.heard()) < 49 || a.strange() != 0 {
			t.Errorf("%+v", got)
		}
	})
}

func TestKeysAreNotLogged(t *testing.T) {
	var out bytes.Buffer
	var keys []sdp.Crypto
	inWorld(t, func(t *testing.T, w *world) {
		a, s := w.secret("192.0.2.1:4000", PCMA, sdp.AESGCM)
		w.sprayer("198.51.100.66:4000", s)
		time.Sleep(5 * time.Second)
		keys = append(keys, a.crypt.own, a.crypt.theirs)
		_, _ = s.AcceptOffer([]byte("v=0\r\nm=audio 1 RTP/SAVP 8\r\n" + strings.Replace(cryptoLine(a.crypt.own), " ", " UNKNOWN_", 1)))
		_ = w.e.Close()
	}, func(c *Config) {
		c.Logger = slog.New(slog.NewTextHandler(&out, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	if !strings.Contains(out.String(), "srtp=AEAD_AES_128_GCM") || !strings.Contains(out.String(), "strangers") {
		t.Errorf("the log says nothing of what is looked for:\n%s", &out)
	}
	for _, k := range keys {
		raw := append(k.Key(), k.Salt()...)
		for _, form := range []string{string(raw), base64.StdEncoding.EncodeToString(raw), fmt.Sprintf("%x", raw), "inline:"} {
			if strings.Contains(out.String(), form) {
				t.Errorf("a key is in the log:\n%s", &out)
			}
		}
	}
}
