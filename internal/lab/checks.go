package lab

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// blame notes a violation that m shows.
func (c *Carrier) blame(m *Message, format string, args ...any) {
	what := m.Method
	if what == "" {
		_, method := m.cseq()
		what = fmt.Sprintf("%d to %s", m.Status, method)
	}
	c.notes.blame("%s [%s]: %s", what, m.callID(), fmt.Sprintf(format, args...))
}

// checkRequest holds a request against RFC 3261 section 8.1.1.
func (c *Carrier) checkRequest(m *Message, from netip.AddrPort) {
	for _, f := range m.faults {
		c.blame(m, "%s", f)
	}
	for _, name := range []string{"Via", "From", "To", "Call-ID", "CSeq", "Max-Forwards"} {
		if n := len(m.All(name)); n == 0 || n > 1 && name != "Via" {
			c.blame(m, "%d %s headers", n, name)
		}
	}
	if !strings.HasPrefix(m.branch(), magicCookie) {
		c.blame(m, "branch %q does not begin with %s", m.branch(), magicCookie)
	}
	if via := m.All("Via"); len(via) > 0 {
		if by := parseHostPort(sentBy(via[0])); by.IsValid() && by != from && !strings.Contains(via[0], "rport") {
			c.blame(m, "Via says %s, it came from %s, and rport is not asked for", by, from)
		}
	}
	if n, err := strconv.Atoi(m.Get("Max-Forwards")); err == nil && (n < 1 || n > 70) {
		c.blame(m, "Max-Forwards is %d", n)
	}
	if n, method := m.cseq(); method != m.Method || n == 0 {
		c.blame(m, "CSeq is %q", m.Get("CSeq"))
	}
	if m.fromTag() == "" {
		c.blame(m, "From has no tag")
	}
	if len(m.Body) > 0 && m.Get("Content-Type") == "" {
		c.blame(m, "a body without Content-Type")
	}
	if !strings.HasPrefix(m.URI, "sip:") {
		c.blame(m, "Request-URI %q", m.URI)
	}
	c.checkTransport(m)
	c.checkSession(m)
}

// checkContact wants exactly one Contact that can be sent to.
func (c *Carrier) checkContact(m *Message) {
	switch contacts := m.All("Contact"); {
	case len(contacts) != 1:
		c.blame(m, "%d Contact headers", len(contacts))
	case !strings.HasPrefix(uriOf(contacts[0]), "sip:"):
		c.blame(m, "Contact %q is no sip URI", contacts[0])
	}
}

// checkResponse holds a response against its request.
func (c *Carrier) checkResponse(tx *clientTx, m *Message) {
	for _, f := range m.faults {
		c.blame(m, "%s", f)
	}
	for _, name := range []string{"From", "Call-ID", "CSeq"} {
		if m.Get(name) != tx.req.Get(name) && (name != "From" || m.fromTag() != tx.req.fromTag()) {
			c.blame(m, "%s is %q, of the request %q", name, m.Get(name), tx.req.Get(name))
		}
	}
	if n := len(m.All("Via")); n != 1 {
		c.blame(m, "%d Via headers", n)
	}
	if was := tx.req.toTag(); was != "" && m.toTag() != was {
		c.blame(m, "To tag is %q, of the request %q", m.toTag(), was)
	}
	if m.Status > 100 && m.toTag() == "" {
		c.blame(m, "To has no tag")
	}
	if tx.status >= 200 && m.Status < 200 {
		c.blame(m, "provisional response after the final %d", tx.status)
	}
	c.checkTransport(m)
	c.checkSessionAnswer(tx.req, m)
	if _, method := m.cseq(); method == "INVITE" && m.Status/100 == 2 {
		c.checkContact(m)
	}
}

// checkINVITE holds the first INVITE of a call against RFC 3261 section 13.2.1.
func (c *Carrier) checkINVITE(m *Message) {
	c.checkContact(m)
	if m.toTag() != "" {
		c.blame(m, "first INVITE with a To tag")
	}
	if len(m.Body) > 0 && !strings.EqualFold(m.Get("Content-Type"), "application/sdp") {
		c.blame(m, "Content-Type is %q", m.Get("Content-Type"))
	}
	for _, r := range m.All("Require") {
		c.blame(m, "requires %q", r)
	}
}

// checkDialog holds a request inside a dialog against it (RFC 3261 section
// 12.2.1.1). An ACK has the number of its INVITE, others a higher one each.
func (c *Carrier) checkDialog(p *Party, m *Message) {
	n, _ := m.cseq()
	if m.Method != "ACK" {
		if n <= p.remoteSeq {
			c.blame(m, "CSeq %d is not above %d", n, p.remoteSeq)
		}
		p.remoteSeq = max(n, p.remoteSeq)
	}
	if contact := p.contact(); m.URI != contact {
		c.blame(m, "Request-URI %q is not the Contact %q", m.URI, contact)
	}
	var routes []string
	for _, r := range m.All("Route") {
		routes = append(routes, uriOf(r))
	}
	if want := p.recordRoute(); !slices.Equal(routes, want) {
		c.blame(m, "Route is %q, the route set %q", routes, want)
	}
	if m.Method == "INVITE" || m.Method == "UPDATE" {
		c.checkContact(m)
	}
	if !slices.Contains(strings.Split(p.allow(), ", "), m.Method) {
		c.blame(m, "method was not in Allow")
	}
}

// checkACK holds an ACK against the final response it is for.
func (c *Carrier) checkACK(tx *serverTx, f *final, m *Message) {
	n, _ := m.cseq()
	if want, _ := tx.req.cseq(); n != want {
		c.blame(m, "CSeq %d, its INVITE has %d", n, want)
	}
	if m.fromTag() != tx.req.fromTag() {
		c.blame(m, "From tag %q, its INVITE has %q", m.fromTag(), tx.req.fromTag())
	}
	if m.toTag() != f.tag {
		c.blame(m, "To tag %q, its response has %q", m.toTag(), f.tag)
	}
	same := m.branch() == tx.req.branch()
	switch {
	case f.status >= 300 && !same:
		c.blame(m, "branch is not that of the INVITE that got %d", f.status)
	case f.status >= 300 && m.URI != tx.req.URI:
		c.blame(m, "Request-URI %q, its INVITE has %q", m.URI, tx.req.URI)
	case f.status < 300 && same:
		c.blame(m, "ACK to a 2xx has the branch of its INVITE")
	}
	if f.acks++; f.acks > f.sent {
		c.blame(m, "%d ACKs to a response that was sent %d times", f.acks, f.sent)
	}
}

// checkCANCEL holds a CANCEL against the INVITE it ends (RFC 3261 section 9.1).
func (c *Carrier) checkCANCEL(tx *serverTx, m *Message) {
	n, _ := m.cseq()
	if want, _ := tx.req.cseq(); n != want {
		c.blame(m, "CSeq %d, its INVITE has %d", n, want)
	}
	for _, name := range []string{"From", "To", "Call-ID"} {
		if m.Get(name) != tx.req.Get(name) {
			c.blame(m, "%s is %q, of its INVITE %q", name, m.Get(name), tx.req.Get(name))
		}
	}
	if m.URI != tx.req.URI {
		c.blame(m, "Request-URI %q, its INVITE has %q", m.URI, tx.req.URI)
	}
	if !slices.Equal(m.All("Route"), tx.req.All("Route")) {
		c.blame(m, "Route is not that of its INVITE")
	}
	if tx.status == 0 {
		c.blame(m, "before any response to its INVITE")
	}
}
