package trace

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"perezvon/internal/store"
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
	commit := new(store.Commit)
	p.Data = bytes.Clone(p.Data)
	go func() {
		time.Sleep(s.delay)
		s.mu.Lock()
		if s.err == nil {
			s.parts = append(s.parts, p)
		}
		s.mu.Unlock()
		commit.Settle(s.err)
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
