package sip

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"perezvon/internal/memnet"
)

const (
	agentAddr   = "10.0.0.1:5060"
	carrierAddr = "10.0.0.9:5060"
	phoneAddr   = "10.0.0.50:5060"
	testOffer   = "v=0\r\no=- 1 1 IN IP4 10.0.0.1\r\ns=-\r\nc=IN IP4 10.0.0.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 8\r\n"
	testSDP     = "v=0\r\no=- 7 7 IN IP4 10.0.0.9\r\ns=-\r\nc=IN IP4 10.0.0.9\r\nt=0 0\r\nm=audio 6000 RTP/AVP 8\r\n"
)

// message is a SIP message taken apart with nothing but strings.
type message struct {
	raw, start, body string
	lines            []string
	from             netip.AddrPort
}

func parseRaw(raw string, from netip.AddrPort) message {
	head, body, _ := strings.Cut(raw, "\r\n\r\n")
	lines := strings.Split(head, "\r\n")
	return message{raw: raw, start: lines[0], lines: lines[1:], body: body, from: from}
}

func (m message) all(name string) []string {
	var out []string
	for _, l := range m.lines {
		if n, v, ok := strings.Cut(l, ":"); ok && strings.EqualFold(strings.TrimSpace(n), name) {
			out = append(out, strings.TrimSpace(v))
		}
	}
	return out
}

func (m message) get(name string) string {
	if v := m.all(name); len(v) > 0 {
		return v[0]
	}
	return ""
}

func (m message) tag(header string) string {
	_, tag, _ := strings.Cut(m.get(header), ";tag=")
	return tag
}

func (m message) is(what string) bool {
	return strings.HasPrefix(m.start, what+" ") || strings.HasPrefix(m.start, "SIP/2.0 "+what+" ")
}

func (m message) uri() string { return strings.Fields(m.start)[1] }

// peer is a SIP endpoint that a test plays by hand.
type peer struct {
	t    *testing.T
	conn *memnet.Conn
	addr string
	tag  string
	seen map[string]bool
	to   string // where it sends
	wire *wire  // set: it speaks TCP
}

func newPeer(t *testing.T, n *memnet.Net, addr string) *peer {
	t.Helper()
	p := &peer{t: t, conn: n.MustListen(addr), addr: addr, tag: "peer-" + strings.ReplaceAll(addr, ":", "-"), seen: map[string]bool{}, to: agentAddr}
	t.Cleanup(func() { _ = p.conn.Close() })
	return p
}

// read returns the next packet, false if none comes in time.
func (p *peer) read(wait time.Duration) (message, bool) {
	p.t.Helper()
	if p.wire != nil {
		return p.wire.read(wait)
	}
	_ = p.conn.SetReadDeadline(time.Now().Add(wait))
	buf := make([]byte, 65535)
	n, from, err := p.conn.ReadFromUDPAddrPort(buf)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return message{}, false
	}
	if err != nil {
		p.t.Fatalf("%s: read: %v", p.addr, err)
	}
	return parseRaw(string(buf[:n]), from), true
}

// expect returns the next message, which must be this method or status.
// Retransmissions of what it has seen are skipped.
func (p *peer) expect(what string) message {
	p.t.Helper()
	return p.within(40*time.Second, what)
}

func (p *peer) within(wait time.Duration, what string) message {
	p.t.Helper()
	until := time.Now().Add(wait)
	for {
		m, ok := p.read(time.Until(until))
		if !ok {
			p.t.Fatalf("%s: no %s within %s", p.addr, what, wait)
		}
		if p.seen[m.raw] {
			continue
		}
		p.seen[m.raw] = true
		if !m.is(what) {
			p.t.Fatalf("%s: got %q, want %s\n%s", p.addr, m.start, what, m.raw)
		}
		return m
	}
}

// silent fails if anything new comes.
func (p *peer) silent(wait time.Duration) {
	p.t.Helper()
	until := time.Now().Add(wait)
	for {
		m, ok := p.read(time.Until(until))
		if !ok {
			return
		}
		if !p.seen[m.raw] {
			p.t.Fatalf("%s: unexpected message\n%s", p.addr, m.raw)
		}
	}
}

