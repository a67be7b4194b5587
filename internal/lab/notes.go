package lab

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"
)

// notes are what a carrier writes down about its peers.
type notes struct {
	mu         sync.Mutex
	violations []string            // guarded by mu
	seen       map[string]struct{} // guarded by mu; violations, each is noted once
	ladder     []string            // guarded by mu
	began      time.Time           // guarded by mu; of the ladder
}

// blame notes a violation. The same words are noted once.
func (n *notes) blame(format string, args ...any) {
	n.mu.Lock()
	defer n.mu.Unlock()
	text := fmt.Sprintf(format, args...)
	if _, known := n.seen[text]; known || len(n.violations) >= 1000 {
		return
	}
	if n.seen == nil {
		n.seen = make(map[string]struct{})
	}
	n.seen[text] = struct{}{}
	n.violations = append(n.violations, text)
}

// see writes a message into the ladder.
func (n *notes) see(arrow string, peer netip.AddrPort, m *Message) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.ladder) >= maxLadder {
		return
	}
	if n.began.IsZero() {
		n.began = time.Now()
	}
	body := ""
	if len(m.Body) > 0 {
		body = fmt.Sprintf(" +%d bytes", len(m.Body))
	}
	n.ladder = append(n.ladder, fmt.Sprintf("%9.3fs %s %s %s [%s, CSeq %s]%s", time.Since(n.began).Seconds(),
		arrow, peer, m.start(), m.callID(), m.Get("CSeq"), body))
}

// Violations are all things that peers had no right to do: against the RFCs,
// or against what was agreed on with them. A test expects none.
func (c *Carrier) Violations() []string {
	c.notes.mu.Lock()
	defer c.notes.mu.Unlock()
	return slices.Clone(c.notes.violations)
}

// Ladder is every SIP message sent and received, one a line, for reading.
func (c *Carrier) Ladder() string {
	c.notes.mu.Lock()
	defer c.notes.mu.Unlock()
	return strings.Join(c.notes.ladder, "\n")
}
