package sip

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"strings"
)

const maxRecords = 16 // SRV records of one name that are looked at

type (
	resolveFunc func(ctx context.Context, host string) ([]netip.Addr, error)
	srvFunc     func(ctx context.Context, service, proto, name string) ([]*net.SRV, error)
)

// lookUps are the ways to ask the DNS.
type lookUps struct {
	addrs resolveFunc
	srv   srvFunc // nil: nobody is asked for SRV records
}

// newLookUps takes what the configuration has, else asks the system. Who
// answers for addresses alone has no SRV records.
func newLookUps(cfg *Config) lookUps {
	l := lookUps{addrs: cfg.Resolve, srv: cfg.LookupSRV}
	if l.addrs == nil {
		l.addrs = func(ctx context.Context, host string) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, "ip4", host)
		}
		if l.srv == nil {
			l.srv = func(ctx context.Context, service, proto, name string) ([]*net.SRV, error) {
				_, records, err := net.DefaultResolver.LookupSRV(ctx, service, proto, name)
				return records, err
			}
		}
	}
	return l
}

// lookUpError is why a name has no address, and what was asked for.
type lookUpError struct {
	asked []string // such as "A sip.example.net", in order
	err   error
}

// Error implements error.
func (e *lookUpError) Error() string {
	return dnsReason(e.err) + "; asked for " + strings.Join(e.asked, " and ")
}

func (e *lookUpError) Unwrap() error { return e.err }

// errNotOffered is what a SRV record with the target "." says (RFC 2782).
var errNotOffered = errors.New("its DNS says that it does not offer SIP over this transport")

// targets finds the addresses of a name as RFC 3263 section 4.2 has it, for a
// transport that is known: with a port those of the name; without one those of
// its SRV records, and if it has none its own at the port of the transport.
//
// sure is false where the question for SRV records had no answer, and the
// addresses are those of the name instead: some DNS servers do not know how to
// say that there are none.
func (l lookUps) targets(ctx context.Context, host string, port uint16, transport string) (found []target, sure bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, 2*resolveTimeout)
	defer cancel()
	var asked []string
	sure = true
	if port == 0 && l.srv != nil {
		service, proto := serviceOf(transport)
		asked = append(asked, "SRV _"+service+"._"+proto+"."+host)
		records, err := l.records(ctx, service, proto, host)
		switch {
		case errors.Is(err, errNotOffered):
			return nil, true, &lookUpError{asked, err}
		case len(records) > 0:
			found, err = l.servers(ctx, records, asked)
			return found, true, err
		}
		dns, ok := errors.AsType[*net.DNSError](err)
		sure = err == nil || ok && dns.IsNotFound
	}
	if port == 0 {
		port = defaultPort(transport)
	}
	asked = append(asked, "A "+host)
	addrs, err := l.addresses(ctx, host, port)
	if err != nil {
		return nil, sure, &lookUpError{asked, err}
	}
	return []target{{addrs: addrs}}, sure, nil
}

// serviceOf is how SRV records call SIP over a transport (RFC 3263 4.1).
func serviceOf(transport string) (service, proto string) {
	if transport == transportTLS {
		return "sips", transportTCP
	}
	return "sip", transport
}

// records returns the SRV records of a name, as many as are looked at.
func (l lookUps) records(ctx context.Context, service, proto, host string) ([]*net.SRV, error) {
	ctx, cancel := context.WithTimeout(ctx, resolveTimeout)
	defer cancel()
	records, err := l.srv(ctx, service, proto, host)
	if len(records) == 0 {
		return nil, err
	}
	if len(records) == 1 && strings.TrimSuffix(records[0].Target, ".") == "" {
		return nil, errNotOffered
	}
	return records[:min(len(records), maxRecords)], nil
}

// servers looks the targets of SRV records up. Those without an address are
// left out.
func (l lookUps) servers(ctx context.Context, records []*net.SRV, asked []string) ([]target, error) {
	var found []target
	var why error
	for _, r := range records {
		name := strings.TrimSuffix(r.Target, ".")
		if name == "" || r.Port == 0 {
			continue
		}
		addrs, err := l.addresses(ctx, name, r.Port)
		if err != nil {
			why = err
			asked = append(asked, "A "+name)
			continue
		}
		found = append(found, target{addrs: addrs, priority: r.Priority, weight: r.Weight})
	}
	if len(found) > 0 {
		return found, nil
	}
	if why == nil {
		why = errNotOffered
	}
	return nil, &lookUpError{asked, why}
}

var errNoAddress = errors.New("the name has none")

func (l lookUps) addresses(ctx context.Context, host string, port uint16) ([]netip.AddrPort, error) {
	if ip, err := netip.ParseAddr(host); err == nil {
		return []netip.AddrPort{netip.AddrPortFrom(ip.Unmap(), port)}, nil
	}
	ctx, cancel := context.WithTimeout(ctx, resolveTimeout)
	defer cancel()
	ips, err := l.addrs(ctx, host)
	if err == nil && len(ips) == 0 {
		err = errNoAddress
	}
	if err != nil {
		return nil, err
	}
	out := make([]netip.AddrPort, 0, len(ips))
	for _, ip := range ips {
		out = append(out, netip.AddrPortFrom(ip.Unmap(), port))
	}
	return out, nil
}
