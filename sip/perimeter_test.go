package sip

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"perezvon/internal/memnet"
)

func TestStrangersGetSilence(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b, calls := inboundBed(t)
		stranger := newPeer(t, b.net, "203.0.113.5:5060")
		stranger.send(stranger.initial("1", "body:"+testSDP))
		stranger.send(stranger.request("OPTIONS", "sip:"+agentAddr, "o", "<sip:a@b>;tag=1", "<sip:x@y>", "o", 1))
		stranger.send(stranger.request("REGISTER", "sip:"+agentAddr, "r", "<sip:a@b>;tag=1", "<sip:x@y>", "r", 1))
		stranger.send(stranger.request("BYE", "sip:"+agentAddr, "b", "<sip:a@b>;tag=1", "<sip:x@y>;tag=2", "b", 1))
		stranger.send("garbage")
		stranger.silent(time.Minute)
		if s := b.agent.Stats(); s.Strangers != 5 || s.Peers != 1 || len(calls) != 0 {
			t.Errorf("stats %+v, %d calls", s, len(calls))
		}
	})
}

func TestOptionsOfKnownPeersIs200(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := testAgent(t, nil)
		for i, p := range []*peer{b.carrier, b.phone} {
			p.send(p.request("OPTIONS", "sip:"+agentAddr, fmt.Sprint("o", i), "<sip:a@b>;tag=1", "<sip:x@y>", fmt.Sprint("o", i), 1))
			if res := p.expect("200"); res.get("Allow") == "" || res.get("Accept") != "application/sdp" || res.get("Server") != "Perezvon/test" {
				t.Errorf("response:\n%s", res.raw)
			}
		}
		b.carrier.send(b.carrier.request("REGISTER", "sip:"+agentAddr, "r", "<sip:a@b>;tag=1", "<sip:x@y>", "r", 1))
		b.carrier.expect("405")
	})
}

func TestResponseGoesToTheSourceWithRport(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := testAgent(t, nil)
		raw := b.carrier.request("OPTIONS", "sip:"+agentAddr, "o", "<sip:a@b>;tag=1", "<sip:x@y>", "o", 1)
		b.carrier.send(strings.Replace(raw, "UDP "+carrierAddr, "UDP 192.168.1.2:7777", 1))
		if via := b.carrier.expect("200").get("Via"); !strings.Contains(via, "received=10.0.0.9") || !strings.Contains(via, "rport=5060") {
			t.Errorf("Via: %s", via)
		}
	})
}

func TestBrokenRequestsDoNotHurt(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := testAgent(t, nil)
		good := b.carrier.initial("1", "body:"+testSDP)
		for _, drop := range []string{"Via", "From", "To", "Call-ID", "CSeq", "Max-Forwards", "Contact", "Content-Length"} {
			for _, method := range []string{"INVITE", "CANCEL", "BYE", "ACK", "OPTIONS"} {
				var lines []string
				for l := range strings.SplitSeq(strings.ReplaceAll(good, "INVITE", method), "\r\n") {
					if !strings.HasPrefix(l, drop+":") {
						lines = append(lines, l)
					}
				}
				b.carrier.send(strings.Join(lines, "\r\n"))
			}
			time.Sleep(time.Minute)
		}
		for {
			if _, ok := b.carrier.read(time.Second); !ok {
				break
			}
		}
		b.carrier.send(b.carrier.request("OPTIONS", "sip:"+agentAddr, "o", "<sip:a@b>;tag=1", "<sip:x@y>", "o", 1))
		b.carrier.expect("200")
	})
}

func TestMalformedPacketsAreLoggedShortAndSeldom(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := testAgent(t, nil)
		for range 1000 {
			b.carrier.send("INVITE sip:x@y SIP/2.0\r\nCSeq: nonsense " + strings.Repeat("a", 5000) + "\r\n\r\n")
			time.Sleep(time.Millisecond)
		}
		time.Sleep(time.Second)
		if n := len(b.log.String()); n > 20000 {
			t.Errorf("%d bytes of log for 1000 malformed packets", n)
		}
		if strings.Contains(b.log.String(), "level=ERROR") {
			t.Error("a stranger's packet is no error of ours")
		}
	})
}

