package sip

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	sipmsg "github.com/emiago/sipgo/sip"
)

// Requests to trunks outside of calls: REGISTER and OPTIONS.

// outside describes requests to a trunk outside of dialogs, from its account
// to itself. Whoever sends them fills in Call-ID and tag.
func (a *Agent) outside(t *trunk, dest netip.AddrPort) DialogRecord {
	here := a.stand(t.hop().transport, dest.Addr())
	domain := hostPort(t.domain())
	user, account := escapeUser(t.Username), domain
	if user != "" {
		account = user + "@" + domain
	}
	rec := DialogRecord{
		LocalURI: "<sip:" + account + ">", RemoteURI: "<sip:" + account + ">", Target: "sip:" + domain,
		Contact: here.contact(user), Destination: dest.String(), Trunk: t.Name,
	}
	rec.from(here)
	return rec
}

// addresses are those of the trunk's host, first the one that is preferred if
// it is still one of them.
func (a *Agent) addresses(ctx context.Context, t *trunk, first netip.AddrPort) ([]netip.AddrPort, *Failure) {
	dests, f := a.reach(ctx, t.hop(), Target{Trunk: t.Name})
	if f != nil {
		if f.Kind == Unresolved {
			a.learn(t, func(c *condition) { c.noAddress = t.nameless() })
		}
		return nil, f
	}
	if first.IsValid() && t.hop().at(first) {
		others := slices.DeleteFunc(slices.Clone(dests), func(a netip.AddrPort) bool { return a == first })
		dests = append([]netip.AddrPort{first}, others...)
	}
	return dests, nil
}

// where names an address of the trunk for people.
func (t *trunk) where(dest string) string {
	if hop := t.hop(); !hop.literal() {
		return hop.host + " (" + dest + ")"
	}
	return dest
}

// patience is how long the trunk may stay silent.
func (t *trunk) patience() time.Duration {
	if t.Try > 0 {
		return t.Try
	}
	return defaultSilence
}

var errSilent = errors.New("no final response in time")

// exchange is transact with a limit for the final response.
func (a *Agent) exchange(ctx context.Context, req *sipmsg.Request, limit time.Duration) (*sipmsg.Response, *Failure) {
	limited, cancel := context.WithTimeoutCause(ctx, limit, errSilent)
	defer cancel()
	res, err := a.transact(limited, req)
	if err == nil {
		return res, nil
	}
	switch f, ok := errors.AsType[*Failure](err); {
	case ok:
		return nil, f
	case errors.Is(err, errSilent):
		return nil, &Failure{Kind: NoResponse, Destination: req.Destination(), Waited: limit, Err: err}
	default:
		return nil, &Failure{Kind: Cancelled, Destination: req.Destination(), Err: err}
	}
}

// silence says that nothing came back from an address, and what to look at.
func (t *trunk) silence(f *Failure, method sipmsg.RequestMethod) string {
	where := t.where(f.Destination)
	if f.Kind == NoResponse {
		return fmt.Sprintf("%s does not answer %s%s; check the network, the firewall and %s", where, method, f.within(), t.hop().setting)
	}
	return fmt.Sprintf("we cannot send %s to %s%s; check the network and %s", method, where, because(innermost(f.Err)), t.hop().setting)
}
