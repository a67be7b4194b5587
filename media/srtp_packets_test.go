package media

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/pion/srtp/v3"

	"perezvon/media/sdp"
)

// secretLeg is leg with a key for each direction; seal encrypts as its far side
// does, open reads what it sends.
func secretLeg(tb testing.TB, codec Codec, suite sdp.Suite) (s *Session, out *keepingConn, seal func(b []byte) []byte, open *srtp.Context) {
	tb.Helper()
	s, _ = leg(codec)
	out = &keepingConn{}
	s.tx.conn = out
	theirs, ours := sdp.NewCrypto(1, suite), sdp.NewCrypto(1, suite)
	c, err := s.cipherFor(theirs, ours)
	if err != nil {
		tb.Fatal(err)
	}
	s.remote.Load().cipher = c
	far := context1(tb, theirs)
	dst := make([]byte, 0, maxPacket)
	return s, out, func(b []byte) []byte {
		sealed, err := far.EncryptRTP(dst, b, nil)
		if err != nil {
			tb.Fatal(err)
		}
		return sealed
	}, context1(tb, ours)
}

// keepingConn keeps the last packet written.
type keepingConn struct {
	countingConn
	last []byte
}

func (c *keepingConn) WriteToUDPAddrPort(b []byte, to netip.AddrPort) (int, error) {
	c.last = append(c.last[:0], b...)
	return c.countingConn.WriteToUDPAddrPort(b, to)
}

func TestSequenceMayBeginAnewManyTimes(t *testing.T) {
	for _, suite := range []sdp.Suite{sdp.AESCM, sdp.AESGCM} {
		a, _, seal, _ := secretLeg(t, PCMA, suite)
		b, out, _, open := secretLeg(t, PCMA, suite)
		a.engine.Connect(a, b, PathConfig{})
		buf := make([]byte, headerLen+160)
		for i := range 3 << 16 {
			if i%7 == 0 {
				continue // lost
			}
			putHeader(buf, PCMA.Payload(), false, uint16(i+65000), uint32(i*160), 99)
			in := append(make([]byte, 0, maxPacket), seal(buf)...)
			a.handleRTP(in, peerAddr, time.Duration(i)*20*time.Millisecond)
			if _, err := open.DecryptRTP(nil, out.last, nil); err != nil {
				t.Fatalf("%v, packet %d: %v", suite, i, err)
			}
		}
		if got := a.Stats(); got.Strangers != 0 || out.writes != int(got.PacketsIn) {
			t.Errorf("%v: %+v, %d sent", suite, got, out.writes)
		}
	}
}

func TestPacketThatComesTwiceOrFarTooLateIsDropped(t *testing.T) {
	for _, suite := range []sdp.Suite{sdp.AESCM, sdp.AESGCM} {
		a, _, seal, _ := secretLeg(t, PCMA, suite)
		var kept [][]byte
		for i := range 300 {
			buf := make([]byte, headerLen+160)
			putHeader(buf, PCMA.Payload(), false, uint16(i), uint32(i*160), 99)
			kept = append(kept, slices.Clone(seal(buf)))
		}
		hear := func(i int) bool {
			before := a.Stats().PacketsIn
			a.handleRTP(slices.Clone(kept[i]), peerAddr, time.Second)
			return a.Stats().PacketsIn > before
		}
		for _, step := range []struct {
			i    int
			want bool
		}{{0, true}, {0, false}, {2, true}, {1, true}, {1, false}, {299, true}, {180, true}, {180, false}, {170, false}, {2, false}} {
			if got := hear(step.i); got != step.want {
				t.Errorf("%v: packet %d heard: %v", suite, step.i, got)
			}
		}
	}
}

func TestOtherStreamsUnderAKeyAreHeardButNotWithoutEnd(t *testing.T) {
	a, _, seal, _ := secretLeg(t, PCMA, sdp.AESGCM)
	buf := make([]byte, headerLen+160)
	for i := range 2 * maxStreams {
		putHeader(buf, PCMA.Payload(), false, uint16(i), uint32(i*160), uint32(i))
		a.handleRTP(slices.Clone(seal(buf)), peerAddr, time.Second)
	}
	if got := a.Stats(); got.PacketsIn != maxStreams || got.Strangers != maxStreams {
		t.Errorf("%d packets of streams heard, %d not", got.PacketsIn, got.Strangers)
	}
}

// A party whose sound is plain repeats numbers of packets with other sound in
// them: what was encrypted under them before must not come under them again.
func TestNothingIsEncryptedTwiceUnderOneNumber(t *testing.T) {
	for _, suite := range []sdp.Suite{sdp.AESCM, sdp.AESGCM} {
		a, _ := leg(PCMA)
		b, out, _, open := secretLeg(t, PCMA, suite)
		b.tx.seq = 20 // the first number of all is near
		a.engine.Connect(a, b, PathConfig{})
		relay := func(seq uint16, sound byte) bool {
			before := out.writes
			buf := make([]byte, headerLen+160, maxPacket)
			putHeader(buf, PCMA.Payload(), false, seq, uint32(seq)*160, 99)
			buf[headerLen] = sound
			a.handleRTP(buf, peerAddr, time.Duration(seq)*20*time.Millisecond)
			return out.writes > before
		}
		for seq := uint16(5000); seq < 5300; seq++ {
			if seq != 5290 && !relay(seq, 1) {
				t.Fatalf("%v: packet %d is not sent", suite, seq)
			}
		}
		for _, tc := range []struct {
			seq  uint16
			want bool
		}{{5299, false}, {5290, true}, {5290, false}, {5200, false}, {5000, false}, {4900, false}, {5299 + 1<<15, false}, {5300, true}} {
			if got := relay(tc.seq, 2); got != tc.want {
				t.Errorf("%v: packet %d with other sound is sent: %v", suite, tc.seq, got)
			}
			if !tc.want {
				continue
			}
			if _, err := open.DecryptRTP(nil, out.last, nil); err != nil {
				t.Errorf("%v: packet %d: %v", suite, tc.seq, err)
			}
		}
	}
}
