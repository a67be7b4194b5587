package sip

import (
	"fmt"
	"strings"
	"testing"
	"time"

	sipmsg "github.com/emiago/sipgo/sip"
)

// bomb is an address whose parameters the library multiplies.
func bomb(n int) string {
	return "<sip:106@10.0.0.1" + strings.Repeat(`;p=";"`, n) + ">"
}

func TestAddressesThatGrowWhenTheyAreReadAreNotParsed(t *testing.T) {
	base := strings.ReplaceAll(tortureHead("OPTIONS", "tame")+noBody, "\n", "\r\n")
	for name, c := range map[string]struct{ old, by string }{
		"To":                     {"To: <sip:user@10.0.0.1>", "To: " + bomb(3)},
		"short To":               {"To: <sip:user@10.0.0.1>", "t:" + bomb(3)},
		"From":                   {"From: <sip:caller@10.0.0.9>", "From: \"x\" " + bomb(1)},
		"Contact of several":     {"Contact: <sip:caller@10.0.0.9>", "Contact: <sip:a@b>;q=\"1\", " + bomb(1)},
		"folded Contact":         {"Contact: <sip:caller@10.0.0.9>", "Contact:\r\n " + bomb(1)},
		"not closed":             {"Contact: <sip:caller@10.0.0.9>", `Contact: <sip:a;p=";"`},
		"a name that is none":    {"Contact: <sip:caller@10.0.0.9>", `Contact: "<" <urn:x;p=";";p=";">`},
		"headers of a URI":       {"To: <sip:user@10.0.0.1>", `To: sip:a@b?x=";"&y=";"`},
		"Via":                    {";branch=z9hG4bKtame", `;branch=z9hG4bKtame;p=";"`},
		"Request-URI":            {"sip:user@10.0.0.1 SIP", `sip:user@10.0.0.1;p=";" SIP`},
		"Record-Route":           {"Max-Forwards", "Record-Route: " + bomb(1) + "\r\nMax-Forwards"},
		"a line end of its own":  {"Contact: <sip:caller@10.0.0.9>", "Contact: <sip:caller@10.0.0.9;z=1\nX-Evil: owned\nY:>"},
		"a return of its own":    {"Contact: <sip:caller@10.0.0.9>", "Contact: <sip:caller@10.0.0.9>;z=1\rX-Evil: owned"},
		"a line end in a header": {"Max-Forwards: 70", "Max-Forwards: 70\nX: y"},
		"white space":            {"Contact: <sip:caller@10.0.0.9>", "Contact: <sip:caller@10.0.0.9;p=a b>"},
		"a tab, folded":          {"Contact: <sip:caller@10.0.0.9>", "Contact:\r\n <SIPS:caller@10.0.0.9;p=a\tb>"},
		"white space after name": {"Contact: <sip:caller@10.0.0.9>", `Contact: "x <" <sip:a@b;p=a b>`},
		"white space, nested":    {"Contact: <sip:caller@10.0.0.9>", `Contact: <sip:a@b;p=a b;q=<sip:c@d>`},
		"white space after bare": {"Contact: <sip:caller@10.0.0.9>", `Contact: <sip:a@b>, sip:c@d?x=a b`},
		"quotes after bare":      {"Contact: <sip:caller@10.0.0.9>", `Contact: sip:a@b;q=1, sip:c@d?x=";"&y=";"`},
		"many in To":             {"To: <sip:user@10.0.0.1>", "To: <sip:user@10.0.0.1" + strings.Repeat(";p", maxParams+1) + ">"},
		"many in Via":            {";branch=z9hG4bKtame", ";branch=z9hG4bKtame" + strings.Repeat(";p", maxParams)},
		"many in a header field": {"sip:user@10.0.0.1 SIP", "sip:user@10.0.0.1?a" + strings.Repeat("&p", maxParams+1) + " SIP"},
	} {
		if !strings.Contains(base, c.old) {
			t.Fatalf("no %q", c.old)
		}
		if tame([]byte(strings.Replace(base, c.old, c.by, 1))) {
			t.Errorf("%s: passes", name)
		}
	}
	for name, c := range map[string]struct{ old, by string }{
		"as it is":              {"", ""},
		"a display name":        {"From: <", `From: "J \"Rosenberg\"" <`},
		"an instance":           {"Contact: <sip:caller@10.0.0.9>", `Contact: <sip:c@10.0.0.9>;+sip.instance="<urn:uuid:0>";+org.x="a/1,b"`},
		"an instance, bare":     {"Contact: <sip:caller@10.0.0.9>", `Contact: sip:c@10.0.0.9;+sip.instance="<urn:uuid:0>"`},
		"a bracket in a name":   {"From: <", `From: "a < b" <`},
		"credentials":           {"Max-Forwards", "Authorization: Digest username=\"a\", realm=\"b\", uri=\"sip:x\", response=\"0\"\r\nMax-Forwards"},
		"a name that goes on":   {"From: <", "From: \"a\r\n b\" <"},
		"quotes in the body":    {"Content-Length: 0\r\n\r\n", "Content-Length: 3\r\n\r\n\"\n\""},
		"quotes in a subject":   {"Max-Forwards", "Subject: \"<\"\r\nMax-Forwards"},
		"two display names":     {"Contact: <sip:caller@10.0.0.9>", `Contact: "a" <sip:a@b>, "c" <sip:c@d>`},
		"a quoted parameter":    {"From: <sip:caller@10.0.0.9>", `From: <sip:caller@10.0.0.9>;x=";"`},
		"a wildcard, unquoted":  {"Contact: <sip:caller@10.0.0.9>", "Contact: *"},
		"white space around":    {"Contact: <sip:caller@10.0.0.9>", "Contact: <sip:a@b;x=y> ; q=1 , sip:c@d ; q = 1"},
		"white space in a name": {"From: <", "From: J R <"},
		"white space in a Via":  {";branch=z9hG4bKtame", " ; branch = z9hG4bKtame"},
		"some parameters":       {"To: <sip:user@10.0.0.1>", "To: <sip:user@10.0.0.1" + strings.Repeat(";p", 100) + ">"},
	} {
		if !tame([]byte(strings.Replace(base, c.old, c.by, 1))) {
			t.Errorf("%s: does not pass", name)
		}
	}
}

