package lab_test

import (
	"crypto/md5"
	"encoding/hex"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"perezvon/internal/lab"
	"perezvon/internal/memnet"
)

// peer is a user agent that says what the test tells it, right or wrong.
type peer struct {
	t    *testing.T
	conn *memnet.Conn
	to   netip.AddrPort
	tag  string // the other side's, of the latest response
}

func (w *world) peer() *peer {
	p := &peer{t: w.t, conn: w.net.MustListen("10.0.0.9:5060"), to: w.b.Addr()}
	w.t.Cleanup(func() { _ = p.conn.Close() })
	return p
}

// message has what every request of one call has; lines replace headers of
// the same name or come on top, those that end in "!" go away.
func (p *peer) message(method string, cseq int, branch string, lines ...string) string {
	order := []string{"Via", "Max-Forwards", "From", "To", "Call-ID", "CSeq", "Contact"}
	values := map[string]string{
		"Via": "SIP/2.0/UDP 10.0.0.9:5060;branch=" + branch, "Max-Forwards": "70", "From": "<sip:1@10.0.0.9>;tag=me",
		"To": "<sip:100@10.0.0.2:5060>", "Call-ID": "call", "CSeq": fmt.Sprintf("%d %s", cseq, method),
		"Contact": "<sip:1@10.0.0.9:5060>",
	}
	if p.tag != "" && method != "CANCEL" {
		values["To"] += ";tag=" + p.tag
	}
	uri := "sip:100@10.0.0.2:5060"
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ": ")
		if gone, ok := strings.CutSuffix(name, "!"); ok {
			delete(values, gone)
			continue
		}
		if name == "URI" {
			uri = value
			continue
		}
		if _, known := values[name]; !known {
			order = append(order, name)
		}
		values[name] = value
	}
	text := method + " " + uri + " SIP/2.0\r\n"
	for _, name := range order {
		if v, ok := values[name]; ok {
			text += name + ": " + v + "\r\n"
		}
	}
	body := ""
	if method == "INVITE" {
		body = "v=0\r\no=- 1 1 IN IP4 10.0.0.9\r\ns=-\r\nc=IN IP4 10.0.0.9\r\nt=0 0\r\nm=audio 4000 RTP/AVP 8\r\n"
		text += "Content-Type: application/sdp\r\n"
	}
	if _, own := values["Content-Length"]; !own {
		text += fmt.Sprintf("Content-Length: %d\r\n", len(body))
	}
	return text + "\r\n" + body
}

func (p *peer) send(text string) {
	p.t.Helper()
	if _, err := p.conn.WriteToUDPAddrPort([]byte(text), p.to); err != nil {
		p.t.Error(err)
	}
}

// receive waits for a message that begins with start and remembers its tag.
func (p *peer) receive(start string) string {
	p.t.Helper()
	buf := make([]byte, 65535)
	if err := p.conn.SetReadDeadline(time.Now().Add(40 * time.Second)); err != nil {
		p.t.Fatal(err)
	}
	for {
		n, _, err := p.conn.ReadFromUDPAddrPort(buf)
		if err != nil {
			p.t.Fatalf("waiting for %q: %v", start, err)
		}
		text := string(buf[:n])
		for line := range strings.SplitSeq(text, "\r\n") {
			if strings.HasPrefix(line, "To: ") {
				_, p.tag, _ = strings.Cut(line, ";tag=")
			}
		}
		if strings.HasPrefix(text, start) {
			return text
		}
	}
}

// answered brings a call up to its 200.
func (p *peer) answered(lines ...string) {
	p.t.Helper()
	p.send(p.message("INVITE", 1, "z9hG4bKi", lines...))
	p.receive("SIP/2.0 200")
}

// violation is something that a peer does wrong, or right.
type violation struct {
	name   string
	script lab.Script
	do     func(*peer)
	want   string // part of what is noted; empty: nothing
}

var (
	answer = lab.Script{lab.Ring(0), lab.Answer(0)}
	ring   = lab.Script{lab.Ring(0)}
)