func TestMatchOrder(t *testing.T) {
	d, err := newDirectory(&Config{
		Trunks: []Trunk{
			{Name: "a", Host: "192.0.2.10:5060"},
			{Name: "b", Host: "192.0.2.10:5070"},
			{Name: "net", Host: "198.51.100.1", Peers: []netip.Prefix{netip.MustParsePrefix("198.51.100.0/28")}},
			{Name: "proxied", Host: "198.51.100.99", Proxy: "203.0.113.9:5080"},
		},
		Extensions: []Extension{
			{Number: "101", Contact: "sip:101@192.0.2.10:5091"},
			{Number: "102", Contact: "sip:bob@192.0.2.10:5091"},
			{Number: "103", Contact: "sip:103@192.0.2.77"},
		},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		from, user string
		trunks     []string
		ext        string
	}{
		{"192.0.2.10:5060", "", []string{"a"}, ""},
		{"192.0.2.10:5070", "", []string{"b"}, ""},
		{"192.0.2.10:9999", "", []string{"a", "b"}, ""},
		{"192.0.2.10:5091", "", nil, "101"}, // a phone's own address is no trunk's
		{"192.0.2.10:5091", "bob", nil, "102"},
		{"192.0.2.77:40000", "", nil, "103"},
		{"198.51.100.14:5060", "", []string{"net"}, ""},
		{"198.51.100.16:5060", "", nil, ""},
		{"203.0.113.9:5080", "", []string{"proxied"}, ""},
		{"203.0.113.10:5080", "", nil, ""},
	} {
		trunks, ext := d.match(netip.MustParseAddrPort(tc.from), tc.user)
		if !slices.Equal(trunks, tc.trunks) || ext != tc.ext {
			t.Errorf("%s: %v %q, want %v %q", tc.from, trunks, ext, tc.trunks, tc.ext)
		}
		known := len(tc.trunks) > 0 || tc.ext != ""
		if got := d.allows(netip.MustParseAddrPort(tc.from).Addr()); got != known {
			t.Errorf("allows %s: %v", tc.from, got)
		}
	}
}

func TestNamedHostIsKnownOnceItResolves(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		ip := make(chan string, 1)
		ip <- "10.0.0.9"
		b := testAgent(t, func(c *Config) {
			c.Trunks[0].Host = "sip.example.net"
			c.Resolve = func(context.Context, string) ([]netip.Addr, error) {
				s := <-ip
				ip <- s
				return []netip.Addr{netip.MustParseAddr(s)}, nil
			}
		})
		time.Sleep(time.Second)
		b.carrier.send(b.carrier.request("OPTIONS", "sip:"+agentAddr, "o", "<sip:a@b>;tag=1", "<sip:x@y>", "o", 1))
		b.carrier.expect("200")
		<-ip
		ip <- "10.0.0.11"
		time.Sleep(2 * resolveEvery)
		b.carrier.send(b.carrier.request("OPTIONS", "sip:"+agentAddr, "o2", "<sip:a@b>;tag=1", "<sip:x@y>", "o2", 1))
		b.carrier.silent(time.Minute)
		moved := newPeer(t, b.net, "10.0.0.11:5060")
		moved.send(moved.request("OPTIONS", "sip:"+agentAddr, "o3", "<sip:a@b>;tag=1", "<sip:x@y>", "o3", 1))
		moved.expect("200")
	})
}

func TestAdvertisedAddress(t *testing.T) {
	for _, tc := range []struct{ public, dest, want string }{
		{"", "203.0.113.1", "10.0.0.1"},
		{"198.51.100.1", "203.0.113.1", "198.51.100.1"},
		{"198.51.100.1", "10.0.0.9", "10.0.0.1"},
		{"198.51.100.1", "127.0.0.1", "10.0.0.1"},
		{"10.9.9.9", "10.0.0.9", "10.9.9.9"},
		{"10.9.9.9", "203.0.113.1", "10.9.9.9"},
		{"10.9.9.9", "127.0.0.1", "10.0.0.1"},
	} {
		d := &directory{}
		d.book.Store(&book{})
		a := &Agent{peers: d}
		if tc.public != "" {
			a.cfg.PublicIP = netip.MustParseAddr(tc.public)
		}
		if got := a.advertised(netip.MustParseAddr(tc.dest), netip.MustParseAddr("10.0.0.1")); got.String() != tc.want {
			t.Errorf("public %q to %s: %s, want %s", tc.public, tc.dest, got, tc.want)
		}
	}
}

