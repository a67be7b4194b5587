package media

import (
	"context"
	"encoding/binary"
	"slices"
	"testing"
	"time"

	"perezvon/media/sdp"
)

var tones = []float64{500, 800, 1200, 425}

func TestEachPartyHearsTheOtherAndNotItself(t *testing.T) {
	for _, tc := range []struct {
		name string
		a, b Codec
	}{
		{"PCMA to PCMA", PCMA, PCMA}, {"PCMA to PCMU", PCMA, PCMU}, {"PCMU to PCMA", PCMU, PCMA}, {"PCMU to PCMU", PCMU, PCMU},
	} {
		t.Run(tc.name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				a, b, sa, sb := w.pair(tc.a, tc.b)
				w.e.Connect(sa, sb, PathConfig{})
				a.hum(500)
				b.hum(800)
				time.Sleep(2 * time.Second)
				pa, pb := a.heard(), b.heard()
				a.hears(pa, tones, 800)
				b.hears(pb, tones, 500)
				smooth(t, pa)
				smooth(t, pb)
				if len(pa) < 99 || len(pb) < 99 {
					t.Errorf("%d and %d packets in two seconds", len(pa), len(pb))
				}
				if !pa[0].Marker || pa[1].Marker {
					t.Error("the marker is not on the first packet alone")
				}
				if sa.Codec() != tc.a || sb.Codec() != tc.b {
					t.Errorf("codecs %v, %v", sa.Codec(), sb.Codec())
				}
			})
		})
	}
}

func TestOneWayPathCarriesEarlyMediaOnly(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b, sa, sb := w.pair(PCMA, PCMA)
		early := w.e.Connect(sa, sb, PathConfig{OneWay: true})
		a.hum(500)
		b.hum(800)
		time.Sleep(time.Second)
		first := a.heard()
		a.hears(first, tones, 800)
		if got := b.heard(); len(got) != 0 {
			t.Errorf("the callee got %d packets before the answer", len(got))
		}
		early.Close()
		time.Sleep(time.Second)
		if got := a.heard(); len(got) != 0 {
			t.Errorf("%d packets on a closed path", len(got))
		}
		w.e.Connect(sa, sb, PathConfig{})
		time.Sleep(time.Second)
		second := a.heard()
		a.hears(second, tones, 800)
		b.hears(b.heard(), tones, 500)
		smooth(t, append(first, second...))
		if gap := second[0].Timestamp - first[len(first)-1].Timestamp; gap < 7800 || gap > 8400 {
			t.Errorf("the timestamp went on by %d samples in a second without sound", gap)
		}
	})
}

func TestStreamGoesOnFromRingbackToPromptToBridgeAndBack(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b, sa, sb := w.pair(PCMA, PCMU)
		b.hum(800)
		started := time.Now()
		stop := sa.Ringback()
		time.Sleep(500 * time.Millisecond)
		ring := a.heard()
		a.hears(ring, tones, 425)
		stop()
		stop()
		if _, err := sa.Play(context.Background(), clip(1200, time.Second)); err != nil {
			t.Fatal(err)
		}
		prompt := a.heard()
		a.hears(prompt, tones, 1200)
		path := w.e.Connect(sa, sb, PathConfig{})
		time.Sleep(time.Second)
		talk := a.heard()
		a.hears(talk, tones, 800)
		if _, err := sa.Play(context.Background(), clip(500, time.Second)); err != nil {
			t.Fatal(err)
		}
		over := a.heard()
		a.hears(over, tones, 500) // the other party is not heard under the prompt
		time.Sleep(time.Second)
		again := a.heard()
		a.hears(again, tones, 800)
		path.Close()

		for _, part := range []struct {
			name string
			n    int
		}{{"ring", len(ring)}, {"prompt", len(prompt)}, {"talk", len(talk)}, {"over", len(over)}, {"again", len(again)}} {
			if part.n < 20 {
				t.Errorf("%s: %d packets", part.name, part.n)
			}
		}
		if !prompt[0].Marker || !talk[0].Marker || !over[0].Marker {
			t.Error("no marker at the start of a talk spurt")
		}
		all := slices.Concat(ring, prompt, talk, over, again)
		smooth(t, all)
		clock := time.Since(started)
		sent := length(int(all[len(all)-1].Timestamp - all[0].Timestamp))
		if d := clock - sent; d < -100*time.Millisecond || d > 100*time.Millisecond {
			t.Errorf("timestamps say %v, the clock %v", sent, clock)
		}
	})
}

