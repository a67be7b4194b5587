package media

import (
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"perezvon/internal/memnet"
	"perezvon/media/sdp"
)

// secretBehindNAT is behindNAT with a party that encrypts.
func secretBehindNAT(t *testing.T, w *world, suite sdp.Suite) (a, b *phone, sb *Session) {
	t.Helper()
	a, b = w.phone("192.0.2.1:4000", PCMA), w.phone("198.51.100.9:61000", PCMA)
	sa, sb := w.open(SessionConfig{}), w.open(secureLeg)
	a.call(sa)
	b.encrypt("RTP/SAVP", suite)
	answer, err := sb.AcceptOffer(b.sdpAt(netip.MustParseAddrPort("192.168.1.7:5000")))
	if err != nil {
		t.Fatal(err)
	}
	b.aim(answer)
	w.e.Connect(sa, sb, PathConfig{})
	a.hum(500)
	return a, b, sb
}

func TestEncryptedPartyBehindNATIsHeardFromItsFirstPacket(t *testing.T) {
	for _, suite := range []sdp.Suite{sdp.AESCM, sdp.AESGCM} {
		inWorld(t, func(t *testing.T, w *world) {
			_, b, sb := secretBehindNAT(t, w, suite)
			b.hum(800)
			time.Sleep(100 * time.Millisecond)
			if got, peer := sb.Stats().PacketsIn, sb.Stats().Peer; got < 5 || peer != b.conn.AddrPort() {
				t.Errorf("%d packets of five heard, sound goes to %v", got, peer)
			}
			time.Sleep(time.Second)
			if n := len(b.heard()); n < 50 {
				t.Errorf("%d packets sent to it", n)
			}
		})
	}
}

func TestStrangerWhoWasThereFirstDoesNotGetAnEncryptedLeg(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b, sb := secretBehindNAT(t, w, sdp.AESCM)
		plain := w.sprayer("198.51.100.66:4000", sb)
		other := w.phone("198.51.100.67:4000", PCMA) // encrypts with a key of its own
		other.encrypt("RTP/SAVP", sdp.AESCM)
		other.dest = netip.AddrPortFrom(engineIP, sb.Port())
		other.hum(1200)
		time.Sleep(20 * time.Second)
		if st := sb.Stats(); st.PacketsIn != 0 {
			t.Errorf("%d packets of strangers were heard", st.PacketsIn)
		}
		b.hum(800)
		time.Sleep(100 * time.Millisecond)
		if got := sb.Stats().Peer; got != b.conn.AddrPort() {
			t.Errorf("sound goes to %v", got)
		}
		time.Sleep(20 * time.Second)
		a.hears(a.heard(), tones, 800)
		b.hears(b.heard(), tones, 500)
		for _, x := range []*phone{plain, other} {
			if n := len(x.heard()); n != 0 {
				t.Errorf("a stranger was sent %d packets", n)
			}
		}
	})
}

// Somebody on the way catches packets and sends them on from elsewhere, some at
// once, some late, some bent.
func TestCaughtPacketsDoNotMoveTheSoundOfAnEncryptedLeg(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b, sb := secretBehindNAT(t, w, sdp.AESGCM)
		x := w.net.MustListen("198.51.100.66:4000")
		defer x.Close()
		to := netip.AddrPortFrom(engineIP, sb.Port())
		var toStranger atomic.Int32
		w.net.SetLog(func(p memnet.Packet) {
			if p.To == x.AddrPort() {
				toStranger.Add(1)
			}
		})
		var mu sync.Mutex
		var caught [][]byte
		n := 0
		w.net.SetFilter(func(p memnet.Packet) memnet.Fate {
			if p.From != b.conn.AddrPort() || p.To != to {
				return memnet.Fate{}
			}
			mu.Lock()
			defer mu.Unlock()
			n++
			caught = append(caught, slices.Clone(p.Data))
			return memnet.Fate{Drop: n%10 == 0} // this one the stranger holds back
		})
		// What the stranger sends comes after a packet of b and before one of a,
		// which would go to him.
		time.Sleep(10 * time.Millisecond)
		b.hum(800)
		time.Sleep(45 * time.Millisecond)
		stop := make(chan struct{})
		var wg sync.WaitGroup
		wg.Go(func() {
			tick := time.NewTicker(60 * time.Millisecond)
			defer tick.Stop()
			for {
				select {
				case <-stop:
					return
				case <-tick.C:
				}
				mu.Lock()
				late := caught
				caught = nil
				mu.Unlock()
				for i, c := range late {
					if i < len(late)-1 { // one that is really new would prove nothing
						_, _ = x.WriteToUDPAddrPort(c, to)
					}
					c[len(c)-1] ^= 1
					_, _ = x.WriteToUDPAddrPort(c, to)
				}
			}
		})
		time.Sleep(5 * time.Second)
		close(stop)
		wg.Wait()
		if n := toStranger.Load(); n != 0 {
			t.Errorf("the stranger was sent %d packets", n)
		}
		a.hears(a.heard(), tones, 800)
	})
}

