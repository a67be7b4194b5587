package lab

import (
	"fmt"
	"net/netip"
	"strings"
	"time"
)

// serverTx is a request that was received, and how it is answered.
type serverTx struct {
	req     *Message
	from    netip.AddrPort
	party   *Party // nil for requests outside of calls
	last    []byte // the latest response, repeated when the request is
	status  int    // of the latest response, 0 before it
	waiting int    // final responses to INVITE that wait for their ACK
	finals  []*final
	repeats int // of the request
	born    time.Time
}

// final is a final response to an INVITE, repeated until its ACK comes. When
// a call forks there are several, each with its own tag.
type final struct {
	tag    string
	status int
	raw    []byte
	sent   int
	acks   int
	deaf   int           // so many ACKs are taken for lost, -1: all
	acked  chan struct{} // closed at the ACK that is heard
	onACK  func(*Message)
	onLost func() // no ACK came in time
}

// serverKey tells transactions apart (RFC 3261 section 17.2.3).
func serverKey(m *Message, method string) string {
	via := ""
	if all := m.All("Via"); len(all) > 0 {
		via = sentBy(all[0])
	}
	return m.branch() + " " + via + " " + method
}

// sentBy is the host and port of a Via.
func sentBy(via string) string {
	_, rest, _ := strings.Cut(via, " ")
	host, _, _ := strings.Cut(rest, ";")
	return strings.TrimSpace(host)
}

// begin remembers a new request. mu is held, as in all that follows.
func (c *Carrier) begin(m *Message, from netip.AddrPort, p *Party) *serverTx {
	now := time.Now()
	for key, tx := range c.server {
		if tx.waiting == 0 && tx.status >= 200 && now.Sub(tx.born) > 4*giveUp {
			delete(c.server, key)
		}
	}
	tx := &serverTx{req: m, from: from, party: p, born: now}
	c.server[serverKey(m, m.Method)] = tx
	return tx
}

// response starts an answer to the request with what must be copied from it.
// The top Via gets the address the request really came from (RFC 3581).
func (tx *serverTx) response(status int, phrase, tag string) *Message {
	res := &Message{Status: status, Phrase: phrase}
	for i, via := range tx.req.All("Via") {
		if i == 0 {
			via = strings.Replace(via, ";rport", "", 1) + fmt.Sprintf(";received=%s;rport=%d", tx.from.Addr(), tx.from.Port())
		}
		res.add("Via", via)
	}
	res.add("From", tx.req.Get("From"))
	to := tx.req.Get("To")
	if tag != "" && tx.req.toTag() == "" {
		to += ";tag=" + tag
	}
	res.add("To", to)
	res.add("Call-ID", tx.req.callID())
	res.add("CSeq", tx.req.Get("CSeq"))
	return res
}

func (c *Carrier) respond(tx *serverTx, res *Message) {
	tx.last, tx.status = c.send(tx.from, res), max(tx.status, res.Status)
}

func (c *Carrier) respondAgain(tx *serverTx, raw []byte) {
	if c.lines == nil {
		c.resend(tx.from, raw)
		return
	}
	c.lines.send(tx.from, parseHostPort(sentBy(tx.req.All("Via")[0])), raw)
}

// respondINVITE sends a final response to an INVITE and repeats it until its
// ACK, at longest for 64*T1 (RFC 3261 sections 13.3.1.4 and 17.2.1).
func (c *Carrier) respondINVITE(tx *serverTx, res *Message, f *final) *final {
	c.respond(tx, res)
	f.tag, f.status, f.raw = param(res.Get("To"), "tag"), res.Status, tx.last
	f.sent, f.acked = 1, make(chan struct{})
	tx.finals = append(tx.finals, f)
	tx.waiting++
	c.spawn(func() { c.repeatFinal(tx, f) })
	return f
}

func (c *Carrier) repeatFinal(tx *serverTx, f *final) {
	wait := t1
	lost := time.NewTimer(giveUp)
	defer lost.Stop()
	again := time.NewTimer(wait)
	defer again.Stop()
	for {
		select {
		case <-f.acked:
			return
		case <-c.ctx.Done():
			return
		case <-lost.C:
			c.mu.Lock()
			c.finalLost(tx, f)
			c.mu.Unlock()
			return
		case <-again.C:
			if c.lines != nil && f.status >= 300 { // RFC 3261 section 17.2.1
				continue
			}
			c.mu.Lock()
			c.respondAgain(tx, f.raw)
			f.sent++
			c.mu.Unlock()
			wait = min(2*wait, t2)
			again.Reset(wait)
		}
	}
}

func (c *Carrier) finalLost(tx *serverTx, f *final) {
	select {
	case <-f.acked: // just in time
		return
	default:
	}
	tx.waiting--
	if f.acks == 0 {
		c.blame(tx.req, "no ACK to %d in %s", f.status, giveUp)
	}
	if f.onLost != nil {
		f.onLost()
	}
	c.touch()
}