func TestNewestPathFeedsALeg(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b, c := w.phone("192.0.2.1:4000", PCMA), w.phone("192.0.2.2:5000", PCMA), w.phone("192.0.2.3:6000", PCMA)
		sa, sb, sc := w.open(SessionConfig{}), w.open(SessionConfig{}), w.open(SessionConfig{})
		a.call(sa)
		b.call(sb)
		c.call(sc)
		a.hum(500)
		b.hum(800)
		c.hum(1200)
		first := w.e.Connect(sa, sb, PathConfig{})
		time.Sleep(time.Second)
		w.e.Connect(sa, sc, PathConfig{})
		a.heard()
		b.heard()
		time.Sleep(time.Second)
		first.Close() // must not touch what the second path took over
		time.Sleep(time.Second)
		got := a.heard()
		a.hears(got, tones, 1200)
		smooth(t, got)
		c.hears(c.heard(), tones, 500)
		if n := len(b.heard()); n > 1 {
			t.Errorf("the party that was left still hears %d packets", n)
		}
	})
}

func TestANewSourceStreamDoesNotBreakOurs(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b, sa, sb := w.pair(PCMA, PCMA)
		w.e.Connect(sa, sb, PathConfig{})
		b.hum(800)
		time.Sleep(time.Second)
		b.mu.Lock()
		b.ssrc, b.seq, b.ts = 7, 7, 7
		b.mu.Unlock()
		time.Sleep(time.Second)
		got := a.heard()
		smooth(t, got)
		a.hears(got, tones, 800)
		if st := sb.Stats(); st.SSRCIn != 7 || *st.Lost != 0 {
			t.Errorf("ssrc %d, lost %d", st.SSRCIn, *st.Lost)
		}
	})
}

func TestSourceThatBeginsItsSequenceAnewIsHeardOn(t *testing.T) {
	for name, leap := range map[string]uint16{"far behind": 65536 - 20000, "far ahead": 20000} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				a, sa := w.secret("192.0.2.1:4000", PCMA, sdp.AESCM) // replays are dropped there
				b, sb := w.phone("192.0.2.2:4000", PCMA), w.open(SessionConfig{})
				defer a.close()
				defer b.close()
				b.call(sb)
				w.e.Connect(sa, sb, PathConfig{})
				b.hum(800)
				time.Sleep(time.Second)
				b.mu.Lock()
				b.seq += leap
				b.mu.Unlock()
				time.Sleep(time.Second)
				got := a.heard()
				if len(got) < 98 { // the first packet could be a very late one
					t.Errorf("%d packets", len(got))
				}
				for i := range got[1:] {
					if got[i+1].SequenceNumber != got[i].SequenceNumber+1 {
						t.Errorf("the sequence jumps from %d to %d", got[i].SequenceNumber, got[i+1].SequenceNumber)
					}
				}
				a.hears(got, tones, 800)
			})
		})
	}
}

func TestLatePacketOfLongAgoIsNotPassedOn(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b, sa, sb := w.pair(PCMA, PCMA)
		w.e.Connect(sa, sb, PathConfig{})
		for i := range 300 {
			if i%20 == 19 {
				b.mu.Lock()
				now := b.seq
				b.seq -= 150 + uint16(i)
				b.mu.Unlock()
				b.send(8, false, []byte("long ago"))
				b.mu.Lock()
				b.seq = now
				b.mu.Unlock()
			}
			b.send(8, false, []byte{byte(i)})
			time.Sleep(20 * time.Millisecond)
		}
		got := a.heard()
		if len(got) != 300 {
			t.Errorf("%d packets", len(got))
		}
		for i, p := range got[1:] {
			if p.SequenceNumber != got[i].SequenceNumber+1 {
				t.Errorf("the sequence jumps from %d to %d", got[i].SequenceNumber, p.SequenceNumber)
			}
		}
	})
}

func TestLossAndReorderingPassThrough(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b, sa, sb := w.pair(PCMA, PCMA)
		w.e.Connect(sa, sb, PathConfig{})
		b.mu.Lock()
		b.seq = 65530
		b.mu.Unlock()
		for i, order := range []int{0, 1, 3, 2, 5, 6, 7, 8} { // 4 is lost
			b.mu.Lock()
			b.seq, b.ts = uint16(65530+order), uint32(order*160)
			b.mu.Unlock()
			b.send(8, false, []byte{byte(i)})
			time.Sleep(20 * time.Millisecond)
		}
		got := a.heard()
		if len(got) != 8 {
			t.Fatalf("%d packets", len(got))
		}
		for i, order := range []int{0, 1, 3, 2, 5, 6, 7, 8} {
			if seq, ts := got[i].SequenceNumber-got[0].SequenceNumber, got[i].Timestamp-got[0].Timestamp; seq != uint16(order) || ts != uint32(order*160) {
				t.Errorf("packet %d: seq +%d ts +%d, want +%d", i, seq, ts, order)
			}
		}
		if st := sb.Stats(); *st.Lost != 1 {
			t.Errorf("lost %d", *st.Lost)
		}
	})
}

