package trace

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"perezvon/internal/store"
	"perezvon/media"
	"perezvon/sip"
)

// shelf is a Store in memory.
type shelf struct {
	mu    sync.Mutex
	parts []store.TracePart // guarded by mu
	delay time.Duration     // of a commit
	err   error
}

func (s *shelf) SaveTrace(p store.TracePart) *store.Commit {
	commit, settle := store.NewCommit()
	p.Data = bytes.Clone(p.Data)
	go func() {
		time.Sleep(s.delay)
		s.mu.Lock()
		if s.err == nil {
			s.parts = append(s.parts, p)
		}
		s.mu.Unlock()
		settle(s.err)
	}()
	return commit
}

func (s *shelf) Traces(_ context.Context, callID string) (all []store.TracePart, _ error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.parts {
		if p.CallID == callID {
			all = append(all, p)
		}
	}
	return all, nil
}

func (s *shelf) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.parts)
}

var (
	ours   = netip.MustParseAddrPort("10.0.0.1:5060")   //nolint:gochecknoglobals // a constant
	theirs = netip.MustParseAddrPort("192.0.2.10:5060") //nolint:gochecknoglobals // a constant
)

// collecting runs a test with a collector under virtual time.
func collecting(t *testing.T, f func(t *testing.T, c *Collector, s *shelf)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &shelf{}
		c := New(Config{Store: s, Facing: func(netip.Addr) netip.Addr { return netip.MustParseAddr("10.0.0.7") }})
		defer c.Close()
		f(t, c, s)
	})
}

// told gives a message to the collector.
func (c *Collector) told(sent bool, callID, raw string) {
	c.Message(sip.Message{At: time.Now(), Sent: sent, Transport: "udp", Local: ours, Remote: theirs, CallID: []byte(callID), Data: []byte(raw)})
}

func ref(call, leg string) sip.DialogRef { return sip.DialogRef{Call: call, Leg: leg} }

func request(method, callID string) string {
	return method + " sip:100@192.0.2.10 SIP/2.0\r\nCall-ID: " + callID + "\r\nCSeq: 1 " + method + "\r\n\r\n"
}

func response(status, callID string) string {
	return "SIP/2.0 " + status + "\r\nCall-ID: " + callID + "\r\nCSeq: 1 INVITE\r\n\r\n"
}

// starts are the first words of a trace's messages.
func starts(t *testing.T, c *Collector, call string) string {
	t.Helper()
	tr, err := c.Trace(t.Context(), call)
	if errors.Is(err, ErrNone) {
		return "none"
	}
	if err != nil {
		t.Fatal(err)
	}
	var words []string
	for _, m := range tr.Messages {
		w, _, _ := strings.Cut(strings.TrimPrefix(string(m.Data), "SIP/2.0 "), " ")
		words = append(words, arrow(m.Sent)+w)
	}
	return strings.Join(words, " ")
}

func arrow(sent bool) string {
	if sent {
		return ">"
	}
	return "<"
}

