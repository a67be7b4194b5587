package sip

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	sipmsg "github.com/emiago/sipgo/sip"
)

const allowed = "INVITE, ACK, CANCEL, BYE, OPTIONS, INFO, UPDATE, REFER"

// request builds a new request of a dialog, or of an INVITE that has none yet.
// Every transaction gets a request of its own: the library takes a request
// that is sent again for a retransmission.
func (a *Agent) request(rec *DialogRecord, method sipmsg.RequestMethod, seq uint32, branch string) (*sipmsg.Request, error) {
	uri, routes, err := routing(rec)
	if err != nil {
		return nil, err
	}
	host, port, err := sipmsg.ParseAddr(rec.ViaSentBy)
	if err != nil {
		return nil, fmt.Errorf("via %q: %w", rec.ViaSentBy, err)
	}
	laddr, err := netip.ParseAddrPort(rec.Listener)
	if err != nil {
		return nil, fmt.Errorf("listener %q: %w", rec.Listener, err)
	}
	transport := strings.ToUpper(rec.transport())
	req := sipmsg.NewRequest(method, uri)
	via := &sipmsg.ViaHeader{ProtocolName: "SIP", ProtocolVersion: "2.0", Transport: transport, Host: host, Port: port}
	via.Params = sipmsg.HeaderParams{{K: "branch", V: branch}, {K: "rport"}}
	req.AppendHeader(via)
	hops := sipmsg.MaxForwardsHeader(maxForwards)
	req.AppendHeader(&hops)
	for _, r := range routes {
		req.AppendHeader(sipmsg.NewHeader("Route", r))
	}
	id := sipmsg.CallIDHeader(rec.CallID)
	req.AppendHeader(sipmsg.NewHeader("From", tagged(rec.LocalURI, rec.LocalTag)))
	req.AppendHeader(sipmsg.NewHeader("To", tagged(rec.RemoteURI, rec.RemoteTag)))
	req.AppendHeader(&id)
	req.AppendHeader(&sipmsg.CSeqHeader{SeqNo: seq, MethodName: method})
	if a.cfg.UserAgent != "" && method != sipmsg.ACK {
		req.AppendHeader(sipmsg.NewHeader("User-Agent", a.cfg.UserAgent))
	}
	req.SetTransport(transport)
	req.SetDestination(rec.Destination)
	req.Laddr = sipmsg.Addr{Hostname: rec.Trunk} // begin finds the connection by it
	if rec.transport() == transportUDP {
		req.Laddr = sipmsg.Addr{IP: laddr.Addr().AsSlice(), Port: int(laddr.Port())}
	}
	req.SetBody(nil)
	return req, nil
}

func tagged(uri, tag string) string {
	if tag == "" {
		return uri
	}
	return uri + ";tag=" + tag
}

// routing is RFC 3261 12.2.1.1: what stands in the Request-URI and in the
// Route headers. A strict router, one without lr, comes first itself and the
// target last.
func routing(rec *DialogRecord) (sipmsg.Uri, []string, error) {
	target, err := parseURI(rec.Target)
	if err != nil {
		return sipmsg.Uri{}, nil, fmt.Errorf("target: %w", err)
	}
	if len(rec.RouteSet) == 0 {
		return target, nil, nil
	}
	first, err := parseURI(rec.RouteSet[0])
	if err != nil {
		return sipmsg.Uri{}, nil, fmt.Errorf("route: %w", err)
	}
	if _, loose := param(first.UriParams, "lr"); loose {
		return target, rec.RouteSet, nil
	}
	return first, append(slices.Clone(rec.RouteSet[1:]), "<"+target.String()+">"), nil
}