func TestPublicIPIsWrittenIntoViaAndContact(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := testAgent(t, func(c *Config) {
			c.PublicIP = netip.MustParseAddr("198.51.100.7")
			c.Trunks = []Trunk{{Name: "carrier", Host: "203.0.113.9"}}
		})
		far := newPeer(t, b.net, "203.0.113.9:5060")
		b.invite(t.Context(), Invite{FromUser: "1"})
		req := far.expect("INVITE")
		if !strings.HasPrefix(req.get("Via"), "SIP/2.0/UDP 198.51.100.7:5060;") || req.get("Contact") != "<sip:1@198.51.100.7:5060>" {
			t.Errorf("Via %s, Contact %s", req.get("Via"), req.get("Contact"))
		}
		ip, err := b.agent.LocalIP(t.Context(), Target{Trunk: "carrier"})
		if err != nil || ip.String() != "198.51.100.7" {
			t.Errorf("LocalIP of the trunk: %s, %v", ip, err)
		}
		ip, err = b.agent.LocalIP(t.Context(), Target{Extension: "101"})
		if err != nil || ip.String() != "10.0.0.1" {
			t.Errorf("LocalIP of the phone: %s, %v", ip, err)
		}
		if _, err = b.agent.LocalIP(t.Context(), Target{}); err == nil {
			t.Error("LocalIP of nobody")
		}
	})
}

func TestPacketOfOtherCallsPassOneThatIsHeldBack(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		n := memnet.New()
		l := newListener(n.MustListen(agentAddr), func(netip.AddrPort, []byte) (bool, []byte) { return true, nil })
		p := newPeer(t, n, carrierAddr)
		packet := func(id, name string) string {
			return "INFO sip:x SIP/2.0\r\ni: " + id + "\r\nX-Name: " + name + "\r\n\r\n"
		}
		for _, s := range []string{packet("a", "a1"), packet("a", "a2"), packet("a", "a3"), packet("b", "b1"), packet("c", "c1"), packet("b", "b2")} {
			p.send(s)
		}
		var got []string
		start := time.Now()
		for range 6 {
			buf := make([]byte, 1000)
			k, _, err := l.ReadFrom(buf)
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, parseRaw(string(buf[:k]), netip.AddrPort{}).get("X-Name"))
		}
		if want := []string{"a1", "b1", "c1", "a2", "b2", "a3"}; !slices.Equal(got, want) {
			t.Errorf("order %v, want %v", got, want)
		}
		if d := time.Since(start); d != 2*orderGap {
			t.Errorf("took %s", d)
		}
		_ = l.Close()
	})
}

func TestOneCallIDRepeatedStallsNobody(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		n := memnet.New()
		l := newListener(n.MustListen(agentAddr), func(netip.AddrPort, []byte) (bool, []byte) { return true, nil })
		p := newPeer(t, n, carrierAddr)
		for range 4000 {
			p.send("INFO sip:x SIP/2.0\r\nCall-ID: same\r\n\r\n")
		}
		p.send("INFO sip:x SIP/2.0\r\nCall-ID: other\r\n\r\n")
		buf, start := make([]byte, 1000), time.Now()
		for {
			k, _, err := l.ReadFrom(buf)
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(string(buf[:k]), "other") {
				break
			}
		}
		if d := time.Since(start); d > 10*time.Millisecond {
			t.Errorf("another call waited %s", d)
		}
		_ = l.Close()
	})
}

func TestListenerThatDiesIsFatal(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := testAgent(t, nil)
		_ = b.agent.cfg.Listen[0].Close()
		if err := <-b.agent.Fatal(); err == nil || !strings.Contains(err.Error(), agentAddr) {
			t.Errorf("fatal: %v", err)
		}
	})
}

