package sip

import (
	"net"
	"net/netip"
	"time"
)

// Message is a SIP message on the wire, to or from a peer that we know. What
// strangers send is none, nor are keep-alives.
type Message struct {
	At        time.Time
	Sent      bool
	Transport string         // udp, tcp or tls
	Local     netip.AddrPort // our socket; its address may be unspecified
	Remote    netip.AddrPort
	CallID    []byte // the value of the Call-ID header, a part of Data; empty: there is none
	Data      []byte // as it went over the wire; TLS shows what is inside. Valid during the call only
}

// seen tells Config.OnMessage of a message that was read or written.
func (a *Agent) seen(m Message) {
	if a.cfg.OnMessage == nil || len(m.Data) <= 4 { // keep-alives, RFC 5626 4.4.1
		return
	}
	m.CallID = sniffCallID(m.Data)
	a.cfg.OnMessage(m)
}

// belongs tells Config.OnCall whose a Call-ID is.
func (a *Agent) belongs(callID string, ref DialogRef) {
	if a.cfg.OnCall != nil && ref.Call != "" {
		a.cfg.OnCall(callID, ref)
	}
}

// Bind says which call of ours the INVITE has become, before Answer does. What
// was said of its Call-ID before belongs to that call, too.
func (in *Incoming) Bind(ref DialogRef) { in.a.belongs(in.CallID, ref) }

// WriteTo implements net.PacketConn.
func (l *listener) WriteTo(p []byte, to net.Addr) (int, error) {
	at := time.Now() // the answer may be read before this returns
	n, err := l.PacketConn.WriteTo(p, to)
	if u, ok := to.(*net.UDPAddr); ok && err == nil && l.seen != nil {
		l.seen(Message{At: at, Sent: true, Remote: unmapped(u.AddrPort()), Data: p})
	}
	return n, err
}

// send writes a packet.
func (l *listener) send(p []byte, to netip.AddrPort) error {
	at := time.Now()
	_, err := l.write(p, to)
	if err == nil && l.seen != nil {
		l.seen(Message{At: at, Sent: true, Remote: to, Data: p})
	}
	return err
}

func unmapped(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()) }