// ackCases are about the ACK.
func ackCases() []violation {
	return []violation{
		{"ACK with another CSeq", answer, func(p *peer) { p.answered(); p.send(p.message("ACK", 2, "z9hG4bKa")) }, "matches no INVITE"},
		{"ACK with the INVITE's branch", answer, func(p *peer) { p.answered(); p.send(p.message("ACK", 1, "z9hG4bKi")) }, "has the branch of its INVITE"},
		{"ACK with another To tag", answer, func(p *peer) {
			p.answered()
			p.tag = "x"
			p.send(p.message("ACK", 1, "z9hG4bKa"))
		}, "To tag"},
		{"ACK to the dialled number instead of the Contact", answer, func(p *peer) {
			p.answered()
			p.send(p.message("ACK", 1, "z9hG4bKa", "URI: sip:100@example.com"))
		}, "is not the Contact"},
		{"too many ACKs", answer, func(p *peer) {
			p.answered()
			p.send(p.message("ACK", 1, "z9hG4bKa"))
			p.send(p.message("ACK", 1, "z9hG4bKa"))
		}, "2 ACKs to a response that was sent 1 times"},
		{"no ACK at all", answer, func(p *peer) { p.answered(); p.receive("BYE ") }, "no ACK to 200"},
		{"no ACK to a refusal", lab.Script{lab.Reject(486, "Busy Here")}, func(p *peer) {
			p.send(p.message("INVITE", 1, "z9hG4bKi"))
			time.Sleep(33 * time.Second)
		}, "no ACK to 486"},
		{"ACK to a refusal with a new branch", lab.Script{lab.Reject(486, "Busy Here")}, func(p *peer) {
			p.send(p.message("INVITE", 1, "z9hG4bKi"))
			p.receive("SIP/2.0 486")
			p.send(p.message("ACK", 1, "z9hG4bKother"))
		}, "matches no INVITE"},
	}
}

// endCases are about CANCEL and BYE, and calls by the book.
func endCases() []violation {
	return []violation{
		{"a call by the book", answer, func(p *peer) {
			p.answered()
			p.send(p.message("ACK", 1, "z9hG4bKa"))
			p.send(p.message("BYE", 2, "z9hG4bKb"))
			p.receive("SIP/2.0 200")
		}, ""},
		{"a cancelled call by the book", ring, func(p *peer) {
			p.send(p.message("INVITE", 1, "z9hG4bKi"))
			p.receive("SIP/2.0 180")
			p.send(p.message("CANCEL", 1, "z9hG4bKi"))
			p.receive("SIP/2.0 487")
			p.send(p.message("ACK", 1, "z9hG4bKi"))
		}, ""},
		{"CANCEL with another branch", ring, func(p *peer) {
			p.send(p.message("INVITE", 1, "z9hG4bKi"))
			p.receive("SIP/2.0 180")
			p.send(p.message("CANCEL", 1, "z9hG4bKc"))
			p.receive("SIP/2.0 481")
		}, "matches no INVITE"},
		{"CANCEL with another CSeq", ring, func(p *peer) {
			p.send(p.message("INVITE", 1, "z9hG4bKi"))
			p.receive("SIP/2.0 180")
			p.send(p.message("CANCEL", 2, "z9hG4bKi"))
			p.receive("SIP/2.0 487")
		}, "its INVITE has 1"},
		{"CANCEL before any response", lab.Script{lab.Silence()}, func(p *peer) {
			p.send(p.message("INVITE", 1, "z9hG4bKi"))
			time.Sleep(time.Second)
			p.send(p.message("CANCEL", 1, "z9hG4bKi"))
			p.receive("SIP/2.0 487")
		}, "before any response"},
		{"BYE with an old CSeq", answer, func(p *peer) {
			p.answered()
			p.send(p.message("ACK", 1, "z9hG4bKa"))
			p.send(p.message("BYE", 1, "z9hG4bKb"))
			p.receive("SIP/2.0 200")
		}, "CSeq 1 is not above 1"},
		{"BYE with a wrong tag", answer, func(p *peer) {
			p.answered()
			p.send(p.message("ACK", 1, "z9hG4bKa"))
			p.tag = "x"
			p.send(p.message("BYE", 2, "z9hG4bKb"))
			p.receive("SIP/2.0 481")
		}, "belongs to no dialog"},
		{"two BYEs", answer, func(p *peer) {
			p.answered()
			p.send(p.message("ACK", 1, "z9hG4bKa"))
			p.send(p.message("BYE", 2, "z9hG4bKb"))
			p.send(p.message("BYE", 3, "z9hG4bKc"))
		}, "second BYE"},
	}
}

// messageCases are about what stands in messages.
func messageCases() []violation {
	return []violation{
		{"a request ignores the route set", lab.Script{lab.RecordRoute(), lab.Answer(0)}, func(p *peer) {
			p.answered()
			p.send(p.message("ACK", 1, "z9hG4bKa", "URI: sip:100@192.0.2.77:5060"))
		}, "the route set"},
		{"no Contact", ring, func(p *peer) { p.send(p.message("INVITE", 1, "z9hG4bKi", "Contact!")) }, "0 Contact"},
		{"no Max-Forwards", ring, func(p *peer) { p.send(p.message("INVITE", 1, "z9hG4bKi", "Max-Forwards!")) }, "0 Max-Forwards"},
		{"exhausted Max-Forwards", ring, func(p *peer) { p.send(p.message("INVITE", 1, "z9hG4bKi", "Max-Forwards: 0")) }, "Max-Forwards is 0"},
		{"wrong Content-Length", ring, func(p *peer) { p.send(p.message("INVITE", 1, "z9hG4bKi", "Content-Length: 3")) }, "Content-Length is 3"},
		{"branch of RFC 2543", ring, func(p *peer) { p.send(p.message("INVITE", 1, "1")) }, "does not begin with"},
		{"version that rises though nothing changed", answer, func(p *peer) {
			p.answered()
			p.send(p.message("ACK", 1, "z9hG4bKa"))
			p.send(strings.Replace(p.message("INVITE", 2, "z9hG4bKr"), "o=- 1 1", "o=- 1 2", 1))
			p.receive("SIP/2.0 200")
		}, "though nothing changed"},
		{"change without a new version", answer, func(p *peer) {
			p.answered()
			p.send(p.message("ACK", 1, "z9hG4bKa"))
			p.send(strings.Replace(p.message("INVITE", 2, "z9hG4bKr"), "audio 4000", "audio 4002", 1))
			p.receive("SIP/2.0 200")
		}, "description changed, o= version"},
		{"not SIP", ring, func(p *peer) { p.send("hello there") }, "is not SIP"},
	}
}