func TestHeaderExtensionSourcesAndPaddingStayBehind(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b, sa, sb := w.pair(PCMA, PCMA)
		w.e.Connect(sa, sb, PathConfig{})
		pkt := []byte{0xb2, 8, 0, 1, 0, 0, 0, 160, 0, 0, 0, 9, 1, 1, 1, 1, 2, 2, 2, 2, 0xbe, 0xde, 0, 1, 5, 5, 5, 5, 'a', 'b', 'c', 0, 0, 3}
		if _, err := b.conn.WriteToUDPAddrPort(pkt, b.dest); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		got := a.heard()
		if len(got) != 1 || string(got[0].Payload) != "abc" || got[0].Extension || got[0].Padding || len(got[0].CSRC) != 0 {
			t.Errorf("got %v", got)
		}
	})
}

func TestTelephoneEventsAreDeliveredOnceAndPassWithTheOtherSidesNumber(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b := w.phone("192.0.2.1:4000", PCMA), w.phone("192.0.2.2:5000", PCMU)
		b.event = 96
		sa, sb := w.open(SessionConfig{}), w.open(SessionConfig{})
		a.call(sa)
		b.answer(sb)
		w.e.Connect(sa, sb, PathConfig{DTMF: true})
		a.say(make([]int16, 160))
		for _, key := range []byte{1, 1, 10, 11} {
			a.press(key)
		}
		a.say(make([]int16, 160))
		time.Sleep(100 * time.Millisecond)
		if got := digits(sa); got != "11*#" {
			t.Errorf("digits %q", got)
		}
		got := b.heard()
		smooth(t, got)
		starts, events := 0, 0
		for _, pkt := range got {
			if pkt.PayloadType == 96 {
				events++
				if pkt.Marker {
					starts++
				}
				if len(pkt.Payload) != 4 || binary.BigEndian.Uint16(pkt.Payload[2:]) == 0 {
					t.Errorf("payload % x", pkt.Payload)
				}
			}
		}
		if events != 4*11 || starts != 4 {
			t.Errorf("%d event packets, %d starts", events, starts)
		}
	})
}

func TestTelephoneEventsStopAtALegThatDidNotAgreeOrAPathWithoutThem(t *testing.T) {
	for _, tc := range []struct {
		name  string
		event uint8
		dtmf  bool
	}{{"not agreed", 0, true}, {"not wanted", 101, false}} {
		t.Run(tc.name, func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				a, b := w.phone("192.0.2.1:4000", PCMA), w.phone("192.0.2.2:5000", PCMA)
				b.event = tc.event
				sa, sb := w.open(SessionConfig{}), w.open(SessionConfig{})
				a.call(sa)
				b.call(sb)
				w.e.Connect(sa, sb, PathConfig{DTMF: tc.dtmf})
				a.say(make([]int16, 160))
				a.press(5)
				a.say(make([]int16, 160))
				time.Sleep(100 * time.Millisecond)
				if got := digits(sa); got != "5" {
					t.Errorf("digits %q", got)
				}
				got := b.heard()
				smooth(t, got)
				if len(got) != 2 {
					t.Errorf("%d packets", len(got))
				}
			})
		})
	}
}

func digits(s *Session) string {
	var out []rune
	for {
		select {
		case r := <-s.Digits():
			out = append(out, r)
		default:
			return string(out)
		}
	}
}

func TestRingbackGivesWayToEarlyMedia(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, b, sa, sb := w.pair(PCMA, PCMA)
		stop := sa.Ringback()
		defer stop()
		w.e.Connect(sa, sb, PathConfig{OneWay: true, DTMF: true})
		time.Sleep(900 * time.Millisecond)
		b.press(1) // no sound
		ring := a.heard()
		a.hears(ring, tones, 425)
		b.hum(800)
		time.Sleep(10 * time.Second)
		early := a.heard()
		a.hears(early, tones, 800)
		smooth(t, slices.Concat(ring, early))
	})
}
