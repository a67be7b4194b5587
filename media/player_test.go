package media

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"perezvon/internal/audiotest"
	"perezvon/media/g711"
)

func TestPlaySendsTheWholeClipInThePacketLengthAsked(t *testing.T) {
	for _, ptime := range []time.Duration{10, 20, 30, 40, 60} {
		for _, codec := range []Codec{PCMA, PCMU} {
			inWorld(t, func(t *testing.T, w *world) {
				a := w.phone("192.0.2.1:4000", codec)
				a.ptime = ptime * time.Millisecond
				s := w.open(SessionConfig{})
				a.call(s)
				begun := time.Now()
				played, err := s.Play(context.Background(), clip(1000, 1210*time.Millisecond))
				if err != nil || played != 1210*time.Millisecond {
					t.Errorf("played %v, %v", played, err)
				}
				if took := time.Since(begun); took < played || took > played+90*time.Millisecond {
					t.Errorf("took %v", took)
				}
				synctest.Wait()
				at := a.at
				got := a.heard()
				smooth(t, got)
				n := int(samples(a.ptime))
				if want := (9680 + n - 1) / n; len(got) != want {
					t.Errorf("%v: %d packets, want %d", a.ptime, len(got), want)
				}
				for i, pkt := range got {
					if len(pkt.Payload) != n {
						t.Fatalf("%d samples in a packet of %v", len(pkt.Payload), a.ptime)
					}
					if i > 0 && at[i].Sub(at[i-1]) != a.ptime {
						t.Errorf("packet %d came after %v", i, at[i].Sub(at[i-1]))
					}
				}
				pcm := a.pcm(got)
				a.hears(got, tones, 0)
				if d := audiotest.Heard(pcm, 1000); d < 1200*time.Millisecond {
					t.Errorf("tone heard for %v", d)
				}
			})
		}
	}
}

func TestSoundThatBeginsBetweenTheFramesOfAnotherKeepsItsPace(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		first, second := w.phone("192.0.2.1:4000", PCMA), w.phone("192.0.2.2:4000", PCMA)
		one, two := w.open(SessionConfig{}), w.open(SessionConfig{})
		first.call(one)
		second.call(two)
		defer one.Ringback()()
		time.Sleep(117 * time.Millisecond)
		if _, err := two.Play(context.Background(), clip(1000, 200*time.Millisecond)); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		at := second.at
		for i := 1; i < len(at); i++ {
			if gap := at[i].Sub(at[i-1]); gap != 20*time.Millisecond {
				t.Errorf("packet %d came after %v", i, gap)
			}
		}
	})
}

func TestPlayStopsWithItsContextAndSaysHowMuchWasSent(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a := w.phone("192.0.2.1:4000", PCMA)
		s := w.open(SessionConfig{})
		a.call(s)
		ctx, cancel := context.WithTimeout(context.Background(), 510*time.Millisecond)
		defer cancel()
		played, err := s.Play(ctx, clip(1000, 5*time.Second))
		if !errors.Is(err, context.DeadlineExceeded) || played < 480*time.Millisecond || played > 520*time.Millisecond {
			t.Errorf("played %v, %v", played, err)
		}
		n := len(a.heard())
		time.Sleep(time.Second)
		if more := len(a.heard()); more != 0 || length(n*160) != played {
			t.Errorf("%d packets, then %d more", n, more)
		}
		if played, err := s.Play(ctx, clip(1000, time.Second)); played != 0 || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("with a dead context: %v, %v", played, err)
		}
	})
}

func TestAnotherSoundTakesThePlaceOfTheFirst(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a := w.phone("192.0.2.1:4000", PCMA)
		s := w.open(SessionConfig{})
		a.call(s)
		first := make(chan error, 1)
		go func() {
			_, err := s.Play(context.Background(), clip(500, 10*time.Second))
			first <- err
		}()
		time.Sleep(time.Second)
		if _, err := s.Play(context.Background(), clip(800, time.Second)); err != nil {
			t.Error(err)
		}
		if err := <-first; !errors.Is(err, ErrInterrupted) {
			t.Errorf("first ended with %v", err)
		}
		got := a.heard()
		smooth(t, got)
		a.hears(got, tones, 500, 800)
	})
}

func TestCloseEndsPlayback(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a := w.phone("192.0.2.1:4000", PCMA)
		s := w.open(SessionConfig{})
		a.call(s)
		result := make(chan error, 1)
		go func() {
			_, err := s.Play(context.Background(), clip(500, 10*time.Second))
			result <- err
		}()
		time.Sleep(time.Second)
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if err := <-result; !errors.Is(err, ErrClosed) {
			t.Errorf("ended with %v", err)
		}
		if _, err := s.Play(context.Background(), clip(500, time.Second)); !errors.Is(err, ErrClosed) {
			t.Errorf("play after close: %v", err)
		}
		s.Ringback()()
		_ = s.Close()
	})
}

