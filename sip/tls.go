package sip

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"
)

const (
	leastTLS = tls.VersionTLS12
	// handshakeTime is how long whoever connects may take for the handshake.
	handshakeTime = 10 * time.Second
)

// serverTLS is what is spoken with whoever connects, nil where nobody may.
func serverTLS(cfg *tls.Config) *tls.Config {
	if cfg == nil {
		return nil
	}
	cfg = cfg.Clone()
	cfg.MinVersion = max(cfg.MinVersion, leastTLS)
	return cfg
}

// clientTLS is what is spoken with a trunk over TLS, nil over anything else.
// The name to be proved is that of the host that requests are sent to: the one
// that was configured and not the one that a SRV record leads to, which
// whoever answers for the DNS may choose (RFC 5922 section 4).
func clientTLS(t *trunk) *tls.Config {
	if t.hop().transport != transportTLS {
		return nil
	}
	cfg := &tls.Config{MinVersion: leastTLS}
	if t.TLS != nil {
		cfg = t.TLS.Clone()
	}
	cfg.MinVersion = max(cfg.MinVersion, leastTLS)
	if cfg.ServerName == "" {
		cfg.ServerName = t.hop().host
	}
	return cfg
}

// sameTLS reports whether two trunks are verified in the same way: by the same
// authorities and for the same name. Whatever else is set has to be the same
// configuration.
func sameTLS(a, b *tls.Config) bool {
	if a == b {
		return true
	}
	if a == nil || b == nil || a.ServerName != b.ServerName || a.InsecureSkipVerify != b.InsecureSkipVerify || a.MinVersion != b.MinVersion ||
		!a.RootCAs.Equal(b.RootCAs) {
		return false
	}
	return plainTLS(a) && plainTLS(b)
}

// plainTLS reports whether nothing else is set that says who is trusted.
func plainTLS(c *tls.Config) bool {
	return c.VerifyConnection == nil && c.VerifyPeerCertificate == nil && c.GetClientCertificate == nil && len(c.Certificates) == 0 &&
		c.MaxVersion == 0 && len(c.CipherSuites) == 0 && c.Time == nil
}

// prover is the trunk whose certificate a connection to an address has to show:
// that of the name if it is over TLS, else one that has the address, nil if
// there is none.
func (d *directory) prover(name string, to netip.AddrPort) *trunk {
	if t := d.trunk(name); t != nil && t.secure != nil {
		return t
	}
	for _, t := range d.trunks() {
		if t.secure != nil && t.at(to) {
			return t
		}
	}
	return nil
}

var errNoTrunk = errors.New("its trunk is not configured any more")

// shakeHands makes a connection of ours one over TLS. A trunk has to prove its
// name. A phone at a fixed contact cannot: nobody gives certificates to desks,
// so that the connection to it is secret and no more.
func (r *streams) shakeHands(ctx context.Context, conn net.Conn, t *trunk) (net.Conn, error) {
	cfg := &tls.Config{MinVersion: leastTLS, InsecureSkipVerify: true} //nolint:gosec // of a phone there is no name to verify
	if t != nil {
		cfg = t.secure
	}
	if cfg == nil {
		_ = conn.Close() // never used
		return nil, errNoTrunk
	}
	own := &timely{Conn: conn}
	if cfg = cfg.Clone(); cfg.GetClientCertificate == nil {
		cfg.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			own.asked = true
			return new(tls.Certificate), nil // none
		}
	}
	secured := tls.Client(own, cfg)
	err := secured.HandshakeContext(ctx)
	if err == nil {
		return secured, nil
	}
	_ = conn.Close() // never used
	if own.asked && alerted(err) {
		return nil, wishes(t)
	}
	if t == nil {
		return nil, unshaken(err)
	}
	return nil, untrusted(err, cfg.ServerName)
}

// Connect makes sure that there is a connection to a trunk over TCP or TLS, to
// any of its addresses, for which nothing is sent to it. The error says in
// words what is wrong: ErrUnknownTarget, no address, or what is said of the
// first one.
func (a *Agent) Connect(ctx context.Context, name string) error {
	t := a.peers.trunk(name)
	if t == nil {
		return ErrUnknownTarget
	}
	dests, f := a.addresses(ctx, t, netip.AddrPort{})
	if f != nil {
		return f
	}
	var first error
	for _, dest := range dests {
		limited, cancel := context.WithTimeout(ctx, t.patience())
		start := time.Now()
		_, _, err := a.streams.get(limited, a.streams.by(t.hop().transport, name, dest))
		cancel()
		if err == nil {
			return nil
		}
		if first == nil {
			first = notSent(t.where(dest.String()), time.Since(start), err)
		}
	}
	return first
}

// greet does the handshake with whoever connected, who has a place.
func (r *streams) greet(p *place, remote netip.AddrPort) {
	limit := handshakeTime
	if !r.a.peers.allows(p.from) {
		limit = streamFirst
	}
	ctx, cancel := context.WithTimeout(r.ctx, limit)
	defer cancel()
	secured := tls.Server(&timely{Conn: p.conn}, r.secure)
	err := secured.HandshakeContext(ctx)
	if err == nil {
		r.add(secured, way{transport: transportTLS, to: remote}, nil, p)
		return
	}
	_ = p.conn.Close() // never used
	crowded := r.unreserve(p)
	if r.ctx.Err() != nil {
		return
	}
	r.unshaken.Add(1)
	switch {
	case crowded:
		err = errCrowded
	case ctx.Err() != nil:
		err = fmt.Errorf("%w within %s", errHandshake, limit)
	}
	if suppressed, tell := r.strangled.press(remote.Addr(), time.Now()); tell {
		r.a.log.Info("sip: no TLS with whoever connected", "from", remote, "why", distrusted(err), "suppressed", suppressed)
	}
}

var errHandshake = errors.New("the handshake was not finished")

// timely is a connection on which no write takes for ever: TLS writes when it
// was asked to read, too.
type timely struct {
	net.Conn
	asked bool // for a certificate of ours, in the handshake
}

// Write implements net.Conn.
func (c *timely) Write(b []byte) (int, error) {
	if err := c.SetWriteDeadline(time.Now().Add(streamWrite)); err != nil {
		return 0, err
	}
	return c.Conn.Write(b)
}

// sayGoodbye tells the far side of a connection that it ends here, so that it
// knows that nothing was cut off.
func sayGoodbye(conn net.Conn) {
	if c, ok := conn.(*tls.Conn); ok {
		_ = c.CloseWrite() // it ends anyway
	}
}
