package sip

import (
	"encoding/binary"
	"net/netip"
	"strings"
	"testing"
	"time"

	"perezvon/internal/memnet"
)

const stunAddr = "203.0.113.99:3478"

// stunServer answers Binding requests until its socket is closed. Change may
// make something else of an answer; nil: nothing.
func stunServer(t *testing.T, n *memnet.Net, change func(answer []byte, nth int) []byte) (asked func() int) {
	t.Helper()
	conn := n.MustListen(stunAddr)
	count := make(chan int, 1)
	count <- 0
	done := make(chan struct{})
	go func() {
		defer close(done)
		buf := make([]byte, 1500)
		for {
			size, from, err := conn.ReadFromUDPAddrPort(buf)
			if err != nil {
				return
			}
			nth := <-count + 1
			count <- nth
			answer := bindingAnswer(buf[:size], from, stunXORMapped)
			if change != nil {
				answer = change(answer, nth)
			}
			if answer != nil {
				_, _ = conn.WriteToUDPAddrPort(answer, from)
			}
		}
	}()
	t.Cleanup(func() {
		_ = conn.Close()
		<-done
	})
	return func() int { n := <-count; count <- n; return n }
}

// bindingAnswer is what a STUN server says that was asked from an address.
func bindingAnswer(request []byte, from netip.AddrPort, attribute uint16) []byte {
	ip, port := binary.BigEndian.Uint32(from.Addr().AsSlice()), from.Port()
	if attribute == stunXORMapped {
		ip, port = ip^stunCookie, port^uint16(stunCookie>>16)
	}
	p := binary.BigEndian.AppendUint16(nil, stunSuccess)
	p = binary.BigEndian.AppendUint16(p, 8+12)
	p = append(p, request[4:20]...)
	p = append(p, 0x80, 0x22, 0, 3, 'l', 'a', 'b', 0) // SOFTWARE, padded
	p = binary.BigEndian.AppendUint16(p, attribute)
	p = append(p, 0, 8, 0, 1)
	p = binary.BigEndian.AppendUint16(p, port)
	return binary.BigEndian.AppendUint32(p, ip)
}

// stunned has a STUN server to ask, and trunks on the Internet that say nothing
// of where they see us.
func stunned(t *testing.T, change func([]byte, int) []byte) (b *bed, asked func() int) {
	t.Helper()
	b = testAgent(t, func(c *Config) {
		c.STUN = "203.0.113.99"
		c.Trunks = append(c.Trunks, Trunk{Name: "far", Host: "203.0.113.1"})
	}, func(n *memnet.Net) {
		n.Translate(netip.MustParseAddrPort(agentAddr), netip.MustParseAddrPort(outerAddr))
		asked = stunServer(t, n, change)
	})
	return b, asked
}

func TestPublicAddressIsWhatSTUNSays(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b, asked := stunned(t, nil)
		time.Sleep(moment)
		if got := localIP(t, b.agent, "far") + " " + localIP(t, b.agent, "carrier"); got != "198.51.100.7 10.0.0.1" {
			t.Errorf("sound is expected at %s", got)
		}
		far := newPeer(t, b.net, "203.0.113.1:5060")
		b.invite(t.Context(), Invite{Target: Target{Trunk: "far"}})
		if got := far.expect("INVITE").get("Contact"); got != "<sip:anonymous@"+outerAddr+">" {
			t.Errorf("Contact %s", got)
		}
		b.net.Translate(netip.MustParseAddrPort(agentAddr), netip.MustParseAddrPort("198.51.100.8:5"))
		time.Sleep(stunEvery)
		if got := localIP(t, b.agent, "far"); got != "198.51.100.8" {
			t.Errorf("the address has changed, and it is %s", got)
		}
		if n := asked(); n != 2 {
			t.Errorf("the server was asked %d times", n)
		}
		if s := b.agent.Stats(); s.Garbage != 0 {
			t.Errorf("answers count as garbage: %+v", s)
		}
	})
}

func TestSTUNServerThatIsLostNowAndThen(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b, asked := stunned(t, func(answer []byte, nth int) []byte {
			switch nth {
			case 1:
				return nil
			case 2: // somebody else's answer
				answer[19]++
			case 3: // a private address
				return append(answer[:28:28], bindingAnswer(append([]byte{0, 0, 0, 0}, answer[4:20]...), netip.MustParseAddrPort("10.1.1.1:1"), stunXORMapped)[28:]...)
			}
			return answer
		})
		time.Sleep(3*time.Second + moment)
		if got := localIP(t, b.agent, "far"); got != "10.0.0.1" || asked() != 3 {
			t.Errorf("after %d questions it is %s", asked(), got)
		}
		if all := b.agent.Unresolved(); len(all) != 1 || !strings.Contains(all[0], "the answer is no public address: 10.1.1.1") || !strings.Contains(all[0], "check sip.public_ip") {
			t.Errorf("problems: %q", all)
		}
		time.Sleep(stunAgain)
		if got := localIP(t, b.agent, "far"); got != "198.51.100.7" || len(b.agent.Unresolved()) != 0 {
			t.Errorf("at last it is %s, problems: %q", got, b.agent.Unresolved())
		}
	})
}

func TestSTUNAnswersOfStrangersAreNotBelieved(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		var b *bed
		var request []byte
		b = testAgent(t, func(c *Config) {
			c.STUN = "stun.example.net:3479"
			c.Resolve = (&names{ip: map[string]string{"stun.example.net": "203.0.113.99"}}).resolve
			c.Trunks = append(c.Trunks, Trunk{Name: "far", Host: "203.0.113.1"})
		}, func(n *memnet.Net) {
			n.SetLog(func(p memnet.Packet) {
				if p.To.String() == "203.0.113.99:3479" {
					request = append([]byte(nil), p.Data...)
				}
			})
		})
		time.Sleep(moment)
		evil := newPeer(t, b.net, "203.0.113.66:3479")
		evil.send(string(bindingAnswer(request, netip.MustParseAddrPort("192.0.2.66:1"), stunXORMapped)))
		time.Sleep(moment)
		if got := localIP(t, b.agent, "far"); got != "10.0.0.1" {
			t.Errorf("a stranger says that we are at %s", got)
		}
		time.Sleep(8 * time.Second)
		if all := b.agent.Unresolved(); len(all) != 1 || !strings.Contains(all[0], "no answer from 203.0.113.99:3479") {
			t.Errorf("problems: %q", all)
		}
	})
}

func FuzzSTUN(f *testing.F) {
	request := make([]byte, stunHeader)
	binary.BigEndian.PutUint32(request[4:], stunCookie)
	from := netip.MustParseAddrPort("198.51.100.7:40123")
	for _, kind := range []uint16{stunXORMapped, stunMapped} {
		answer := bindingAnswer(request, from, kind)
		if at, ok := stunAddress(answer); !ok || at != from {
			f.Errorf("attribute %04x is read as %s", kind, at)
		}
		f.Add(answer)
	}
	f.Add(request)
	server := netip.MustParseAddrPort(stunAddr)
	f.Fuzz(func(t *testing.T, p []byte) {
		s := &stun{}
		if err := s.use("203.0.113.99"); err != nil {
			t.Fatal(err)
		}
		q := stunQuestion{server: server, answer: make(chan netip.AddrPort, 1)}
		s.waiting[stunID(request[8:])] = q
		if s.take(p, server) && looksLikeSIP(p) {
			t.Errorf("%q is taken for STUN", p)
		}
		_ = s.take(p, server) // an answer twice blocks nobody
	})
}
