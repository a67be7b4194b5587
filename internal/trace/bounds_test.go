package trace

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

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
		last := func() {
			t.Helper()
			if tr, err := c.Trace(t.Context(), fmt.Sprint(n-1)); err != nil || len(tr.Messages) > 0 || tr.LeftOut == 0 {
				t.Errorf("the last: %d messages, %d left out, %v", len(tr.Messages), tr.LeftOut, err)
			}
		}
		last()
		for i := range n {
			c.Ended(fmt.Sprint(i))
		}
		time.Sleep(2 * linger)
		if held, _ := c.Held(); held != 0 {
			t.Errorf("%d bytes held at the end", held)
		}
		synctest.Wait()
		last()
	})
}