func (p *peer) send(raw string) {
	p.t.Helper()
	if p.wire != nil {
		p.wire.send(raw)
		return
	}
	if _, err := p.conn.WriteToUDPAddrPort([]byte(raw), netip.MustParseAddrPort(p.to)); err != nil {
		p.t.Fatalf("%s: send: %v", p.addr, err)
	}
}

// response is what answers a request, as a string: extra are header lines, or
// "body:" and a session description.
func (p *peer) response(req message, status string, extra ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "SIP/2.0 %s\r\n", status)
	for _, v := range req.all("Via") {
		fmt.Fprintf(&b, "Via: %s\r\n", v)
	}
	to := req.get("To")
	if !strings.Contains(to, ";tag=") && !strings.HasPrefix(status, "100") {
		to += ";tag=" + p.tag
	}
	fmt.Fprintf(&b, "From: %s\r\nTo: %s\r\nCall-ID: %s\r\nCSeq: %s\r\n", req.get("From"), to, req.get("Call-ID"), req.get("CSeq"))
	b.WriteString(p.finish(extra))
	return b.String()
}

func (p *peer) finish(extra []string) string {
	var b strings.Builder
	body, contact, kind := "", false, false
	for _, e := range extra {
		if rest, ok := strings.CutPrefix(e, "body:"); ok {
			body = rest
			continue
		}
		contact = contact || strings.HasPrefix(e, "Contact:")
		kind = kind || strings.HasPrefix(e, "Content-Type:")
		b.WriteString(e + "\r\n")
	}
	if !contact {
		fmt.Fprintf(&b, "Contact: <sip:peer@%s%s>\r\n", p.addr, p.wire.param())
	}
	if body != "" && !kind {
		b.WriteString("Content-Type: application/sdp\r\n")
	}
	fmt.Fprintf(&b, "Content-Length: %d\r\n\r\n%s", len(body), body)
	return b.String()
}

func (p *peer) reply(req message, status string, extra ...string) {
	p.t.Helper()
	p.send(p.response(req, status, extra...))
}

// request is a request outside of any dialog unless to has a tag.
func (p *peer) request(method, uri, branch, from, to, callID string, cseq int, extra ...string) string {
	return fmt.Sprintf("%s %s SIP/2.0\r\nVia: SIP/2.0/%s %s;branch=z9hG4bK%s;rport\r\nMax-Forwards: 70\r\n"+
		"From: %s\r\nTo: %s\r\nCall-ID: %s\r\nCSeq: %d %s\r\n", method, uri, p.wire.name(), p.addr, branch, from, to, callID, cseq, method) + p.finish(extra)
}

// inside is a request in the dialog of an INVITE that the agent sent.
func (p *peer) inside(invite message, method string, cseq int, extra ...string) string {
	return p.request(method, "sip:agent@"+agentAddr, fmt.Sprintf("%s%d", method, cseq), invite.get("To")+";tag="+p.tag, invite.get("From"),
		invite.get("Call-ID"), cseq, extra...)
}

// bed is a network with an agent on it.
type bed struct {
	t       *testing.T
	net     *memnet.Net
	agent   *Agent
	carrier *peer
	phone   *peer
	log     *logBuffer
	journal *testJournal
}

// testAgent builds an agent with the trunk "carrier" and the extension 101,
// both played by hand. What is done before comes first. It is closed at the end of the test, and whatever it
// has left behind makes the bubble fail.
func testAgent(t *testing.T, adjust func(*Config), before ...func(*memnet.Net)) *bed {
	t.Helper()
	n := memnet.New()
	for _, f := range before {
		f(n)
	}
	b := &bed{t: t, net: n, carrier: newPeer(t, n, carrierAddr), phone: newPeer(t, n, phoneAddr), log: &logBuffer{}, journal: &testJournal{recs: map[string]DialogRecord{}}}
	cfg := Config{
		Listen:     []net.PacketConn{n.MustListen(agentAddr)},
		UserAgent:  "Perezvon/test",
		Trunks:     []Trunk{{Name: "carrier", Host: carrierAddr}},
		Extensions: []Extension{{Number: "101", Contact: "sip:101@" + phoneAddr}},
		Journal:    b.journal,
		Handle:     func(context.Context, *Incoming) {},
		Logger:     slog.New(slog.NewTextHandler(b.log, nil)),
	}
	if adjust != nil {
		adjust(&cfg)
	}
	a, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := a.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.agent = a
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = a.Close(ctx) // tests leave dialogs open
		if s := a.Stats(); s.Panics != 0 && !strings.Contains(t.Name(), "panic") {
			t.Errorf("%d panics:\n%s", s.Panics, b.log)
		}
	})
	return b
}

