package media

import (
	"encoding/binary"
	"net/netip"
	"testing"
	"time"
)

func TestKeysAreFoundOncePerPress(t *testing.T) {
	type in struct {
		ssrc, ts uint32
		body     []byte
	}
	ev := func(ts uint32, event byte, end bool, dur uint16) in {
		b := []byte{event, 10, 0, 0}
		if end {
			b[1] |= 0x80
		}
		binary.BigEndian.PutUint16(b[2:], dur)
		return in{1, ts, b}
	}
	for name, tc := range map[string]struct {
		packets []in
		want    string
	}{
		"a press":                     {[]in{ev(100, 5, false, 160), ev(100, 5, false, 320), ev(100, 5, true, 480), ev(100, 5, true, 480)}, "5"},
		"only its end arrives":        {[]in{ev(100, 5, true, 480), ev(100, 5, true, 480)}, "5"},
		"twice the same key":          {[]in{ev(100, 5, true, 480), ev(2000, 5, true, 480)}, "55"},
		"a late packet of the first":  {[]in{ev(100, 5, false, 480), ev(2000, 6, false, 160), ev(100, 5, true, 480), ev(2000, 6, true, 320)}, "56"},
		"across the wrap":             {[]in{ev(0xffffff00, 1, true, 480), ev(0x300, 2, true, 480)}, "12"},
		"one clock reading for two":   {[]in{ev(100, 1, true, 480), ev(100, 2, true, 480)}, "12"},
		"longer than sixteen bits":    {[]in{ev(100, 9, false, 160), ev(100, 9, false, 0xffff), ev(100+0xffff, 9, false, 160), ev(100+0xffff, 9, true, 800)}, "9"},
		"pressed again right after":   {[]in{ev(100, 9, true, 0xffff), ev(100+0xffff, 9, false, 160)}, "99"},
		"another stream, same clock":  {[]in{ev(100, 5, true, 480), {2, 100, []byte{5, 0x8a, 1, 0}}}, "55"},
		"clock began anew":            {[]in{ev(10_000_000, 5, true, 480), ev(100, 6, true, 480)}, "56"},
		"all sixteen":                 {[]in{ev(1, 10, true, 1), ev(2000, 11, true, 1), ev(3000, 12, true, 1), ev(4000, 15, true, 1)}, "*#AD"},
		"flash and tones are no keys": {[]in{ev(1, 16, true, 1), ev(2000, 36, true, 1)}, ""},
		"cut short":                   {[]in{{1, 1, []byte{5, 0, 0}}, {1, 1, nil}}, ""},
	} {
		var e eventReader
		got := ""
		for _, p := range tc.packets {
			data := append(make([]byte, headerLen), p.body...)
			if r, ok := e.read(&packet{data: data, ts: p.ts, ssrc: p.ssrc}); ok {
				got += string(r)
			}
		}
		if got != tc.want {
			t.Errorf("%s: %q, want %q", name, got, tc.want)
		}
	}
}

func TestAnInconsistentSourceIsNeverBelieved(t *testing.T) {
	rem := agreed(PCMA)
	from := netip.MustParseAddrPort("198.51.100.66:4000")
	for name, packets := range map[string][]packet{
		"two packets":     {{seq: 1, ssrc: 1}, {seq: 2, ssrc: 1}},
		"the same thrice": {{seq: 1, ssrc: 1}, {seq: 1, ssrc: 1}, {seq: 1, ssrc: 1}},
		"backwards":       {{seq: 9, ssrc: 1}, {seq: 8, ssrc: 1}, {seq: 7, ssrc: 1}, {seq: 6, ssrc: 1}},
		"leaps":           {{seq: 1, ssrc: 1}, {seq: 100, ssrc: 1}, {seq: 200, ssrc: 1}, {seq: 300, ssrc: 1}},
		"many streams":    {{seq: 1, ssrc: 1}, {seq: 2, ssrc: 2}, {seq: 3, ssrc: 3}, {seq: 4, ssrc: 4}},
	} {
		var l lock
		for i := range packets {
			if l.accept(from, &packets[i], rem, time.Second) {
				t.Errorf("%s: believed at packet %d", name, i)
			}
		}
		if !l.accept(peerAddr, &packet{}, rem, 0) {
			t.Errorf("%s: the address of the description was not believed", name)
		}
	}
	var l lock
	for i, want := range []bool{false, false, true, true} { // one packet lost in between
		if got := l.accept(from, &packet{seq: uint16(65534 + i + i/2), ssrc: 1}, rem, lockGrace); got != want {
			t.Errorf("packet %d: %v", i, got)
		}
	}
}

func TestTwoSourcesInTurnDoNotHelpEachOther(t *testing.T) {
	rem := agreed(PCMA)
	var l lock
	for i := range 20 {
		from := netip.AddrPortFrom(netip.MustParseAddr("198.51.100.66"), uint16(4000+i%2))
		if l.accept(from, &packet{seq: uint16(i), ssrc: 1}, rem, time.Second+time.Duration(i)) {
			t.Fatalf("believed at packet %d", i)
		}
	}
}