func want(t *testing.T, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestCallIsStoredWhenItHasEnded(t *testing.T) {
	collecting(t, func(t *testing.T, c *Collector, s *shelf) {
		c.told(true, "other", request("OPTIONS", "other"))
		c.Bind("out", ref("call", "leg"))
		c.told(true, "out", request("INVITE", "out"))
		c.told(false, "out", response("200 OK", "out"))
		want(t, starts(t, c, "call"), ">INVITE <200")
		time.Sleep(time.Hour)
		if s.count() > 0 {
			t.Fatal("stored while it lasts")
		}
		c.Ended("call")
		c.Ended("call") // a save that is repeated says so again
		time.Sleep(linger / 2)
		c.told(false, "out", response("200 OK", "out"))
		want(t, starts(t, c, "call"), ">INVITE <200 <200")
		time.Sleep(linger)
		synctest.Wait()
		want(t, starts(t, c, "call"), ">INVITE <200 <200")
		c.told(false, "out", response("200 OK", "out")) // much too late
		want(t, starts(t, c, "call"), ">INVITE <200 <200")
		want(t, starts(t, c, "nobody"), "none")
		if held, unbound := c.Held(); s.count() != 1 || held != 0 || unbound != 0 {
			t.Errorf("%d parts, %d and %d bytes held", s.count(), held, unbound)
		}
		tr, _ := c.Trace(t.Context(), "call")
		if m := tr.Messages[0]; m.Leg != "leg" || m.Local != ours || m.Remote != theirs || m.Transport != "udp" || m.Size != len(m.Data) || m.At.IsZero() {
			t.Errorf("%+v", m)
		}
	})
}

func TestInviteThatComesIsKeptUntilItsCallIsKnown(t *testing.T) {
	collecting(t, func(t *testing.T, c *Collector, _ *shelf) {
		c.told(false, "in", request("INVITE", "in"))
		c.told(true, "in", response("100 Trying", "in"))
		c.told(false, "never", request("INVITE", "never"))
		c.told(false, "unknown", request("BYE", "unknown"))
		c.told(true, "unknown", response("481 Call Does Not Exist", "unknown"))
		c.Bind("in", ref("call", ""))
		c.told(true, "in", response("180 Ringing", "in"))
		c.Bind("in", ref("call", "leg"))
		want(t, starts(t, c, "call"), "<INVITE >100 >180")
		tr, _ := c.Trace(t.Context(), "call")
		if tr.Messages[0].Leg != "leg" {
			t.Errorf("%+v", tr.Messages[0])
		}
		if _, unbound := c.Held(); unbound != len(request("INVITE", "never")) {
			t.Errorf("%d bytes of what is no call", unbound)
		}
	})
}

// Whoever sends INVITEs that never become calls fills a bounded memory.
func TestWhatIsNoCallIsBounded(t *testing.T) {
	collecting(t, func(t *testing.T, c *Collector, _ *shelf) {
		body := strings.Repeat("x", 4000)
		for n := range 2000 {
			id := fmt.Sprint("flood", n)
			c.told(false, id, request("INVITE", id)+body)
			c.told(true, id, response("401 Unauthorized", id))
			if n%10 == 0 {
				time.Sleep(time.Millisecond)
			}
		}
		for range 100 { // one that goes on and on
			c.told(false, "long", request("INVITE", "long")+body)
		}
		held, unbound := c.Held()
		if held != 0 || unbound > maxUnbound || unbound < maxUnbound/2 || len(c.unbound.byID) > maxUnbound/4000 || len(c.unbound.byID) != len(c.unbound.order) {
			t.Errorf("%d bytes of calls, %d of %d others (%d in order)", held, unbound, len(c.unbound.byID), len(c.unbound.order))
		}
		if one := c.unbound.byID["long"]; one == nil || one.bytes > maxUnboundOne {
			t.Errorf("%+v", one)
		}
		c.Bind("flood1999", ref("call", "leg")) // the last of the flood is still there
		want(t, starts(t, c, "call"), "<INVITE >401")
		time.Sleep(2 * unboundTime)
		c.told(false, "next", request("INVITE", "next"))
		if _, unbound := c.Held(); unbound != len(request("INVITE", "next")) {
			t.Errorf("%d bytes after a while", unbound)
		}
	})
}

func TestFirstAndLastMessagesOfALongCallAreKept(t *testing.T) {
	collecting(t, func(t *testing.T, c *Collector, _ *shelf) {
		c.Bind("id", ref("call", "leg"))
		for n := range 500 {
			c.told(n%2 == 0, "id", fmt.Sprintf("M%03d sip:x SIP/2.0\r\nCall-ID: id\r\n\r\n", n))
			time.Sleep(time.Second)
		}
		check := func() {
			t.Helper()
			tr, err := c.Trace(t.Context(), "call")
			if err != nil || len(tr.Messages) != MaxMessages || tr.LeftOut != 500-MaxMessages {
				t.Fatalf("%d messages, %d left out, error %v", len(tr.Messages), tr.LeftOut, err)
			}
			for i, m := range tr.Messages {
				n := i
				if i >= MaxMessages/2 {
					n += 500 - MaxMessages
				}
				if !bytes.HasPrefix(m.Data, fmt.Appendf(nil, "M%03d ", n)) {
					t.Fatalf("message %d is %s", i, m.Data)
				}
			}
			if !tr.Gap.After(tr.Messages[MaxMessages/2-1].At) || !tr.Gap.Before(tr.Messages[MaxMessages/2].At) {
				t.Errorf("the gap begins at %v", tr.Gap)
			}
		}
		check()
		c.Ended("call")
		time.Sleep(2 * linger)
		synctest.Wait()
		check()
	})
}

func TestLargeMessagesAreBounded(t *testing.T) {
	collecting(t, func(t *testing.T, c *Collector, _ *shelf) {
		c.Bind("id", ref("call", "leg"))
		large := "INVITE sip:x SIP/2.0\r\nX: " + strings.Repeat("y", 60000) + "\r\n\r\n"
		for range 300 {
			c.told(false, "id", large)
		}
		if held, _ := c.Held(); held > MaxBytes || held < MaxBytes/2 {
			t.Errorf("%d bytes held", held)
		}
		tr, err := c.Trace(t.Context(), "call")
		if err != nil || len(tr.Messages)+tr.LeftOut != 300 {
			t.Fatalf("%d messages, %d left out, error %v", len(tr.Messages), tr.LeftOut, err)
		}
		if m := tr.Messages[0]; m.Size != len(large) || !m.Cut() || len(m.Data) > MaxMessage {
			t.Errorf("%d of %d bytes", len(m.Data), m.Size)
		}
	})
}

func TestMemoryOfAllCallsIsBounded(t *testing.T) {
	collecting(t, func(t *testing.T, c *Collector, _ *shelf) {
		large := "INVITE sip:x SIP/2.0\r\nX: " + strings.Repeat("y", MaxMessage) + "\r\n\r\n"
		n := maxHeld/MaxBytes + 20
		for i := range n {
			id := fmt.Sprint(i)
			c.Bind(id, ref(id, ""))
			for range MaxBytes / MaxMessage {
				c.told(true, id, large)
			}
		}
		held, _ := c.Held()
		if held > maxHeld || held < maxHeld-MaxMessage {
			t.Errorf("%d bytes held", held)
		}
		if tr, err := c.Trace(t.Context(), fmt.Sprint(n-1)); err != nil || len(tr.Messages) > 0 || tr.LeftOut == 0 {
			t.Errorf("the last: %d messages, %d left out, %v", len(tr.Messages), tr.LeftOut, err)
		}
		for i := range n {
			c.Ended(fmt.Sprint(i))
		}
		time.Sleep(2 * linger)
		if held, _ := c.Held(); held != 0 {
			t.Errorf("%d bytes held at the end", held)
		}
	})
}

func TestCallThatWaitsIsStoredInParts(t *testing.T) {
	collecting(t, func(t *testing.T, c *Collector, s *shelf) {
		c.Bind("one", ref("call", "a"))
		c.told(true, "one", request("INVITE", "one"))
		c.Rests("call")
		time.Sleep(linger / 2)
		c.Bind("two", ref("call", "b")) // goes on at once
		c.told(true, "two", request("INVITE", "two"))
		time.Sleep(2 * linger)
		if s.count() != 0 {
			t.Fatal("stored although it went on")
		}
		c.Rests("call")
		time.Sleep(2 * linger)
		if held, _ := c.Held(); s.count() != 1 || held != 0 {
			t.Fatalf("%d parts, %d bytes held", s.count(), held)
		}
		time.Sleep(time.Hour)
		c.Bind("three", ref("call", "c"))
		c.told(true, "three", request("CANCEL", "three"))
		want(t, starts(t, c, "call"), ">INVITE >INVITE >CANCEL")
		c.Rests("call")
		c.Ended("call") // for somebody has cancelled it
		time.Sleep(2 * linger)
		want(t, starts(t, c, "call"), ">INVITE >INVITE >CANCEL")
		if s.count() != 2 {
			t.Errorf("%d parts", s.count())
		}
	})
}

// What a crash loses: the calls in progress, and nothing else.
func TestOrderlyEndStoresEverything(t *testing.T) {
	collecting(t, func(t *testing.T, c *Collector, s *shelf) {
		s.delay = 10 * time.Millisecond
		for n := range 20 {
			id := fmt.Sprint(n)
			c.Bind(id, ref(id, ""))
			c.told(true, id, request("INVITE", id))
			if n%2 == 0 {
				c.Ended(id)
			}
		}
		time.Sleep(2 * linger)
		if s.count() != 10 {
			t.Errorf("%d calls are in the store", s.count())
		}
		c.Close()
		c.Close()
		if s.count() != 20 {
			t.Errorf("%d calls are in the store after the end", s.count())
		}
		c.told(true, "1", request("BYE", "1"))
		c.Bind("late", ref("late", ""))
		c.Ended("1")
		want(t, starts(t, c, "1"), ">INVITE")
	})
}

func TestTraceIsWholeWhileItIsBeingStored(t *testing.T) {
	collecting(t, func(t *testing.T, c *Collector, s *shelf) {
		s.delay = time.Minute
		c.Bind("id", ref("call", ""))
		c.told(true, "id", request("INVITE", "id")+"Authorization: Basic c2VjcmV0\r\n")
		c.Ended("call")
		for range 100 {
			want(t, starts(t, c, "call"), ">INVITE")
			time.Sleep(time.Second)
		}
		if s.count() != 1 {
			t.Errorf("%d parts", s.count())
		}
		s.err = errors.New("the disk is full")
		c.Bind("id2", ref("call2", ""))
		c.told(true, "id2", request("INVITE", "id2"))
		c.Ended("call2")
		time.Sleep(2 * time.Minute)
		c.mu.Lock()
		defer c.mu.Unlock()
		if len(c.saving)+len(c.calls)+len(c.dialogs)+len(c.ports) != 0 || c.held != 0 {
			t.Errorf("left: %v %v %v %v, %d bytes", c.saving, c.calls, c.dialogs, c.ports, c.held)
		}
	})
}

// A provider may send our own call back to us under its own Call-ID.
func TestCallThatComesBackIsInBothTraces(t *testing.T) {
	collecting(t, func(t *testing.T, c *Collector, _ *shelf) {
		c.Bind("same", ref("out", "a"))
		c.told(true, "same", request("INVITE", "same"))
		c.told(false, "same", request("INVITE", "same"))
		c.Bind("same", ref("in", "b"))
		c.told(true, "same", response("180 Ringing", "same"))
		want(t, starts(t, c, "out"), ">INVITE <INVITE >180")
		want(t, starts(t, c, "in"), ">INVITE <INVITE >180")
		c.Ended("out")
		time.Sleep(2 * linger)
		c.told(false, "same", request("CANCEL", "same"))
		want(t, starts(t, c, "out"), ">INVITE <INVITE >180")
		want(t, starts(t, c, "in"), ">INVITE <INVITE >180 <CANCEL")
	})
}

func TestMilestonesAreFoundByThePortThatWasOffered(t *testing.T) {
	collecting(t, func(t *testing.T, c *Collector, _ *shelf) {
		sdp := "v=0\r\nm=audio 20000 RTP/AVP 8\r\n"
		at := func(kind media.MilestoneKind, port uint16) {
			c.Media(media.Milestone{At: time.Now(), Port: port, Kind: kind, Codec: media.PCMA})
		}
		c.Bind("one", ref("call", "leg"))
		at(media.Locked, 20000) // of an earlier call
		c.told(false, "one", request("INVITE", "one")+strings.Replace(sdp, "20000", "4000", 1))
		c.told(true, "one", response("200 OK", "one")+sdp)
		at(media.Agreed, 20000)
		at(media.Locked, 4000) // their port is not ours
		for range 2 * MaxMilestones {
			at(media.Digit, 20000)
		}
		tr, err := c.Trace(t.Context(), "call")
		if err != nil || len(tr.Milestones) != MaxMilestones {
			t.Fatalf("%d milestones, error %v", len(tr.Milestones), err)
		}
		if m := tr.Milestones[0]; m.Kind != KindAgreed || m.Leg != "leg" || m.Port != 20000 || m.Text != "PCMA" {
			t.Errorf("%+v", m)
		}
		c.Ended("call")
		c.Bind("two", ref("next", "other")) // has the port now
		c.told(true, "two", request("INVITE", "two")+sdp)
		time.Sleep(2 * linger)
		at(media.Locked, 20000)
		if tr, err := c.Trace(t.Context(), "next"); err != nil || len(tr.Milestones) != 1 || tr.Milestones[0].Leg != "other" {
			t.Errorf("%+v, %v", tr.Milestones, err)
		}
	})
}

func TestCallWhoseEndNobodyTellsIsStored(t *testing.T) {
	collecting(t, func(t *testing.T, c *Collector, s *shelf) {
		c.Bind("id", ref("call", ""))
		c.told(true, "id", request("INVITE", "id"))
		time.Sleep(forgotten)
		if s.count() != 0 {
			t.Error("stored too early")
		}
		time.Sleep(2 * sweepEach)
		if held, _ := c.Held(); s.count() != 1 || held != 0 {
			t.Errorf("%d parts, %d bytes held", s.count(), held)
		}
	})
}

func TestSecretsDoNotReachTheStore(t *testing.T) {
	collecting(t, func(t *testing.T, c *Collector, s *shelf) {
		c.Bind("id", ref("call", ""))
		raw := "INVITE sip:x SIP/2.0\r\nCall-ID: id\r\nAuthorization: Digest username=\"a\", response=\"Hunter2Hunter2\"\r\n"
		raw += "Content-Type: application/sdp\r\n\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:Hunter2Hunter2\r\n"
		c.Message(sip.Message{At: time.Now(), Sent: true, Transport: "udp", Local: netip.MustParseAddrPort("0.0.0.0:5060"), Remote: theirs, CallID: []byte("id"), Data: []byte(raw)})
		during, _ := c.Trace(t.Context(), "call")
		c.Ended("call")
		time.Sleep(2 * linger)
		synctest.Wait()
		p, err := unpack(s.parts[0].Data)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range []Message{during.Messages[0], p.Messages[0]} {
			if bytes.Contains(m.Data, []byte("unter")) || !bytes.Contains(m.Data, []byte("AES_CM_128")) {
				t.Errorf("%s", m.Data)
			}
			if m.Local.String() != "10.0.0.7:5060" {
				t.Errorf("our address is %v", m.Local)
			}
		}
	})
}

func TestManyCallsAtOnce(t *testing.T) {
	s := &shelf{}
	c := New(Config{Store: s})
	const calls, messages = 50, 40
	var wg sync.WaitGroup
	for n := range calls {
		wg.Go(func() {
			id := fmt.Sprint("call", n)
			for i := range messages {
				sipID := fmt.Sprint("sip", n, "-", i%4)
				if i < 4 {
					c.told(false, sipID, request("INVITE", sipID))
					c.Bind(sipID, ref(id, fmt.Sprint(i)))
					continue
				}
				c.told(true, sipID, response("200 OK", sipID))
			}
			for range 20 {
				if _, err := c.Trace(context.Background(), id); err != nil {
					t.Error(err)
				}
			}
			c.Ended(id)
		})
	}
	wg.Wait()
	c.Close()
	for n := range calls {
		tr, err := c.Trace(t.Context(), fmt.Sprint("call", n))
		if err != nil || len(tr.Messages) != messages {
			t.Fatalf("call %d: %d messages, error %v", n, len(tr.Messages), err)
		}
		for _, m := range tr.Messages {
			if !bytes.Contains(m.Data, fmt.Appendf(nil, "\r\nCall-ID: sip%d-", n)) {
				t.Errorf("call %d has a message of another:\n%s", n, m.Data)
			}
		}
	}
	if held, unbound := c.Held(); held != 0 || unbound != 0 {
		t.Errorf("%d and %d bytes held", held, unbound)
	}
}

func FuzzUnpack(f *testing.F) {
	p := newPacker()
	data, err := p.pack(&part{ID: 1, Trace: Trace{Messages: []Message{{Data: []byte("INVITE"), Local: ours}, {Data: []byte("x")}}, LeftOut: 3}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(bytes.Clone(data))
	f.Add([]byte{version})
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := unpack(data)
		if err != nil {
			return
		}
		again, err := newPacker().pack(&p)
		if err != nil {
			t.Fatal(err)
		}
		q, err := unpack(again)
		if err != nil || len(q.Messages) != len(p.Messages) || q.LeftOut != p.LeftOut {
			t.Fatalf("%v: %+v became %+v", err, p, q)
		}
	})
}

// BenchmarkCall is what the trace of a call of 20 messages costs until it is
// handed to the store, and how large it is there.
func BenchmarkCall(b *testing.B) {
	s := &shelf{}
	c := New(Config{Store: s})
	defer c.Close()
	packer := newPacker()
	stored := 0
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		id := strconv.Itoa(n)
		c.Bind(id, ref(id, "leg"))
		for i, raw := range benchMessages {
			c.Message(sip.Message{At: time.Now(), Sent: i%2 == 0, Transport: "udp", Local: ours, Remote: theirs, CallID: []byte(id), Data: raw})
		}
		c.mu.Lock()
		k := c.calls[id]
		p := c.part(k)
		c.drop(k)
		c.mu.Unlock()
		c.clean(&p, nil)
		data, err := packer.pack(&p)
		if err != nil {
			b.Fatal(err)
		}
		stored = len(data)
	}
	b.ReportMetric(float64(stored), "stored-B")
}

