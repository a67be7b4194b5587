package sip

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	sipmsg "github.com/emiago/sipgo/sip"

	"perezvon/internal/memnet"
)

func FuzzSniff(f *testing.F) {
	for _, s := range []string{
		"", "\r\n\r\n", "INVITE sip:a@b SIP/2.0\r\nCall-ID: x@y\r\n\r\n", "SIP/2.0 200 OK\r\ni:x\r\n\r\nCall-ID: body",
		"BYE sip:a SIP/2.0\r\nCALL-ID \t:  \r\n\r\n", "OPTIONS sip:a SIP/2.0\r\nCall-ID", "A b SIP/2.0\r\nc: x\r\ni",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		if m := sniffKnock(p); m != "" && (!looksLikeSIP(p) || !bytes.HasPrefix(p, []byte(m))) {
			t.Errorf("sniffed %s of what is no request", m)
		}
		id := sniffCallID(p)
		if id == nil {
			return
		}
		if len(id) == 0 || bytes.ContainsAny(id, "\n") && bytes.Contains(id, crlf) {
			t.Errorf("Call-ID %q", id)
		}
		head, _, _ := bytes.Cut(p, []byte("\r\n\r\n"))
		if !bytes.Contains(head, id) {
			t.Errorf("Call-ID %q is not in the head", id)
		}
		// Where the parser takes the message and there is only one, both agree.
		if m, err := sipmsg.ParseMessage(bytes.Clone(p)); err == nil && len(m.GetHeaders("call-id"))+len(m.GetHeaders("i")) == 1 {
			if got := callID(m); got != string(id) && !strings.HasPrefix(got, string(id)) { // folded lines go on
				t.Errorf("sniffed %q, parsed %q", id, got)
			}
		}
	})
}

func FuzzReasons(f *testing.F) {
	for _, s := range []string{
		`SIP;cause=200;text="Call completed elsewhere"`, `Q.850 ;cause=16 , SIP;text="a,b;c\"d"`, `;;;`, `"`, `SIP;cause=-1;text="` + "\r\nX: y",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, r := range parseReasons(s) {
			if r.Cause < 0 || r.Cause > 999 || !clean(r.Text) {
				t.Errorf("%q gives %+v", s, r)
			}
			again := parseReasons(r.String())
			if token(r.Protocol) == r.Protocol && (len(again) != 1 || again[0] != r) {
				t.Errorf("%+v written and read is %+v", r, again)
			}
		}
	})
}