func TestViolationsAreNoticed(t *testing.T) {
	judge(t, slices.Concat(ackCases(), endCases(), messageCases()))
}

func judge(t *testing.T, cases []violation) {
	t.Helper()
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			inWorld(t, nil, func(w *world) {
				w.b.Number("*", tc.script)
				p := w.peer()
				tc.do(p)
				time.Sleep(time.Second)
				got := strings.Join(w.b.Violations(), "\n")
				if tc.want == "" && got != "" || !strings.Contains(got, tc.want) {
					w.t.Errorf("violations:\n%s\nwanted: %s", got, tc.want)
				}
				_ = p.conn.Close()
			})
		})
	}
}

func TestLosingForkMustBeEnded(t *testing.T) {
	for name, polite := range map[string]bool{"it is": true, "it is not": false} {
		t.Run(name, func(t *testing.T) {
			inWorld(t, nil, func(w *world) {
				w.b.Number("100", lab.Script{lab.RingFork(0), lab.Ring(0), lab.Answer(0), lab.ForkSecond200()})
				p := w.peer()
				p.answered()
				first := p.tag
				p.send(p.message("ACK", 1, "z9hG4bKa"))
				for p.tag == first {
					p.receive("SIP/2.0 200")
				}
				p.send(p.message("ACK", 1, "z9hG4bKf"))
				if polite {
					p.send(p.message("BYE", 2, "z9hG4bKg"))
					p.receive("SIP/2.0 200")
				}
				p.tag = first
				p.send(p.message("BYE", 2, "z9hG4bKb"))
				p.receive("SIP/2.0 200")
				time.Sleep(33 * time.Second)
				violations, dialogs := w.b.Violations(), w.b.Dialogs()
				if polite && (len(violations) != 0 || dialogs != 0) {
					w.t.Errorf("%d dialogs, violations %q", dialogs, violations)
				}
				if !polite && (len(violations) != 1 || dialogs != 1) {
					w.t.Errorf("%d dialogs, violations %q", dialogs, violations)
				}
				_ = p.conn.Close()
			})
		})
	}
}

func TestWrongPasswordIsRefusedAndTheRightOneTaken(t *testing.T) {
	auth := &lab.Credentials{Username: "u", Password: "p", NoQOP: true}
	inWorld(t, auth, func(w *world) {
		w.b.Number("100", lab.Script{lab.Ring(0)})
		p := w.peer()
		p.send(p.message("INVITE", 1, "z9hG4bKi"))
		challenge := p.receive("SIP/2.0 407")
		p.send(p.message("ACK", 1, "z9hG4bKi"))
		_, rest, _ := strings.Cut(challenge, `nonce="`)
		nonce, _, _ := strings.Cut(rest, `"`)
		p.tag = ""
		p.send(p.message("INVITE", 2, "z9hG4bKj", fmt.Sprintf(
			`Proxy-Authorization: Digest username="u", realm="lab", nonce=%q, uri="sip:100@10.0.0.2:5060", response="00"`, nonce)))
		p.receive("SIP/2.0 403")
		p.send(p.message("ACK", 2, "z9hG4bKj"))
		p.tag = ""
		p.send(p.message("INVITE", 3, "z9hG4bKk", fmt.Sprintf(
			`Proxy-Authorization: Digest username="u", realm="lab", nonce=%q, uri="sip:100@10.0.0.2:5060", response=%q`,
			nonce, digestOf("u:lab:p", nonce, "INVITE:sip:100@10.0.0.2:5060"))))
		p.receive("SIP/2.0 180")
		if v := w.b.Violations(); len(v) != 0 {
			w.t.Errorf("violations %q", v)
		}
		_ = p.conn.Close()
	})
}

func digestOf(a1, nonce, a2 string) string {
	hash := func(s string) string {
		sum := md5.Sum([]byte(s))
		return hex.EncodeToString(sum[:])
	}
	return hash(hash(a1) + ":" + nonce + ":" + hash(a2))
}
