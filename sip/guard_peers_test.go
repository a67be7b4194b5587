package sip

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestUnansweredInvitesOfATrunkAreBounded(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		g := testGuard(t, Perimeter{})
		in, refused := g.let(trunkAt, 20000, bare("INVITE", "1"))
		if in != inviteBurst || refused != refuseBurst {
			t.Errorf("%d of 20,000 INVITEs at once are taken, %d refused; want %d and %d", in, refused, inviteBurst, refuseBurst)
		}
		in = 0
		for range 32 { // as long as a transaction stays
			time.Sleep(time.Second)
			n, _ := g.let(trunkAt, 1000, bare("INVITE", "1"))
			in += n
		}
		if in != 3200 {
			t.Errorf("%d in the next 32 s, want 3200", in)
		}
		if n, _ := g.let(phoneAt, 10, bare("INVITE", "1")); n != 10 {
			t.Errorf("somebody else's: %d of 10", n)
		}
	})
}

func TestAnsweredInvitesAreNotBounded(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		g := testGuard(t, Perimeter{})
		for range 60 {
			if n, _ := g.let(trunkAt, 1000, bare("INVITE", "1")); n != 1000 {
				t.Fatalf("%d of 1000", n)
			}
			time.Sleep(time.Second)
			for range 1000 {
				g.answered(trunkAt.Addr())
			}
		}
	})
}

func TestOtherRequestsAreBounded(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		g := testGuard(t, Perimeter{})
		g.ours = func(tag []byte) bool { return string(tag) == "ours" }
		inner := func(tag string) []byte {
			return []byte(strings.Replace(string(bare("INFO", "1")), "To: <sip:100@b>", "t : \"x;tag=no\" <sip:100@b;tag=no>;a;TAG="+tag, 1))
		}
		for _, tc := range []struct {
			name string
			p    []byte
			want int
		}{
			{"OPTIONS", bare("OPTIONS", "1"), otherBurst},
			{"a request of a call that is not there", inner("theirs"), 0}, // the same budget
			{"a request of a call", inner("ours"), innerBurst},
		} {
			if in, answered := g.let(trunkAt, 5000, tc.p); in != tc.want || answered != 0 {
				t.Errorf("%s: %d taken, %d answered, want %d and none", tc.name, in, answered, tc.want)
			}
		}
		time.Sleep(time.Second)
		for _, p := range [][]byte{[]byte("SIP/2.0 200 OK\r\n\r\n"), bare("ACK", "1")} {
			if in, _ := g.let(phoneAt, messageBurst/2, p); in != messageBurst/2 {
				t.Errorf("%d of %q", in, p[:20])
			}
		}
		if in, _ := g.let(phoneAt, 1000, bare("ACK", "1")); in != 0 {
			t.Errorf("%d messages beyond the limit", in)
		}
	})
}

func TestOneAddressDoesNotSpendWhatIsThereForAll(t *testing.T) {
	g := testGuard(t, Perimeter{})
	spent := 0
	for i := range 4 { // the networks of the trunk, and more
		in, _ := g.let(netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(16 + i)}), 5060), 2000, bare("OPTIONS", "1"))
		spent += in
	}
	if spent < allOtherBurst || spent > allOtherBurst+100 {
		t.Errorf("%d OPTIONS of all, want %d", spent, allOtherBurst)
	}
}

func TestTooManyCallsAreRefused(t *testing.T) {
	g := testGuard(t, Perimeter{})
	for range maxDialogsPeer {
		g.peers.hold(trunkAt.Addr())
	}
	if in, refused := g.let(trunkAt, 10, bare("INVITE", "1")); in != 0 || refused != 10 {
		t.Errorf("%d calls more than there may be, %d refused", in, refused)
	}
	if in, _ := g.let(phoneAt, 1, bare("INVITE", "1")); in != 1 {
		t.Error("a phone cannot call because of a trunk's calls")
	}
	g.open = func() int { return maxDialogs }
	if in, refused := g.let(phoneAt, 1, bare("INVITE", "1")); in != 0 || refused != 1 {
		t.Error("more calls than there may be")
	}
}

func TestARefusalIsTheSameWhenItsInviteComesAgain(t *testing.T) {
	g := testGuard(t, Perimeter{})
	g.open = func() int { return maxDialogs }
	_, first := g.admits(trunkAt, bare("INVITE", "1"))
	_, again := g.admits(trunkAt, bare("INVITE", "1"))
	_, other := g.admits(trunkAt, bare("INVITE", "2"))
	if len(first) == 0 || string(first) != string(again) {
		t.Errorf("refused with\n%s\nand with\n%s", first, again)
	}
	if tag := string(sniffToTag(first)); tag == "" || tag == string(sniffToTag(other)) {
		t.Errorf("another INVITE is refused with the same tag %q", tag)
	}
}

