package trace

import (
	"bytes"
	"net/netip"
	"slices"
	"time"

	"perezvon/media"
	"perezvon/sip"
)

// call is what is kept of a call in progress. It is guarded by Collector.mu.
type call struct {
	id         string
	head, tail []entry // the first messages, and the last ones
	headBytes  int
	tailBytes  int
	leftOut    int
	gap        time.Time // when the first came that was left out
	milestones []milestone
	dialogs    []*dialog
	due        time.Time // when it is stored; zero: that is not planned
	over       bool      // nothing is begun any more
	last       time.Time // when the last message came
}

// dialog is a SIP Call-ID of a call.
type dialog struct {
	call  *call
	id    string
	leg   string
	ports []uint16
}

// entry is a message as it went over the wire, with its secrets.
type entry struct {
	dialog        *dialog
	at            time.Time
	sent          bool
	transport     string
	local, remote netip.AddrPort
	size          int
	data          []byte // not changed: several calls may have it
}

type milestone struct {
	dialog *dialog
	media.Milestone
}

func newEntry(m *sip.Message) entry {
	return entry{
		at: m.At, sent: m.Sent, transport: m.Transport, local: m.Local, remote: m.Remote,
		size: len(m.Data), data: bytes.Clone(m.Data[:min(len(m.Data), MaxMessage)]),
	}
}

// usualMessages is how many a call has that is connected, talks and ends.
const usualMessages = 16

// begin says that the call goes on: it is not stored before it rests again.
func (k *call) begin() {
	if !k.over {
		k.due = time.Time{}
	}
}

// add keeps a message among the first ones while there is room, else among the
// last. It returns by how much more is held.
func (k *call) add(e entry) (bytes int) {
	k.last = e.at
	n := len(e.data)
	if len(k.tail) == 0 && k.leftOut == 0 && len(k.head) < MaxMessages/2 && k.headBytes+n <= MaxBytes/2 {
		if k.head == nil {
			k.head = make([]entry, 0, usualMessages)
		}
		k.head = append(k.head, e)
		k.headBytes += n
		return n
	}
	k.tail = append(k.tail, e)
	k.tailBytes += n
	for len(k.tail) > MaxMessages/2 || k.tailBytes > MaxBytes/2 {
		k.skip(k.tail[0].at)
		out := len(k.tail[0].data)
		k.tail[0] = entry{}
		k.tail = k.tail[1:]
		k.tailBytes -= out
		n -= out
	}
	return n
}

// skip counts a message that is not kept.
func (k *call) skip(at time.Time) {
	if k.leftOut++; k.gap.IsZero() || at.Before(k.gap) {
		k.gap = at
	}
}

// mark keeps a milestone, while there is room.
func (d *dialog) mark(m media.Milestone) {
	if k := d.call; len(k.milestones) < MaxMilestones {
		k.milestones = append(k.milestones, milestone{dialog: d, Milestone: m})
	}
}

// of returns the messages of a dialog.
func (k *call) of(d *dialog) []entry {
	var all []entry
	for _, e := range slices.Concat(k.head, k.tail) {
		if e.dialog == d {
			all = append(all, e)
		}
	}
	return all
}

// offeredPort reads the RTP port out of a session description that we send; 0:
// there is none.
func offeredPort(data []byte) (port uint16) {
	_, number, found := bytes.Cut(data, []byte("\nm=audio "))
	if !found {
		return 0
	}
	n := 0
	for _, c := range number {
		if c < '0' || c > '9' || n > 65535 {
			break
		}
		n = 10*n + int(c-'0')
	}
	if n > 65535 {
		return 0
	}
	return uint16(n)
}

// Bounds of what is kept of INVITEs that belong to no call yet, and may never.
const (
	maxUnbound     = 1 << 20  // bytes of all of them
	maxUnboundOne  = 32 << 10 // bytes of one
	unboundTime    = time.Minute
	inviteAndSpace = "INVITE "
)

// unbound are the messages of INVITEs that came and are no call yet. It is
// guarded by Collector.mu.
type unbound struct {
	byID  map[string]*early
	order []*early // by time
	bytes int
}

// early is an INVITE with what belongs to it.
type early struct {
	id      string
	at      time.Time
	bytes   int
	entries []entry
	gone    bool
}

func newUnbound() unbound { return unbound{byID: make(map[string]*early)} }

// add keeps an INVITE that came, or a message that belongs to one.
func (u *unbound) add(m *sip.Message) {
	r := u.byID[string(m.CallID)]
	if r == nil {
		if m.Sent || !bytes.HasPrefix(m.Data, []byte(inviteAndSpace)) {
			return
		}
		r = &early{id: string(m.CallID), at: m.At}
		u.byID[r.id] = r
		u.order = append(u.order, r)
	}
	if r.bytes+min(len(m.Data), MaxMessage) <= maxUnboundOne {
		e := newEntry(m)
		r.entries = append(r.entries, e)
		r.bytes += len(e.data)
		u.bytes += len(e.data)
	}
	for len(u.order) > 0 && (u.order[0].gone || u.bytes > maxUnbound || m.At.Sub(u.order[0].at) > unboundTime) {
		u.drop(u.order[0])
		u.order[0] = nil
		u.order = u.order[1:]
	}
}

// take returns the messages of a Call-ID and forgets them.
func (u *unbound) take(id string) []entry {
	r := u.byID[id]
	if r == nil {
		return nil
	}
	all := r.entries
	u.drop(r)
	return all
}

func (u *unbound) drop(r *early) {
	if r.gone {
		return
	}
	delete(u.byID, r.id)
	u.bytes -= r.bytes
	r.entries, r.gone = nil, true
}
