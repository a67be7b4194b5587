package media

import (
	"slices"
	"testing"
	"time"

	"github.com/pion/rtcp"
	"github.com/pion/rtp"

	"perezvon/media/sdp"
)

func FuzzRTP(f *testing.F) {
	for _, p := range []rtp.Packet{
		{Header: rtp.Header{Version: 2, PayloadType: 8, SequenceNumber: 1, SSRC: 9}, Payload: make([]byte, 160)},
		{Header: rtp.Header{Version: 2, PayloadType: 101, Marker: true, Timestamp: 5, SSRC: 9}, Payload: []byte{5, 0x8a, 1, 0}},
		{Header: rtp.Header{
			Version: 2, CSRC: []uint32{1, 2}, Extension: true, ExtensionProfile: 0xbede,
			Extensions: []rtp.Extension{},
		}, Payload: []byte("abc")},
	} {
		b, err := p.Marshal()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte{0xb2, 8, 0, 1, 0, 0, 0, 160, 0, 0, 0, 9, 1, 1, 1, 1, 2, 2, 2, 2, 0xbe, 0xde, 0, 1, 5, 5, 5, 5, 'a', 'b', 'c', 0, 0, 3})
	f.Add([]byte{0x80, 200, 0, 6, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > maxPacket {
			return
		}
		var oracle rtp.Packet
		want := oracle.Unmarshal(append([]byte(nil), b...))
		if p, ok := parseRTP(append([]byte(nil), b...)); ok && want == nil {
			// Pion counts the padding of a packet that is nothing else in
			// another way; everything else must agree.
			if p.seq != oracle.SequenceNumber || p.ts != oracle.Timestamp || p.ssrc != oracle.SSRC ||
				p.payload != oracle.PayloadType || p.marker != oracle.Marker || !oracle.Padding && string(p.body()) != string(oracle.Payload) {
				t.Fatalf("% x: %+v, pion says %v", b, p, oracle)
			}
		}
		// Everything a stranger sends goes through the whole leg.
		s, _ := leg(PCMA)
		d, out := leg(PCMU)
		d.engine.Connect(s, d, PathConfig{DTMF: true})
		s.remote.Load().stream.Mux = true
		for i := range 2 {
			s.handleRTP(append([]byte(nil), b...), peerAddr, time.Duration(i)*time.Second)
			s.handleRTCP(append([]byte(nil), b...), peerAddr, time.Duration(i)*time.Second)
		}
		if out.writes > 2 {
			t.Fatalf("%d packets out of two", out.writes)
		}
	})
}

// FuzzRTCP takes a report of anybody.
func FuzzRTCP(f *testing.F) {
	for _, packets := range [][]rtcp.Packet{
		{&rtcp.SenderReport{SSRC: 9, NTPTime: 1 << 40, Reports: []rtcp.ReceptionReport{{SSRC: 7, LastSenderReport: 5}}}},
		{&rtcp.ReceiverReport{SSRC: 9}, &rtcp.SourceDescription{Chunks: []rtcp.SourceDescriptionChunk{{Source: 9, Items: []rtcp.SourceDescriptionItem{{Type: rtcp.SDESCNAME, Text: "x"}}}}}},
		{&rtcp.Goodbye{Sources: []uint32{9}}},
	} {
		b, err := rtcp.Marshal(packets)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		s, _ := leg(PCMA)
		for _, now := range []time.Duration{time.Second, time.Hour} {
			s.handleRTCP(slices.Clone(b), peerAddr, now)
			st := s.Stats()
			if st.RoundTrip != nil && (*st.RoundTrip < 0 || *st.RoundTrip > time.Minute) {
				t.Fatalf("round trip %v", *st.RoundTrip)
			}
		}
	})
}

// FuzzSRTP sends a packet of anybody, and a bent one of who has the key, to an
// encrypted leg, which may have agreed on a newer key since: neither is ever
// heard.
func FuzzSRTP(f *testing.F) {
	for mode := range byte(4) {
		f.Add([]byte{}, uint16(0), mode&1, mode)
		f.Add(make([]byte, 200), uint16(20), byte(0x80), mode)
		f.Add([]byte{0x80, 200, 0, 6, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x80, 0, 0, 1}, uint16(9), byte(4), mode)
		f.Add([]byte{0x9f, 8, 0, 1, 0, 0, 0, 160, 0, 0, 0, 9, 0xbe, 0xde, 0xff, 0xff, 1}, uint16(0), byte(0x10), mode)
	}
	// Keys cost more than all the rest: they are made once for all inputs.
	sound := make([]byte, headerLen+160)
	putHeader(sound, PCMA.Payload(), false, 7, 160, 99)
	suites := [...]sdp.Suite{sdp.AESCM, sdp.AESGCM}
	var keys, newer [len(suites)]sdp.Crypto
	var sealed [len(suites)][]byte
	for i, suite := range suites {
		keys[i], newer[i] = sdp.NewCrypto(1, suite), sdp.NewCrypto(1, suite)
		b, err := context1(f, keys[i]).EncryptRTP(nil, sound, nil)
		if err != nil {
			f.Fatal(err)
		}
		sealed[i] = b
	}
	f.Fuzz(func(t *testing.T, b []byte, at uint16, flip, mode byte) {
		i, renewed := mode&1, mode&2 != 0
		a, _ := leg(PCMA)
		d, out := leg(PCMU)
		agree := func(key sdp.Crypto) {
			c, err := a.cipherFor(key, keys[i])
			if err != nil {
				t.Fatal(err)
			}
			a.remote.Load().cipher = c
		}
		if agree(keys[i]); renewed {
			agree(newer[i])
		}
		a.engine.Connect(a, d, PathConfig{DTMF: true})
		a.remote.Load().stream.Mux = true
		if len(b) <= maxPacket {
			a.handleRTP(slices.Clone(b), peerAddr, time.Second)
			a.handleRTCP(slices.Clone(b), peerAddr, time.Second)
		}
		bent := slices.Clone(sealed[i])
		bent[int(at)%len(bent)] ^= flip
		a.handleRTP(bent, peerAddr, 2*time.Second)
		want := 0
		if flip == 0 {
			want = 1
		}
		if st := a.Stats(); out.writes != want || st.PacketsIn != uint64(want) || a.life.Load() != 0 && want == 0 {
			t.Fatalf("%v, renewed %t: %d packets heard, %d sent on", suites[i], renewed, st.PacketsIn, out.writes)
		}
	})
}