func FuzzHeaderTexts(f *testing.F) {
	for _, s := range []string{"", "Anna", "a\r\nX: y", `"\`, "\xff\xfe", "%41%0d%0a", "+7916;phone-context=x", "\u2028"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, out := range []string{plainText(s), quotable(s), escapeUser(s), userOf(s), token(s), Reason{Protocol: s, Text: s}.String()} {
			if !clean(out) {
				t.Errorf("%q became %q", s, out)
			}
		}
		if strings.ContainsAny(escapeUser(s), " <>@;:\"\\") {
			t.Errorf("user %q", escapeUser(s))
		}
		_ = challenges(s)
		_, _ = parseURI(s)
		_, _ = newEndpoint(s, "")
	})
}

func clean(s string) bool {
	return utf8.ValidString(s) && strings.IndexFunc(s, unicode.IsControl) < 0
}

// FuzzPackets sends packets of a known peer through everything that is done
// with them.
func FuzzPackets(f *testing.F) {
	p := &peer{addr: carrierAddr, tag: "t"}
	for _, s := range []string{
		p.initial("1", "body:"+testSDP), p.cancelOf("1"), p.request("BYE", "sip:a@b", "b", "<sip:a@b>;TAG=x", "<sip:c@d>;tag=y", "id", 1),
		"SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 10.0.0.1;branch=z9hG4bKx\r\nFrom: <sip:a@b>;tag=x\r\nTo: <sip:c@d>\r\nCall-ID: x\r\nCSeq: 1 INVITE\r\n\r\n",
		p.request("UPDATE", "sip:a@b", "u", "<sip:a@b>;tag=x", "<sip:c@d>;tag=y", "id", 2, "x: 90;refresher=uac", "Min-SE: 90", "k: timer", "Allow: UPDATE"),
		p.request("PRACK", "sip:a@b", "p", "<sip:a@b>;tag=x", "<sip:c@d>;tag=y", "id", 3, "RAck: 1 1 INVITE", "Require: 100rel"),
		p.request("OPTIONS", "tel:+7", "o", "<tel:+7>;tag=1", "<sip:y@z>", "o", 1, "Require: a", "Record-Route: <sip:x>"),
	} {
		f.Add([]byte(s))
	}
	n := memnet.New()
	a, err := New(Config{
		Listen: []net.PacketConn{n.MustListen(agentAddr)},
		Trunks: []Trunk{{Name: "carrier", Host: carrierAddr}},
		Handle: func(_ context.Context, in *Incoming) { _ = in.Ring() },
		Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = a.Close(context.Background()) })
	l := a.listeners[0]
	from := netip.MustParseAddrPort(carrierAddr)
	f.Fuzz(func(t *testing.T, data []byte) {
		if !l.accept(data, from) {
			return
		}
		m, err := sipmsg.ParseMessage(bytes.Clone(data))
		if err != nil {
			return
		}
		m.SetTransport("UDP")
		m.SetSource(carrierAddr)
		a.observe(m)
		if req, ok := m.(*sipmsg.Request); ok && req.From() != nil && req.To() != nil {
			rec := a.incomingRecord(req)
			var vias []string
			for _, v := range sipmsg.NewResponseFromRequest(req, sipmsg.StatusTrying, "", nil).GetHeaders("via") {
				vias = append(vias, v.Value())
			}
			if !slices.Equal(rec.Vias, vias) {
				t.Errorf("Vias %q, a response has %q", rec.Vias, vias)
			}
			_ = a.aim(closedContext(), &rec, from)
			_, _ = a.request(&rec, sipmsg.BYE, 1, newBranch())
		}
		_, _, _ = messageReasons(m), sdpBody(m), optionTags(m, "require")
		_ = termsOf(m).answer(agreement{})
		if s := a.Stats(); s.Panics != 0 {
			t.Error("a panic was recovered")
		}
	})
}

// FuzzInDialogHeaders reads what a peer may say about sessions, extensions and
// reliable responses, and holds what we say to it to the rules.
func FuzzInDialogHeaders(f *testing.F) {
	for _, s := range [][4]string{
		{"1800;refresher=uac", "90", "timer, 100rel", "1 2 INVITE"},
		{"0", "0", "", ""},
		{"99999999999999999999;REFRESHER=uas", "-1", ",,", "x"},
		{"90 ; refresher = \"uas\"", "1;x=y", "a\tb", "4294967296 1"},
		{"\xff", ";;;", "timer;x", "\x00"},
	} {
		f.Add(s[0], s[1], s[2], s[3], true)
	}
	p := &peer{addr: carrierAddr, tag: "t"}
	f.Fuzz(func(t *testing.T, expires, least, require, rack string, capable bool) {
		lines := []string{"Session-Expires: " + expires, "Min-SE: " + least, "Require: " + require, "RAck: " + rack}
		if capable {
			lines = append(lines, "Supported: timer")
		}
		m, err := sipmsg.ParseMessage([]byte(p.request("UPDATE", "sip:a@b", "u", "<sip:a@b>;tag=x", "<sip:c@d>;tag=y", "id", 2, lines...)))
		if err != nil {
			return
		}
		said := termsOf(m)
		if said.interval < 0 || said.min < 0 || said.interval > 0 && said.interval < time.Second {
			t.Fatalf("%q, %q give %+v", expires, least, said)
		}
		for _, g := range []agreement{said.answer(agreement{}), said.answer(agreement{minSession, true}), said.answer(agreement{time.Hour, false}), said.granted()} {
			if g.interval == 0 {
				continue
			}
			if g.interval < minSession || g.margin() <= 0 || g.margin() >= g.interval/2 || g.interval/2 >= g.interval-g.margin() {
				t.Errorf("%q gives %+v", expires, g)
			}
			res := sipmsg.NewResponse(200, "OK")
			for _, h := range g.headers() {
				res.AppendHeader(h)
			}
			if again := termsOf(res); again.interval != g.interval || (again.refresher == refresherUAS) != g.ours || !again.capable {
				t.Errorf("%+v written and read is %+v", g, again)
			}
		}
		if g := said.answer(agreement{}); !g.ours && g.interval > 0 && !said.capable {
			t.Errorf("%q makes a peer refresh that cannot", expires)
		}
		if !clean(plainText(strings.Join(optionTags(m, "require"), ", "))) {
			t.Errorf("Require %q", require)
		}
	})
}

func closedContext() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}