// parseURI reads a URI, in angle brackets or not, as a Request-URI: what RFC
// 3261 19.1.1 forbids there is left out.
func parseURI(s string) (sipmsg.Uri, error) {
	if i, j := strings.IndexByte(s, '<'), strings.LastIndexByte(s, '>'); i >= 0 && j > i {
		s = s[i+1 : j]
	}
	var u sipmsg.Uri
	if err := sipmsg.ParseUri(s, &u); err != nil {
		return u, fmt.Errorf("uri %q: %w", cut(s), err)
	}
	if u.Host == "" {
		return u, fmt.Errorf("uri %q: no host", cut(s))
	}
	u.Headers = nil
	u.UriParams = slices.DeleteFunc(u.UriParams, func(kv sipmsg.HeaderKV) bool { return strings.EqualFold(kv.K, "method") })
	return u, nil
}

// recordRoutes returns the Record-Route headers in the order of the message.
func recordRoutes(m sipmsg.Message) []string {
	var routes []string
	for _, h := range headersOf(m, "record-route") {
		routes = append(routes, h.Value())
	}
	return routes
}

// contactOf returns the URI of a message's Contact, empty without one.
func contactOf(m sipmsg.Message) string {
	type contacted interface{ Contact() *sipmsg.ContactHeader }
	c, ok := m.(contacted)
	if !ok {
		return ""
	}
	h := c.Contact()
	if h == nil || h.Address.Wildcard || h.Address.Host == "" {
		return ""
	}
	return h.Address.String()
}

// aim sets where the requests of a dialog go, and how: to the first route or to
// the target. Where that is an address inside some other network, or a name
// that does not resolve, they go to where the peer's message came from, by the
// transport of the record.
func (a *Agent) aim(ctx context.Context, rec *DialogRecord, source netip.AddrPort) error {
	uri, routes, err := routing(rec)
	if err != nil {
		return err
	}
	if len(routes) > 0 && slices.Equal(routes, rec.RouteSet) { // loose: the first hop is the first route
		if uri, err = parseURI(routes[0]); err != nil {
			return err
		}
	}
	if len(routes) == 0 && a.peers.phones.at(source, "") != "" {
		rec.Destination = source.String() // of a registered phone: whatever its Contact says
		return nil
	}
	var port uint16
	if uri.Port > 0 && uri.Port < 65536 {
		port = uint16(uri.Port)
	}
	transport := a.transportTo(uri, rec.transport(), source)
	var to netip.AddrPort
	if ip, err := netip.ParseAddr(uri.Host); err == nil {
		to = netip.AddrPortFrom(ip.Unmap(), cmp.Or(port, defaultPort(transport)))
	} else {
		to = a.lookUp(ctx, uri.Host, port, transport, source)
	}
	ip := to.Addr()
	if !ip.Is4() || ip.IsUnspecified() || source.IsValid() && inside(ip) && !inside(source.Addr()) {
		if !source.IsValid() {
			return fmt.Errorf("no address for %s", uri.Host)
		}
		to, transport = source, rec.transport()
	}
	if transport != rec.transport() {
		rec.from(a.stand(transport, to.Addr()))
	}
	rec.Destination = to.String()
	return nil
}

// transportTo is the transport of a URI (RFC 3263 4.1), where we have it. One
// that says nothing of it and leads to where the message came from keeps that
// one's: many leave it out.
func (a *Agent) transportTo(uri sipmsg.Uri, came string, source netip.AddrPort) string {
	named, ok := param(uri.UriParams, "transport")
	if strings.EqualFold(uri.Scheme, "sips") { // RFC 3261 26.2.2: transport=tcp is TLS, too
		named = transportTLS
	}
	switch named = strings.ToLower(named); {
	case named == transportTCP, named == transportTLS:
		if len(a.cfg.streamListeners(named)) == 0 {
			return came
		}
		return named
	case named == transportUDP:
		return transportUDP
	case !ok:
		if ip, err := netip.ParseAddr(uri.Host); err == nil && source.IsValid() && ip.Unmap() != source.Addr() {
			return transportUDP
		}
	}
	return came
}

// transportOf is the transport that a message came by.
func transportOf(m sipmsg.Message) string { return sipmsg.NetworkToLower(m.Transport()) }