func TestAPacketThatWouldGrowIsDroppedFromAnybody(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		b := testAgent(t, func(c *Config) {
			c.Extensions = append(c.Extensions, Extension{Number: "106", HA1: MakeHA1("106", Realm, "secret")})
		})
		register := strings.NewReplacer("\n", "\r\n", "<sip:user@10.0.0.1>", bomb(1000)).Replace(tortureHead("REGISTER", "bomb") + noBody)
		stranger := newPeer(t, b.net, "10.0.0.77:5060")
		for _, p := range []*peer{b.carrier, b.phone, stranger} {
			p.send(register)
			p.silent(time.Second)
		}
		if s := b.agent.Stats(); s.Garbage < 2 {
			t.Errorf("garbage: %d", s.Garbage)
		}
	})
}

func FuzzTame(f *testing.F) {
	for _, group := range [][]tortureMessage{tortureValid(), tortureInvalid(), tortureSemantic()} {
		for _, m := range group {
			f.Add([]byte(m.wire()))
		}
	}
	f.Add([]byte(strings.ReplaceAll(fmt.Sprintf(tortureHead("OPTIONS", "tame")+"Contact: %s\n"+noBody, bomb(2)), "\n", "\r\n")))
	f.Fuzz(func(t *testing.T, p []byte) {
		if len(p) > 4000 || !looksLikeSIP(p) || !tame(p) {
			return
		}
		once := reread(p)
		twice := reread(once)
		if thrice := reread(twice); len(twice) > 4*len(p)+2000 || len(thrice) > 6*len(p)+2000 {
			t.Errorf("%d bytes become %d, then %d, then %d", len(p), len(once), len(twice), len(thrice))
		}
	})
}

// reread is a message as the library writes it when it has read it, nil if it
// cannot. A Via is read once, and left out.
func reread(p []byte) (out []byte) {
	defer func() {
		if recover() != nil {
			out = nil
		}
	}()
	m, err := sipmsg.NewParser().ParseSIP(p)
	if err != nil {
		return nil
	}
	if held, ok := m.(interface{ RemoveHeader(string) bool }); ok {
		for held.RemoveHeader("Via") {
		}
	}
	return []byte(m.String())
}
