package media

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"perezvon/media/g711"
)

func TestHoldAndResumeAreToldEachTime(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, s := w.phone("192.0.2.1:4000", PCMA), w.open(SessionConfig{})
		a.call(s)
		var h told[bool]
		s.Answered(Watch{Held: h.add})
		h.want(t)
		for _, step := range []struct {
			lines []string
			want  []bool
		}{
			{[]string{"a=sendonly"}, []bool{true}},
			{[]string{"a=sendonly"}, nil},
			{[]string{"a=inactive"}, nil},
			{nil, []bool{false}},
			{nil, nil},
			{[]string{"a=recvonly"}, nil}, // it still listens
			{[]string{"c=IN IP4 0.0.0.0"}, []bool{true}},
			{[]string{"a=sendrecv"}, []bool{false}},
			{[]string{"a=inactive"}, []bool{true}},
			{[]string{"a=recvonly"}, []bool{false}},
		} {
			a.call(s, step.lines...)
			h.want(t, step.want...)
		}
		_ = s.Close()
		_, _ = s.AcceptOffer(a.sdp("a=sendonly"))
		h.want(t)
	})
}

func TestWhoHoldsFromTheFirstMomentIsTold(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, s := w.phone("192.0.2.1:4000", PCMA), w.open(SessionConfig{})
		a.answer(s, "a=sendonly")
		var h told[bool]
		s.Answered(Watch{Held: h.add})
		h.want(t, true)
	})
}

func TestHoldsThatPassWhileOneIsToldAreLeftOut(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, s := w.phone("192.0.2.1:4000", PCMA), w.open(SessionConfig{})
		a.call(s)
		var h told[bool]
		slow := true
		s.Answered(Watch{Held: func(held bool) {
			h.add(held)
			if slow {
				time.Sleep(time.Second)
			}
		}})
		for _, line := range []string{"a=sendonly", "a=sendrecv", "a=sendonly", "a=sendrecv"} {
			a.call(s, line)
			time.Sleep(100 * time.Millisecond)
		}
		time.Sleep(2 * time.Second)
		h.want(t, true, false)
		// Close waits for a call that runs and lets no other begin.
		a.call(s, "a=sendonly")
		time.Sleep(100 * time.Millisecond)
		a.call(s)
		began := time.Now()
		_ = s.Close()
		if took := time.Since(began); took != 900*time.Millisecond {
			t.Errorf("Close took %v", took)
		}
		h.want(t, true)
	})
}

func TestMusicGoesRoundWithoutASeamUntilItIsStopped(t *testing.T) {
	for _, n := range []int{1000, 30} { // samples, none of them whole packets
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			inWorld(t, func(t *testing.T, w *world) {
				a, b, _, sb := bridged(t, w)
				a.hum(500)
				time.Sleep(100 * time.Millisecond)
				before := b.heard()
				pcm := make([]int16, n)
				for i := range pcm {
					pcm[i] = int16(i * 30)
				}
				tune := g711.NewClip(pcm)
				stop := sb.Music(tune)
				time.Sleep(3 * time.Second)
				music := b.heard()
				stop()
				stop()
				time.Sleep(time.Second)
				after := b.heard()
				smooth(t, slices.Concat(before, music, after))
				var got []byte
				for _, p := range music[:len(music)-1] {
					got = append(got, p.Payload...)
				}
				if len(music) < 149 {
					t.Errorf("%d packets in three seconds", len(music))
				}
				for i, v := range got {
					if v != tune.Bytes(g711.ALaw)[i%n] {
						t.Fatalf("sample %d is %x", i, v)
					}
				}
				b.hears(after, tones, 500)
			})
		})
	}
}

func TestMusicWaitsForAPartyThatHoldsUs(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, s := w.phone("192.0.2.1:4000", PCMA), w.open(SessionConfig{})
		for _, hold := range []string{"a=sendonly", "a=inactive"} {
			a.call(s, hold)
			for name, start := range map[string]func() func(){
				"music": func() func() { return s.Music(clip(800, time.Second)) }, "ringback": s.Ringback,
			} {
				stop := start()
				time.Sleep(10 * time.Second)
				if n := len(a.heard()); n != 0 {
					t.Errorf("%s, %s: %d packets", hold, name, n)
				}
				a.call(s)
				time.Sleep(6 * time.Second)
				if n := len(a.heard()); n < 290 {
					t.Errorf("%s, %s: %d packets after it", hold, name, n)
				}
				stop()
				a.call(s, hold)
				a.heard()
			}
		}
		stop := s.Music(g711.NewClip(nil))
		stop()
	})
}