// lookUp resolves a host of a Contact or Record-Route once for the dialog. It
// is the source if that is among the addresses, so that a name with several
// does not send an ACK elsewhere than the INVITE. port 0 is none.
func (a *Agent) lookUp(ctx context.Context, host string, port uint16, transport string, source netip.AddrPort) netip.AddrPort {
	var addrs []netip.AddrPort
	for _, e := range a.peers.endpoints() {
		if strings.EqualFold(e.host, host) && e.port == port && e.transport == transport {
			addrs = append(addrs, e.order()...)
		}
	}
	if len(addrs) == 0 {
		found, _, err := a.peers.look.targets(ctx, host, port, transport)
		if err != nil {
			return source
		}
		addrs = inOrder(found, chance)
	}
	if slices.Contains(addrs, source) {
		return source
	}
	if i := slices.IndexFunc(addrs, func(own netip.AddrPort) bool { return own.Addr() == source.Addr() }); i >= 0 {
		return addrs[i]
	}
	return addrs[0]
}

// parcel is a rendered message and the way it goes. It is kept where the same
// message may have to be sent again.
type parcel struct {
	data []byte
	to   netip.AddrPort
	from *listener // nil: by a connection
	way  way       // where from is nil
	by   *streams
}

// send does not wait.
func (p *parcel) send() error {
	if p.from == nil {
		return p.by.post(p.way, p.data)
	}
	return p.from.send(p.data, p.to)
}

func (a *Agent) parcel(rec *DialogRecord, m sipmsg.Message) (*parcel, error) {
	to, err := netip.ParseAddrPort(rec.Destination)
	if err != nil {
		return nil, fmt.Errorf("destination %q: %w", rec.Destination, err)
	}
	p := &parcel{data: []byte(m.String()), to: to, by: a.streams}
	if transport := rec.transport(); transport != transportUDP {
		p.way = a.streams.by(transport, rec.Trunk, to)
		return p, nil
	}
	i := slices.IndexFunc(a.listeners, func(l *listener) bool { return l.local.String() == rec.Listener })
	if i < 0 {
		return nil, fmt.Errorf("no way from %q to %q", rec.Listener, rec.Destination)
	}
	p.from = a.listeners[i]
	return p, nil
}

// respond answers a request of the server transaction.
func (a *Agent) respond(req *sipmsg.Request, tx *sipmsg.ServerTx, status int, phrase string, extra ...sipmsg.Header) {
	res := a.response(req, status, phrase, nil, extra...)
	if err := tx.Respond(res); err != nil {
		a.log.Debug("sip: respond", "status", status, "error", err)
	}
}

func (a *Agent) response(req *sipmsg.Request, status int, phrase string, body []byte, extra ...sipmsg.Header) *sipmsg.Response {
	res := sipmsg.NewResponseFromRequest(req, status, plainText(phrase), nil)
	for _, h := range extra {
		res.AppendHeader(h)
	}
	if a.cfg.UserAgent != "" {
		res.AppendHeader(sipmsg.NewHeader("Server", a.cfg.UserAgent))
	}
	if len(body) > 0 {
		kind := sipmsg.ContentTypeHeader(sdpType)
		res.AppendHeader(&kind)
		res.SetBody(body)
	}
	return res
}

// viasBack are the Via headers as a response has them, with the true source of
// the request (RFC 3581 4).
func viasBack(req *sipmsg.Request) []string {
	hs := headersOf(req, "via")
	vias := make([]string, 0, len(hs))
	for i, h := range hs {
		if top, ok := h.(*sipmsg.ViaHeader); ok && i == 0 {
			if asked, ok := top.Params.Get("rport"); ok && asked == "" {
				host, port, _ := net.SplitHostPort(req.Source()) // our own, always whole
				top = top.Clone()
				top.Params.Add("rport", port)
				top.Params.Add("received", host)
				h = top
			}
		}
		vias = append(vias, h.Value())
	}
	return vias
}

func retryAfter(seconds int) sipmsg.Header {
	return sipmsg.NewHeader("Retry-After", strconv.Itoa(seconds))
}

func sourceOf(m sipmsg.Message) netip.AddrPort {
	ap, err := netip.ParseAddrPort(m.Source())
	if err != nil {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}