func TestEncryptedPartyThatMovesIsFollowedAtOnce(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		_, b, sb := secretBehindNAT(t, w, sdp.AESCM)
		b.hum(800)
		time.Sleep(3 * time.Second)
		moved := w.phone("198.51.100.77:4242", PCMA) // its router gave it another address
		b.hush(true)
		b.mu.Lock()
		moved.ssrc, moved.seq, moved.dest = b.ssrc, b.seq, b.dest
		moved.crypt = &crypt{own: b.crypt.own, out: b.crypt.out, theirs: b.crypt.theirs, in: context1(t, b.crypt.theirs)}
		b.mu.Unlock()
		moved.seq += 3
		moved.hum(800)
		time.Sleep(100 * time.Millisecond)
		if got := sb.Stats().Peer; got != moved.conn.AddrPort() {
			t.Errorf("sound goes to %v", got)
		}
		time.Sleep(time.Second)
		if n := len(moved.heard()); n < 49 {
			t.Errorf("%d packets sent to the new address", n)
		}
	})
}

func TestSequenceThatBeginsAnewWithANewKeyIsFollowed(t *testing.T) {
	var l lock
	elsewhere := netip.MustParseAddrPort("198.51.100.77:4242")
	first, between, second := agreed(PCMA), agreed(PCMA), agreed(PCMA)
	old := &opener{}
	first.cipher, between.cipher, second.cipher = &cipher{in: &inward{used: old}}, &cipher{in: &inward{used: old}}, &cipher{in: &inward{used: &opener{}}}
	for _, step := range []struct {
		from netip.AddrPort
		seq  uint16
		rem  *remote
		peer netip.AddrPort
	}{
		{peerAddr, 5000, first, peerAddr},
		{elsewhere, 100, first, peerAddr},   // from behind
		{elsewhere, 100, between, peerAddr}, // and with the key before the one that was agreed
		{elsewhere, 101, second, elsewhere},
		{peerAddr, 5001, second, peerAddr},
		{elsewhere, 102, second, peerAddr},
	} {
		if !l.accept(step.from, &packet{ssrc: 1, seq: step.seq}, step.rem, time.Second) || l.peer != step.peer {
			t.Errorf("%+v: sound goes to %v", step, l.peer)
		}
	}
}

// Somebody on the way has held back a packet and sends it on when new keys are
// agreed on that are not in use yet.
func TestHeldBackPacketDoesNotMoveTheSoundWhenKeysChange(t *testing.T) {
	for _, suite := range []sdp.Suite{sdp.AESCM, sdp.AESGCM} {
		s, _, seal, _ := secretLeg(t, PCMA, suite)
		packet := func(seq uint16) []byte {
			buf := make([]byte, headerLen+160)
			putHeader(buf, PCMA.Payload(), false, seq, uint32(seq)*160, 99)
			return slices.Clone(seal(buf))
		}
		held := packet(1000)
		s.handleRTP(packet(1001), peerAddr, time.Second)
		fresh := agreed(PCMA)
		var err error
		if fresh.cipher, err = s.cipherFor(sdp.NewCrypto(1, suite), s.remote.Load().cipher.out.key); err != nil {
			t.Fatal(err)
		}
		s.remote.Store(fresh)
		s.handleRTP(held, netip.MustParseAddrPort("198.51.100.66:4000"), 2*time.Second)
		if got := s.Stats(); got.PacketsIn != 2 || s.lock.peer != peerAddr {
			t.Errorf("%v: %d packets heard, sound goes to %v", suite, got.PacketsIn, s.lock.peer)
		}
	}
}
