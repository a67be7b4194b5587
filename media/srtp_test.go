package media

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/pion/rtcp"

	"perezvon/internal/audiotest"
	"perezvon/internal/memnet"
	"perezvon/media/sdp"
)

var secureLeg = SessionConfig{SRTP: Mandatory}

// secret is a leg with a phone that encrypts.
func (w *world) secret(addr string, codec Codec, suite sdp.Suite) (*phone, *Session) {
	w.t.Helper()
	p, s := w.phone(addr, codec), w.open(secureLeg)
	p.encrypt("RTP/SAVP", suite)
	p.call(s)
	return p, s
}

func TestEncryptedSidesAreJoinedWithPlainOnesAndOthers(t *testing.T) {
	for _, tc := range []struct{ a, b sdp.Suite }{
		{sdp.AESCM, 0},
		{sdp.AESGCM, 0},
		{sdp.AESCM, sdp.AESCM},
		{sdp.AESCM, sdp.AESGCM},
		{sdp.AESGCM, sdp.AESGCM},
	} {
		t.Run(fmt.Sprintf("%v and %v", tc.a, tc.b), func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				a, sa := w.secret("192.0.2.1:4000", PCMA, tc.a)
				b, sb := w.phone("192.0.2.2:5000", PCMU), w.open(SessionConfig{SRTP: Preferred})
				if tc.b != 0 {
					b.encrypt("RTP/AVP", tc.b)
				}
				b.answer(sb)
				path := t.TempDir() + "/call.wav"
				rec, err := NewRecorder(path)
				if err != nil {
					t.Fatal(err)
				}
				w.e.Connect(sa, sb, PathConfig{DTMF: true, Record: rec})
				a.press(5)
				a.hum(500)
				b.hum(800)
				time.Sleep(2 * time.Second)
				if _, err := rec.Close(); err != nil {
					t.Fatal(err)
				}
				heardA, heardB := a.heard(), b.heard()
				if len(heardA) < 90 || len(heardB) < 90 {
					t.Errorf("%d and %d packets", len(heardA), len(heardB))
				}
				a.hears(heardA, tones, 800)
				b.hears(heardB, tones, 500)
				smooth(t, heardA)
				smooth(t, heardB)
				if n := a.strange(); n != 0 {
					t.Errorf("a could not open %d packets", n)
				}
				if got := digits(sa); got != "5" {
					t.Errorf("keys %q", got)
				}
				l, r := readStereo(t, path)
				if left, right := audiotest.Hears(l, tones...), audiotest.Hears(r, tones...); !left[500] || left[800] || right[500] || !right[800] {
					t.Errorf("recorded left %v, right %v", left, right)
				}
				if got := [2]string{sa.Stats().Secure, sb.Stats().Secure}; got != [2]string{tc.a.String(), tc.b.String()} {
					t.Errorf("said to be %q", got)
				}
			})
		})
	}
}