// clientTx is a request of ours and what is answered to it.
type clientTx struct {
	req     *Message
	raw     []byte
	to      netip.AddrPort
	party   *Party
	quiet   chan struct{}       // closed when the request need not be repeated
	first   chan struct{}       // closed at the first response
	final   chan *Message       // gets the first final response
	expired chan struct{}       // closed when none came in time
	status  int                 // latest
	takes   func(*Message)      // every response but repeated finals; mu is held
	acks    map[string]datagram // by To-tag
	born    time.Time
}

type datagram struct {
	to  netip.AddrPort
	raw []byte
}

// request sends m, which has everything but its Via, and repeats it as RFC
// 3261 section 17.1 says. A response is handed to takes.
func (c *Carrier) request(p *Party, m *Message, to netip.AddrPort, takes func(*Message)) *clientTx {
	return c.requestWith(p, m, to, magicCookie+newTag(), takes)
}

func (c *Carrier) requestWith(p *Party, m *Message, to netip.AddrPort, branch string, takes func(*Message)) *clientTx {
	now := time.Now()
	for key, tx := range c.client {
		if tx.status >= 200 && now.Sub(tx.born) > 4*giveUp {
			delete(c.client, key)
		}
	}
	first := []field{{"Via", fmt.Sprintf("SIP/2.0/%s %s;branch=%s;rport", c.transport(), c.addr, branch)}}
	if m.Get("Max-Forwards") == "" {
		first = append(first, field{"Max-Forwards", "70"})
	}
	m.fields = append(first, m.fields...)
	tx := &clientTx{
		req: m, to: to, party: p, takes: takes, born: now, acks: make(map[string]datagram),
		quiet: make(chan struct{}), first: make(chan struct{}), final: make(chan *Message, 1), expired: make(chan struct{}),
	}
	c.client[branch+" "+m.Method] = tx
	tx.raw = c.send(to, m)
	c.spawn(func() { c.repeatRequest(tx) })
	return tx
}

func (c *Carrier) repeatRequest(tx *clientTx) {
	wait := t1
	lost := time.NewTimer(giveUp)
	defer lost.Stop()
	again := time.NewTimer(wait)
	defer again.Stop()
	for {
		select {
		case <-tx.quiet:
			return
		case <-c.ctx.Done():
			return
		case <-lost.C:
			close(tx.expired)
			return
		case <-again.C:
			if c.lines != nil { // RFC 3261 section 17.1.1.2
				continue
			}
			c.resend(tx.to, tx.raw)
			if wait *= 2; tx.req.Method != "INVITE" {
				wait = min(wait, t2)
			}
			again.Reset(wait)
		}
	}
}

// takeResponse finds the request that a response belongs to.
func (c *Carrier) takeResponse(m *Message) {
	_, method := m.cseq()
	tx := c.client[m.branch()+" "+method]
	if tx == nil {
		c.blame(m, "response %d matches no request", m.Status)
		return
	}
	c.checkResponse(tx, m)
	if m.Status >= 200 && tx.status >= 200 {
		c.repeatedFinal(tx, m)
		return
	}
	if tx.status == 0 {
		close(tx.first)
	}
	tx.status = m.Status
	if m.Status >= 200 || method == "INVITE" {
		closeOnce(tx.quiet)
	}
	if method == "INVITE" && m.Status >= 300 {
		c.ackFailure(tx, m)
	}
	if tx.takes != nil {
		tx.takes(m)
	}
	if m.Status >= 200 {
		tx.final <- m
	}
}

// repeatedFinal sends the ACK again, when there was one.
func (c *Carrier) repeatedFinal(tx *clientTx, m *Message) {
	if p := tx.party; p != nil && p.sent == tx && m.Status < 300 {
		p.okay++
	}
	if ack, ok := tx.acks[m.toTag()]; ok {
		c.resend(ack.to, ack.raw)
	} else if tx.req.Method == "INVITE" && m.Status >= 300 {
		c.blame(m, "second final response %d with another To tag", m.Status)
	}
}

// ackFailure acknowledges a final response that is not a 2xx: it belongs to
// the transaction of its INVITE (RFC 3261 section 17.1.1.3).
func (c *Carrier) ackFailure(tx *clientTx, m *Message) {
	ack := &Message{Method: "ACK", URI: tx.req.URI}
	ack.add("Via", tx.req.Get("Via"))
	for _, r := range tx.req.All("Route") {
		ack.add("Route", r)
	}
	n, _ := tx.req.cseq()
	ack.add("Max-Forwards", "70")
	ack.add("From", tx.req.Get("From"))
	ack.add("To", m.Get("To"))
	ack.add("Call-ID", tx.req.callID())
	ack.add("CSeq", fmt.Sprintf("%d ACK", n))
	tx.acks[m.toTag()] = datagram{tx.to, c.send(tx.to, ack)}
}

func closeOnce(ch chan struct{}) {
	select {
	case <-ch:
	default:
		close(ch)
	}
}