func TestPlayWaitsForADescriptionAndWhileHeld(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a := w.phone("192.0.2.1:4000", PCMA)
		s := w.open(SessionConfig{})
		type result struct {
			played time.Duration
			err    error
		}
		done := make(chan result, 1)
		begun := time.Now()
		go func() {
			played, err := s.Play(context.Background(), clip(800, 2*time.Second))
			done <- result{played, err}
		}()
		time.Sleep(time.Second)
		a.call(s)
		time.Sleep(time.Second)
		before := a.heard()
		a.call(s, "a=sendonly")
		a.heard()
		time.Sleep(time.Second)
		if n := len(a.heard()); n != 0 {
			t.Errorf("%d packets while held", n)
		}
		a.call(s)
		r := <-done
		if r.err != nil || r.played != 2*time.Second {
			t.Errorf("played %v, %v", r.played, r.err)
		}
		if took := time.Since(begun); took < 3950*time.Millisecond || took > 4100*time.Millisecond {
			t.Errorf("took %v", took)
		}
		after := a.heard()
		if !after[0].Marker || len(before)+len(after) < 99 {
			t.Errorf("marker %v, %d and %d packets", after[0].Marker, len(before), len(after))
		}
	})
}

func TestRingbackIsTheRussianCadence(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a := w.phone("192.0.2.1:4000", PCMU)
		s := w.open(SessionConfig{})
		a.call(s)
		stop := s.Ringback()
		time.Sleep(11 * time.Second)
		stop()
		pcm := a.pcm(a.heard())
		for _, part := range []struct {
			from, to time.Duration
			tone     bool
		}{
			{0, time.Second, true},
			{1100 * time.Millisecond, 4900 * time.Millisecond, false},
			{5100 * time.Millisecond, 5900 * time.Millisecond, true},
			{6100 * time.Millisecond, 9900 * time.Millisecond, false},
			{10100 * time.Millisecond, 10900 * time.Millisecond, true},
		} {
			piece := pcm[samples(part.from):samples(part.to)]
			if got := audiotest.Hears(piece, 425)[425]; got != part.tone || audiotest.Silent(piece) == part.tone {
				t.Errorf("%v to %v: tone %v", part.from, part.to, got)
			}
		}
	})
}

func TestEmptyClipIsPlayedAtOnce(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a := w.phone("192.0.2.1:4000", PCMA)
		s := w.open(SessionConfig{})
		a.call(s)
		if played, err := s.Play(context.Background(), g711.NewClip(nil)); played != 0 || err != nil {
			t.Errorf("%v, %v", played, err)
		}
	})
}

// fakeClock drives a pacer by hand.
func TestPacerCatchesUpAtMostFiveFramesAndKeepsItsSchedule(t *testing.T) {
	var now time.Duration
	c := newPacer(func() time.Duration { return now })
	conn := &countingConn{}
	tx := readySender(conn)
	p := &player{tx: tx, id: 1, clip: clip(500, time.Minute), done: make(chan struct{})}
	tx.play(p)
	c.add(p)
	buf := make([]byte, 1000)
	run := func(until time.Duration) int {
		before := conn.writes
		now = until
		c.turn(buf)
		return conn.writes - before
	}
	if n := run(time.Millisecond); n != 1 {
		t.Errorf("%d packets at the start", n)
	}
	if n := run(20 * time.Millisecond); n != 0 {
		t.Errorf("%d packets early", n)
	}
	if n := run(21 * time.Millisecond); n != 1 {
		t.Errorf("%d packets when due", n)
	}
	if n := run(81 * time.Millisecond); n != 3 {
		t.Errorf("%d packets after 60 ms", n)
	}
	if n := run(5 * time.Second); n < 3 || n > 5 {
		t.Errorf("%d packets after a stall of five seconds", n)
	}
	if n := run(6 * time.Second); n > 5 {
		t.Errorf("%d packets after the second stall", n)
	}
}

func TestPacerSpreadsPlayersAndWaitsWithoutATimerWhenNothingPlays(t *testing.T) {
	var now time.Duration
	c := newPacer(func() time.Duration { return now })
	conn := &countingConn{}
	for range 100 {
		tx := readySender(conn)
		p := &player{tx: tx, clip: clip(500, 40*time.Millisecond), done: make(chan struct{})}
		tx.play(p)
		c.add(p)
	}
	most := 0
	for _, s := range c.slots {
		most = max(most, len(s))
	}
	if most > 50 {
		t.Errorf("%d players in one slot of two", most)
	}
	if _, busy := c.next(); !busy {
		t.Error("not busy")
	}
	buf := make([]byte, 1000)
	for range 100 {
		now += time.Millisecond
		c.turn(buf)
	}
	if _, busy := c.next(); busy || conn.writes != 200 {
		t.Errorf("busy %v after everything was played, %d packets", busy, conn.writes)
	}
}