func TestConfigurationErrorsNameWhatIsWrong(t *testing.T) {
	handle := func(context.Context, *Incoming) {}
	for want, cfg := range map[string]Config{
		"Handle are required":       {},
		`trunk t: port "x"`:         {Handle: handle, Trunks: []Trunk{{Name: "t", Host: "host:x"}}},
		"trunk t: host is empty":    {Handle: handle, Trunks: []Trunk{{Name: "t"}}},
		"trunk t: proxy: port":      {Handle: handle, Trunks: []Trunk{{Name: "t", Host: "h", Proxy: "p:0"}}},
		`extension 1: contact "no"`: {Handle: handle, Extensions: []Extension{{Number: "1", Contact: "no"}}},
	} {
		cfg.Listen = []net.PacketConn{memnet.New().MustListen(agentAddr)}
		if _, err := New(cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

func TestListenUDPSaysWhichPortIsTakenAndWhatToDo(t *testing.T) {
	c, err := ListenUDP(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	addr := c.LocalAddr().String()
	_, err = ListenUDP(t.Context(), addr)
	if err == nil || !strings.Contains(err.Error(), addr) || !strings.Contains(err.Error(), "sip.listen") {
		t.Errorf("%v", err)
	}
	if _, err = ListenUDP(t.Context(), "192.0.2.1:0"); err == nil || !strings.Contains(err.Error(), "no such address") {
		t.Errorf("%v", err)
	}
}

func TestQuietHandlerKeepsGroupsAndAttrs(t *testing.T) {
	var out logBuffer
	log := slog.New(newQuietHandler(slog.NewTextHandler(&out, nil))).With("a", 1).WithGroup("g")
	log.Info("not said")
	log.Error("said", "long", strings.Repeat("x", 1000))
	if s := out.String(); strings.Contains(s, "not said") || !strings.Contains(s, "level=WARN msg=said a=1 g.long=xxx") || len(s) > 400 {
		t.Errorf("log %q", s)
	}
}

func TestOldInvitesAreForgotten(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := testAgent(t, nil) // its handler returns at once
		for i := range 50 {
			id := fmt.Sprint(i)
			b.carrier.send(b.carrier.initial(id, "body:"+testSDP))
			b.carrier.expect("100")
			b.carrier.send(b.carrier.of(b.carrier.expect("500"), "ACK", "inv"+id, 100))
			time.Sleep(2 * time.Second)
		}
		b.agent.inbox.mu.Lock()
		defer b.agent.inbox.mu.Unlock()
		if k, m, o := len(b.agent.inbox.byKey), len(b.agent.inbox.merged), len(b.agent.inbox.order); k > 20 || m > 20 || o > 20 {
			t.Errorf("%d, %d and %d of 50 INVITEs are remembered", k, m, o)
		}
	})
}

func TestHostOfTheContactIsResolvedOnceAndPinned(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		asked := 0
		b := testAgent(t, func(c *Config) {
			c.Resolve = func(context.Context, string) ([]netip.Addr, error) {
				asked++ // round robin: never the same first
				all := []netip.Addr{netip.MustParseAddr("10.0.0.66"), netip.MustParseAddr("10.0.0.9"), netip.MustParseAddr("10.0.0.67")}
				return append(all[asked%3:], all[:asked%3]...), nil
			}
		})
		out := b.invite(t.Context(), Invite{})
		req := b.carrier.expect("INVITE")
		b.carrier.reply(req, "200 OK", "Contact: <sip:far@gw.example.net>", "body:"+testSDP)
		b.carrier.expect("ACK") // to where the 200 came from
		o := <-out
		if o.err != nil {
			t.Fatal(o.err)
		}
		go func() { _ = o.d.Bye(t.Context()) }()
		bye := b.carrier.expect("BYE")
		if bye.uri() != "sip:far@gw.example.net" || asked != 1 {
			t.Errorf("BYE to %s, %d look-ups", bye.uri(), asked)
		}
		b.carrier.reply(bye, "200 OK")
	})
}
