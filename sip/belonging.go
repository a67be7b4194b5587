package sip

import (
	"net/netip"
	"slices"
	"time"

	sipmsg "github.com/emiago/sipgo/sip"
)

// kin is whom a dialog is with.
type kin struct {
	trunks    []string // of an INVITE that may come from several, all of them
	extension string
}

// uses reports whether a packet from the address may be of one of the kin.
func (p *directory) uses(k kin, ip netip.Addr) bool {
	for _, name := range k.trunks {
		t := p.trunk(name)
		if t == nil {
			continue
		}
		if t.mayUse(ip) || t.host.on(ip) || t.proxy != nil && t.proxy.on(ip) {
			return true
		}
	}
	e := p.extension(k.extension)
	return e != nil && (e.hop != nil && e.hop.on(ip) || p.phones.holds(k.extension, ip))
}

// belongs reports whether an address is one of the dialog's peer: of its trunk
// or phone, its Contact, its route set, or where it was last heard from.
// Whoever knows the tags must be there too: other peers of ours might.
func (d *Dialog) belongs(ip netip.Addr) bool {
	d.mu.Lock()
	known := slices.Contains(d.addrs, ip) || d.heard == ip
	k, target, routes := d.kin, d.rec.Target, d.rec.RouteSet
	d.mu.Unlock()
	if known || d.a.peers.uses(k, ip) {
		return true
	}
	return slices.ContainsFunc(append([]string{target}, routes...), func(s string) bool {
		uri, err := parseURI(s)
		if err != nil {
			return false
		}
		host, err := netip.ParseAddr(uri.Host)
		return err == nil && host.Unmap() == ip
	})
}

// heardFrom notes where a response to our INVITE came from.
func (d *Dialog) heardFrom(ip netip.Addr) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.heard = ip
}

// side is where an INVITE came from: an address, and whose it may be.
type side struct {
	addr netip.Addr
	kin  kin
}

func (a *Agent) sideOf(invite *sipmsg.Request) side {
	trunks, ext := a.whose(invite)
	return side{addr: sourceOf(invite).Addr(), kin: kin{trunks: trunks, extension: ext}}
}

// onSide reports whether a packet from the address may be of who sent the
// INVITE.
func (a *Agent) onSide(s side, ip netip.Addr) bool { return s.addr == ip || a.peers.uses(s.kin, ip) }

// refuseForeign answers a request that names a dialog of somebody else's.
func (a *Agent) refuseForeign(d *Dialog, req *sipmsg.Request, tx *sipmsg.ServerTx) bool {
	if d.belongs(sourceOf(req).Addr()) {
		return false
	}
	a.refuse(req.Method, req, tx)
	return true
}

// refuse answers a request in a call of somebody else's as if there were none.
func (a *Agent) refuse(method sipmsg.RequestMethod, req *sipmsg.Request, tx *sipmsg.ServerTx) {
	src := sourceOf(req)
	a.foreign.Add(1)
	if suppressed, tell := a.doorbell.press(src.Addr(), time.Now()); tell {
		a.log.Warn("sip: request in a call refused: it comes from no address of the call's other side; see trunks[].peers",
			"method", string(method), "from", src, "call_id", callID(req), "suppressed", suppressed)
	}
	a.respond(req, tx, sipmsg.StatusCallTransactionDoesNotExists, "Call/Transaction Does Not Exist")
}