func TestWhoeverHasAsManyCallsAsThereMayBeCanStillGiveUp(t *testing.T) {
	g := testGuard(t, Perimeter{})
	g.open = func() int { return maxDialogs }
	if in, _ := g.let(trunkAt, 1, bare("CANCEL", "1")); in != 1 {
		t.Error("a CANCEL is dropped: its call takes the place of another")
	}
}

// The first INVITE of a call is under way: a refusal of its repetition would end
// the call for the caller and not for us.
func TestAnInviteThatComesAgainIsNotRefused(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		ring := make(chan struct{})
		b := testAgent(t, func(c *Config) {
			c.Handle = func(_ context.Context, in *Incoming) {
				<-ring
				_ = in.Reject(486, "")
			}
		})
		first := b.carrier.initial("1", "body:"+testSDP)
		b.carrier.send(first)
		b.carrier.expect("100")
		g := b.agent.guard
		from := netip.MustParseAddrPort(carrierAddr)
		g.open = func() int { return maxDialogs }
		if in, refused := g.let(from, 1, []byte(first)); in != 1 || refused != 0 {
			t.Errorf("where there are as many calls as there may be: taken %d, refused %d", in, refused)
		}
		g.open = func() int { return 0 }
		g.let(from, inviteBurst, bare("INVITE", "others"))
		if in, refused := g.let(from, 1, []byte(first)); in != 0 || refused != 0 {
			t.Errorf("beyond the limit: taken %d, refused %d; it should be dropped", in, refused)
		}
		if _, refused := g.let(from, 1, bare("INVITE", "more")); refused != 1 {
			t.Error("another INVITE is not refused")
		}
		close(ring)
		b.carrier.send(b.carrier.of(b.carrier.expect("486"), "ACK", "inv1", 100))
	})
}

func TestStrangersRegisterAtALimitedRate(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		g := testGuard(t, Perimeter{Ignored: -1})
		if in, _ := g.let(stranger, 1000, bare("REGISTER", "1")); in != loginBurst {
			t.Errorf("%d at once, want %d", in, loginBurst)
		}
		time.Sleep(time.Second)
		if in, _ := g.let(stranger, 1000, bare("REGISTER", "1")); in != 20 {
			t.Errorf("%d a second, want 20", in)
		}
		time.Sleep(time.Minute)
		all := 0
		for i := range 1000 {
			in, _ := g.let(netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 18, byte(i >> 8), byte(i)}), 5060), 10, bare("REGISTER", "1"))
			all += in
		}
		if all != allLoginBurst {
			t.Errorf("%d of all at once, want %d", all, allLoginBurst)
		}
	})
}

func TestFloodOfCallsIsRefusedByTheLetter(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := testAgent(t, func(c *Config) {
			c.Handle = func(_ context.Context, in *Incoming) { _ = in.Reject(404, "") }
		})
		statuses := map[string]int{}
		answer := func() {
			for m, ok := b.carrier.read(time.Microsecond); ok; m, ok = b.carrier.read(time.Microsecond) {
				status := strings.Fields(m.start)[1]
				if statuses[status]++; status == "503" && (m.get("Retry-After") != "5" || m.get("CSeq") != "100 INVITE" || m.tag("To") == "" ||
					m.get("Content-Length") != "0" || !strings.Contains(m.get("Via"), "received=10.0.0.9")) {
					t.Fatalf("refused with\n%s", m.raw)
				}
				if status != "100" {
					b.carrier.send(b.carrier.of(m, "ACK", "", 100))
				}
			}
		}
		for i := range 3000 {
			b.carrier.send(b.carrier.initial(fmt.Sprint("f", i), "body:"+testSDP))
			if i%100 == 0 {
				synctest.Wait()
				answer()
			}
		}
		synctest.Wait()
		answer()
		if statuses["503"] < refuseBurst || statuses["503"] > refuseBurst+50 || statuses["404"] < inviteBurst {
			t.Errorf("answers %v", statuses)
		}
		if s := b.agent.Stats(); s.Limited == 0 || s.Incoming != 0 {
			t.Errorf("%+v", s)
		}
	})
}

func TestSourcesAreForgotten(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := testAgent(t, func(c *Config) { c.Trunks[0].Peers = []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16")} })
		ask := func(id string) {
			p := newPeer(t, b.net, "10.1.0."+id+":5060")
			p.send(options(p, "o"+id))
			p.expect("200")
			p.send(options(p, "again"+id)) // with the way that is known
			p.expect("200")
			_ = p.conn.Close()
		}
		for i := range 200 {
			ask(fmt.Sprint(i + 1))
		}
		if n := b.agent.Stats().Peers; n != 201 {
			t.Errorf("%d sources", n)
		}
		for i := range 4 {
			time.Sleep(2*txTimeout + time.Second)
			ask(fmt.Sprint(250 + i))
		}
		if n := b.agent.Stats().Peers; n > 5 {
			t.Errorf("%d sources are remembered", n)
		}
	})
}
