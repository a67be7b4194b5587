package media

import (
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pion/rtcp"
)

// controlled opens a session with a phone that has an RTCP port.
func controlled(t *testing.T, w *world, lines ...string) (a *phone, s *Session, reports chan []rtcp.Packet, send func(...rtcp.Packet)) {
	t.Helper()
	a = w.phone("192.0.2.1:4000", PCMA)
	conn := w.net.MustListen("192.0.2.1:4001")
	s = w.open(SessionConfig{})
	a.call(s, lines...)
	reports = make(chan []rtcp.Packet, 100)
	a.wg.Go(func() {
		buf := make([]byte, 2000)
		for {
			n, _, err := conn.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			packets, err := rtcp.Unmarshal(buf[:n])
			if err != nil {
				t.Error(err)
			}
			reports <- packets
		}
	})
	go func() {
		<-a.stop
		_ = conn.Close()
	}()
	to := netip.AddrPortFrom(engineIP, s.Port()+1)
	return a, s, reports, func(p ...rtcp.Packet) {
		b, err := rtcp.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = conn.WriteToUDPAddrPort(b, to)
	}
}

func TestReportsTellWhatIsReceivedAndSent(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, s, reports, send := controlled(t, w)
		a.hum(500)
		time.Sleep(100 * time.Millisecond)
		send(&rtcp.SenderReport{SSRC: a.ssrc, NTPTime: 0x0000_1234_5678_0000})
		stop := s.Ringback()
		first := <-reports
		sr, ok := first[0].(*rtcp.SenderReport)
		if !ok || sr.SSRC != s.Stats().SSRCOut || sr.PacketCount < 100 || len(sr.Reports) != 1 {
			t.Fatalf("%v", first)
		}
		if r := sr.Reports[0]; r.SSRC != a.ssrc || r.LastSenderReport != 0x12345678 || r.Delay == 0 || r.TotalLost != 0 {
			t.Errorf("%+v", r)
		}
		if d, ok := first[1].(*rtcp.SourceDescription); !ok || d.Chunks[0].Items[0].Text == "" {
			t.Errorf("no name in %v", first[1])
		}
		stop()
		<-reports
		if _, ok := (<-reports)[0].(*rtcp.ReceiverReport); !ok {
			t.Error("a sender report from one who sends nothing")
		}
		_ = s.Close()
		last := <-reports
		if _, ok := last[len(last)-1].(*rtcp.Goodbye); !ok {
			t.Errorf("no goodbye in %v", last)
		}
	})
}

func TestReportsComeEveryFiveSecondsOrSo(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		_, _, reports, _ := controlled(t, w)
		time.Sleep(60 * time.Second)
		if n := len(reports); n < 7 || n > 24 {
			t.Errorf("%d reports in a minute", n)
		}
	})
}

func TestRoundTripAndOutgoingLossComeFromTheOtherSidesReport(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		_, s, reports, send := controlled(t, w)
		defer s.Ringback()()
		if st := s.Stats(); st.RoundTrip != nil || st.LostOut != nil || st.Lost != nil || st.Jitter != nil {
			t.Errorf("measured before anything came: %+v", st)
		}
		sr := (<-reports)[0].(*rtcp.SenderReport)
		time.Sleep(1230 * time.Millisecond)
		send(&rtcp.ReceiverReport{SSRC: 5, Reports: []rtcp.ReceptionReport{
			{SSRC: 77, TotalLost: 99},
			{SSRC: sr.SSRC, TotalLost: 3, LastSenderReport: uint32(sr.NTPTime >> 16), Delay: 1 << 16},
		}})
		synctest.Wait()
		st := s.Stats()
		if st.RoundTrip == nil || *st.RoundTrip < 229*time.Millisecond || *st.RoundTrip > 231*time.Millisecond {
			t.Errorf("round trip %v", st.RoundTrip)
		}
		if st.LostOut == nil || *st.LostOut != 3 {
			t.Errorf("lost %v", st.LostOut)
		}
	})
}

func TestMuxedReportsUseTheSoundsPort(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a := w.phone("192.0.2.1:4000", PCMA)
		s := w.open(SessionConfig{})
		a.call(s, "a=rtcp-mux")
		a.close()
		c := w.net.MustListen("192.0.2.1:4000")
		defer c.Close()
		silence := watched(s)
		b, err := rtcp.Marshal([]rtcp.Packet{&rtcp.ReceiverReport{SSRC: 5}})
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			_, _ = c.WriteToUDPAddrPort(b, netip.AddrPortFrom(engineIP, s.Port()))
			time.Sleep(3 * time.Second)
		}
		if closed(silence.noAudio) {
			t.Error("muxed reports are no sign of life")
		}
		buf := make([]byte, 1500)
		_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
		n, from, err := c.ReadFromUDPAddrPort(buf)
		if err != nil || !isRTCP(buf[:n]) || from.Port() != s.Port() {
			t.Errorf("%v from %v: % x", err, from, buf[:n])
		}
	})
}