// inBubble runs a test under virtual time.
func inBubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, f)
}

type outcome struct {
	d   *Dialog
	err error
}

// invite starts a call to the carrier and returns where its outcome comes.
func (b *bed) invite(ctx context.Context, inv Invite) <-chan outcome {
	if inv.Media == nil {
		inv.Media = &testMedia{}
	}
	if inv.Target == (Target{}) {
		inv.Target = Target{Trunk: "carrier"}
	}
	if inv.User == "" {
		inv.User = "74951234567"
	}
	out := make(chan outcome, 1)
	go func() {
		d, err := b.agent.Invite(ctx, inv)
		out <- outcome{d, err}
	}()
	return out
}

// answered has a call to the carrier up.
func (b *bed) answered(inv Invite) (*Dialog, message) {
	b.t.Helper()
	out := b.invite(b.t.Context(), inv)
	req := b.carrier.expect("INVITE")
	b.carrier.reply(req, "200 OK", "body:"+testSDP)
	b.carrier.expect("ACK")
	o := <-out
	if o.err != nil {
		b.t.Fatal(o.err)
	}
	return o.d, req
}

func failure(t *testing.T, o outcome) *Failure {
	t.Helper()
	var f *Failure
	if !errors.As(o.err, &f) {
		t.Fatalf("outcome %v, %v: want a *Failure", o.d, o.err)
	}
	return f
}

// testMedia is a Negotiator that remembers.
type testMedia struct {
	mu     sync.Mutex
	calls  []string // guarded by mu
	refuse error
}

func (m *testMedia) note(what string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.calls = append(m.calls, what)
}

func (m *testMedia) log() []string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.calls)
}

func (m *testMedia) CreateOffer() ([]byte, error) {
	m.note("create offer")
	return []byte(testOffer), nil
}

func (m *testMedia) AcceptOffer(offer []byte) ([]byte, error) {
	m.note("offer " + origin(offer))
	return []byte(testOffer), m.refuse
}

func (m *testMedia) AcceptAnswer(answer []byte) error {
	m.note("answer " + origin(answer))
	return m.refuse
}

// origin is the o= line, which tells one description from another.
func origin(sdp []byte) string {
	_, rest, _ := strings.Cut(string(sdp), "o=")
	line, _, _ := strings.Cut(rest, "\r\n")
	return line
}

func sdpOf(id string) string { return strings.Replace(testSDP, "o=- 7 7", "o=- "+id+" 7", 1) }

// testJournal keeps records in memory; block, where set, is waited for.
type testJournal struct {
	mu    sync.Mutex
	recs  map[string]DialogRecord // guarded by mu
	log   []string                // guarded by mu
	block chan struct{}
	fail  error
	saved func(DialogRecord) // called first; may be nil
}

func (j *testJournal) SaveDialog(rec DialogRecord) func(context.Context) error {
	if j.saved != nil {
		j.saved(rec)
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.recs[rec.ID] = rec
	j.log = append(j.log, "save "+rec.Role+" "+rec.State)
	return func(ctx context.Context) error {
		if j.block != nil {
			select {
			case <-j.block:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return j.fail
	}
}

func (j *testJournal) DeleteDialog(id string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	delete(j.recs, id)
	j.log = append(j.log, "delete")
}

func (j *testJournal) entries() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.log)
}

func (j *testJournal) size() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return len(j.recs)
}

func (j *testJournal) only(t *testing.T) DialogRecord {
	t.Helper()
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.recs) != 1 {
		t.Fatalf("%d records in the journal, want 1", len(j.recs))
	}
	for _, r := range j.recs {
		return r
	}
	return DialogRecord{}
}

// logBuffer is a log that can be read while it is written.
type logBuffer struct {
	mu sync.Mutex
	b  strings.Builder // guarded by mu
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

var _ io.Writer = (*logBuffer)(nil)

// size is how many dialogs the agent remembers.
func (c *calls) size() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.byTag)
}