// BenchmarkMessage is what a message costs its path.
func BenchmarkMessage(b *testing.B) {
	c := New(Config{Store: &shelf{}})
	defer c.Close()
	m := sip.Message{At: time.Now(), Transport: "udp", Local: ours, Remote: theirs, CallID: []byte("id"), Data: benchMessages[0]}
	c.Bind("id", ref("call", "leg"))
	b.ReportAllocs()
	for b.Loop() {
		c.Message(m)
	}
}

// benchMessages are those of a call with two legs, as they are in size.
var benchMessages = func() (all [][]byte) { //nolint:gochecknoglobals // a constant
	sdp := "v=0\r\no=- 1 1 IN IP4 10.0.0.2\r\ns=-\r\nc=IN IP4 10.0.0.2\r\nt=0 0\r\nm=audio 4000 RTP/AVP 8 0 101\r\na=rtpmap:8 PCMA/8000\r\n" +
		"a=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=sendrecv\r\na=ptime:20\r\n"
	head := "Contact: <sip:101@10.0.0.2:5060>\r\nAllow: INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE\r\nUser-Agent: Perezvon/1.2.3"
	for i := range 20 {
		raw := message(head, "", "")
		if i%5 == 0 {
			raw = message(head, "application/sdp", sdp)
		}
		all = append(all, []byte(strings.ReplaceAll(raw, "z9hG4bK1", fmt.Sprintf("z9hG4bK%032x", i*i*i*7919+i))))
	}
	return all
}()