func TestLossAndJitterByRFC3550(t *testing.T) {
	var r reception
	now := time.Second
	feed := func(seq int, ts int) {
		p := packet{data: make([]byte, 172), kind: kindALaw, seq: uint16(seq), ts: uint32(ts), ssrc: 1}
		r.packet(&p, now)
		now += 20 * time.Millisecond
	}
	lost := func() int64 {
		var st Stats
		r.stats(&st)
		return *st.Lost
	}
	for i := range 100 { // across the wrap
		feed(65500+i, i*160)
	}
	if n := lost(); n != 0 {
		t.Errorf("%d lost of an unbroken stream", n)
	}
	for i := 110; i < 150; i++ {
		feed(65500+i, i*160)
	}
	if n := lost(); n != 10 {
		t.Errorf("%d lost, want 10", n)
	}
	feed(65500+105, 105*160) // late
	if n := lost(); n != 9 {
		t.Errorf("%d lost after a late packet, want 9", n)
	}
	feed(20000, 0) // a stray
	feed(65500+150, 150*160)
	if n := lost(); n != 9 {
		t.Errorf("%d lost after a stray, want 9", n)
	}
	feed(40000, 0) // begins anew
	feed(40001, 160)
	feed(40002, 320)
	if n := lost(); n != 9 {
		t.Errorf("%d lost after a restart, want 9", n)
	}
	if b := r.blocks(now); b[0].LastSequenceNumber != 40002 {
		t.Errorf("%+v", b)
	}

	// Every second packet 10 ms late: the estimate settles near 10 ms.
	var j reception
	now = time.Second
	for i := range 1000 {
		late := time.Duration(i%2) * 10 * time.Millisecond
		p := packet{data: make([]byte, 172), kind: kindALaw, seq: uint16(i), ts: uint32(i * 160), ssrc: 1}
		j.packet(&p, now+late)
		now += 20 * time.Millisecond
	}
	var st Stats
	j.stats(&st)
	if *st.Jitter < 9*time.Millisecond || *st.Jitter > 11*time.Millisecond {
		t.Errorf("jitter %v", *st.Jitter)
	}
}

func TestReportThatWasKeptDoesNotMakeTheSoundAfterItOlder(t *testing.T) {
	s, _ := leg(PCMA)
	buf := make([]byte, headerLen+160)
	putHeader(buf, PCMA.Payload(), false, 1, 160, 99)
	s.handleRTP(buf, peerAddr, 10*time.Second)
	report, err := rtcp.Marshal([]rtcp.Packet{&rtcp.ReceiverReport{SSRC: 99}})
	if err != nil {
		t.Fatal(err)
	}
	for came, want := range map[time.Duration]time.Duration{9 * time.Second: 10 * time.Second, 11 * time.Second: 11 * time.Second} {
		s.life.Store(int64(10 * time.Second))
		s.handleRTCP(report, peerAddr, came)
		if got := time.Duration(s.life.Load()); got != want {
			t.Errorf("a report of %v, sound of 10 s: the last sign of life is of %v", came, got)
		}
	}
}

func TestReportsFollowAPartyThatMoves(t *testing.T) {
	inWorld(t, func(t *testing.T, w *world) {
		a, s, reports, send := controlled(t, w)
		send(&rtcp.ReceiverReport{SSRC: a.ssrc})
		<-reports
		moved := w.phone("192.0.2.9:6000", PCMA)
		control := w.net.MustListen("192.0.2.9:6001")
		defer control.Close()
		moved.call(s)
		time.Sleep(10 * time.Second)
		if n := len(reports); n != 0 {
			t.Errorf("%d reports went to the address before", n)
		}
		_ = control.SetReadDeadline(time.Now().Add(time.Second))
		if _, _, err := control.ReadFromUDPAddrPort(make([]byte, 2000)); err != nil {
			t.Errorf("none went to the new one: %v", err)
		}
	})
}

// aged is a socket with one report of a certain age.
type aged struct {
	report []byte
	age    time.Duration
}

func (*aged) keep() error { return nil }

func (a *aged) collect(_ *sync.Pool, handle func([]byte, netip.AddrPort, time.Duration)) {
	handle(slices.Clone(a.report), peerAddr, a.age)
}

func TestClockThatIsSetMakesNoReportOlderThanTheLastLook(t *testing.T) {
	report, err := rtcp.Marshal([]rtcp.Packet{&rtcp.ReceiverReport{SSRC: 99}})
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		s, _ := leg(PCMA)
		for age, want := range map[time.Duration]time.Duration{300 * time.Millisecond: 300 * time.Millisecond, time.Hour: time.Second} {
			s.kept = &aged{report, age}
			time.Sleep(time.Hour)
			s.collectRTCP(s.engine.now())
			time.Sleep(time.Second)
			s.life.Store(0)
			s.collectRTCP(s.engine.now())
			if got := s.engine.now() - time.Duration(s.life.Load()); got != want {
				t.Errorf("a report of %v is %v old", age, got)
			}
		}
	})
}