func TestModesOfSecurityAtALeg(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		plainPhone, savp, avp := w.phone("192.0.2.1:4000", PCMA), w.phone("192.0.2.2:4000", PCMA), w.phone("192.0.2.3:4000", PCMA)
		savp.encrypt("RTP/SAVP", sdp.AESCM)
		avp.encrypt("RTP/AVP", sdp.AESGCM)
		for _, tc := range []struct {
			mode   Security
			from   *phone
			answer bool // ours to an offer of theirs; else theirs to our offer
			want   error
			secure bool
		}{
			{Off, plainPhone, true, nil, false},
			{Off, savp, true, ErrEncrypted, false},
			{Off, avp, true, nil, false},
			{Off, plainPhone, false, nil, false},
			{Off, savp, false, ErrEncrypted, false},
			{Preferred, plainPhone, true, nil, false},
			{Preferred, savp, true, nil, true},
			{Preferred, avp, true, nil, true},
			{Preferred, plainPhone, false, nil, false},
			{Preferred, savp, false, nil, true},
			{Preferred, avp, false, nil, true},
			{Mandatory, plainPhone, true, ErrNotEncrypted, false},
			{Mandatory, savp, true, nil, true},
			{Mandatory, avp, true, nil, true},
			{Mandatory, plainPhone, false, ErrNotEncrypted, false},
			{Mandatory, savp, false, nil, true},
			{Mandatory, avp, false, nil, true},
		} {
			name := fmt.Sprintf("%v, %s, answer %v", tc.mode, tc.from.conn.AddrPort(), tc.answer)
			s := w.open(SessionConfig{SRTP: tc.mode})
			var err error
			if tc.answer {
				var body []byte
				body, err = s.AcceptOffer(tc.from.sdp())
				if has := bytes.Contains(body, []byte("a=crypto")); has != tc.secure {
					t.Errorf("%s: %s", name, body)
				}
			} else {
				offer, oops := s.CreateOffer()
				if oops != nil {
					t.Fatal(oops)
				}
				if tc.secure {
					tc.from.aim(offer) // takes the tag
				}
				err = s.AcceptAnswer(tc.from.sdp())
			}
			if !errors.Is(err, tc.want) || (s.Stats().Secure != "") != tc.secure {
				t.Errorf("%s: %v, secure %q", name, err, s.Stats().Secure)
			}
			_ = s.Close()
		}
	}, func(c *Config) { c.Ports.Last = 20099 })
}

func TestReportsAreEncrypted(t *testing.T) {
	for _, mux := range []bool{false, true} {
		for _, suite := range []sdp.Suite{sdp.AESCM, sdp.AESGCM} {
			inWorld(t, func(t *testing.T, w *world) {
				var lines []string
				if mux {
					lines = []string{"a=rtcp-mux"}
				}
				p, s := w.phone("192.0.2.1:4000", PCMA), w.open(secureLeg)
				reports := w.net.MustListen("192.0.2.1:4001")
				defer reports.Close()
				p.encrypt("RTP/SAVP", suite)
				p.call(s, lines...)
				in, out := context1(t, p.crypt.theirs), context1(t, p.crypt.own)
				var seen atomic.Int32
				w.net.SetLog(func(m memnet.Packet) {
					if m.From.Addr() != engineIP || !isRTCP(m.Data) {
						return
					}
					seen.Add(1)
					b, err := in.DecryptRTCP(nil, m.Data, nil)
					if err != nil {
						t.Error(err)
						return
					}
					packets, err := rtcp.Unmarshal(b)
					if err != nil || packets[0].DestinationSSRC() == nil && len(packets) < 2 {
						t.Errorf("%v, %v", packets, err)
					}
				})
				to := netip.AddrPortFrom(engineIP, s.Port()+1)
				from := reports
				if mux {
					to, from = netip.AddrPortFrom(engineIP, s.Port()), p.conn
				}
				defer s.Ringback()()
				time.Sleep(30 * time.Second)
				if n := seen.Load(); n < 3 {
					t.Errorf("%d reports", n)
				}
				send := func(lost uint32, encrypted bool) {
					b, err := rtcp.Marshal([]rtcp.Packet{&rtcp.ReceiverReport{SSRC: p.ssrc, Reports: []rtcp.ReceptionReport{{SSRC: s.Stats().SSRCOut, TotalLost: lost}}}})
					if err != nil {
						t.Fatal(err)
					}
					if encrypted {
						if b, err = out.EncryptRTCP(nil, b, nil); err != nil {
							t.Fatal(err)
						}
					}
					_, _ = from.WriteToUDPAddrPort(b, to)
					time.Sleep(10 * time.Millisecond)
				}
				send(77, false)
				if got := s.Stats(); got.LostOut != nil {
					t.Errorf("a plain report was read: %d", *got.LostOut)
				}
				send(5, true)
				if got := s.Stats(); got.LostOut == nil || *got.LostOut != 5 {
					t.Errorf("mux %v, %v: an encrypted report was not read", mux, suite)
				}
			})
		}
	}
}
