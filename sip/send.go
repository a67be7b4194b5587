package sip

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	sipmsg "github.com/emiago/sipgo/sip"
)

// transact sends a request other than INVITE and ACK and waits for its final
// response.
func (a *Agent) transact(ctx context.Context, req *sipmsg.Request) (*sipmsg.Response, error) {
	to, err := netip.ParseAddrPort(req.Destination())
	if err == nil {
		a.peers.hold(to.Addr()) // or the response would come from a stranger
		defer a.peers.release(to.Addr())
	}
	start := time.Now()
	widened := a.widen(ctx, req)
	tx, err := a.begin(ctx, req)
	switch {
	case errors.Is(err, ErrClosed):
		return nil, ErrClosed
	case err != nil && ctx.Err() != nil:
		return nil, fmt.Errorf("%s: %w", req.Method, context.Cause(ctx))
	case err != nil:
		return nil, notSent(req.Destination(), time.Since(start), err)
	}
	defer tx.Terminate() // retransmitted responses need no state here
	for {
		select {
		case res := <-tx.Responses():
			if !res.IsProvisional() {
				return res, nil
			}
		case <-tx.Done():
			err := lostBy(tx)
			if widened { // whoever listens there does not speak SIP
				a.narrow(to, err)
			}
			if !errors.Is(err, sipmsg.ErrTransactionTimeout) {
				return nil, &Failure{Kind: Transport, Destination: req.Destination(), Err: err}
			}
			a.streams.suspect(tx, start)
			return nil, &Failure{Kind: NoResponse, Destination: req.Destination(), Waited: txTimeout, Err: err, stale: widened}
		case <-ctx.Done():
			if why := context.Cause(ctx); widened && errors.Is(why, errSilent) {
				a.narrow(to, why)
			}
			return nil, fmt.Errorf("%s: %w", req.Method, context.Cause(ctx))
		case <-a.dead:
			return nil, ErrClosed
		}
	}
}

// notSent is the failure of a request that did not go out. Where nobody
// answered the attempt to connect that is silence, too.
func notSent(to string, waited time.Duration, err error) *Failure {
	f := &Failure{Kind: Transport, Destination: to, Err: err}
	if errors.Is(err, errNoConnection) {
		f.Kind, f.Waited = NoResponse, waited.Round(time.Millisecond)
	}
	return f
}

var errDeaf = errors.New("the listener died")

// begin starts a client transaction. Over TCP or TLS it may have to connect first,
// which ctx bounds.
func (a *Agent) begin(ctx context.Context, req *sipmsg.Request) (*sipmsg.ClientTx, error) {
	select {
	case <-a.dead:
		return nil, ErrClosed
	default:
	}
	if a.deaf.Load() {
		return nil, fmt.Errorf("send %s: %w", req.Method, errDeaf)
	}
	if transportOf(req) == transportUDP {
		return a.start(ctx, req)
	}
	return a.beginStream(ctx, req)
}

func (a *Agent) start(ctx context.Context, req *sipmsg.Request) (*sipmsg.ClientTx, error) {
	forget := a.sent.add(req)
	tx, err := a.tx.Request(ctx, req)
	if err != nil {
		forget()
		return nil, fmt.Errorf("send %s: %w", req.Method, err)
	}
	if !tx.OnTerminate(func(string, error) { forget() }) {
		forget() // it has ended already
	}
	return tx, nil
}

// beginStream starts a client transaction on the connection to the destination.
// One that was there may end just then; it is made anew once.
func (a *Agent) beginStream(ctx context.Context, req *sipmsg.Request) (*sipmsg.ClientTx, error) {
	to, err := netip.ParseAddrPort(req.Destination())
	if err != nil {
		return nil, fmt.Errorf("send %s: %w", req.Method, err)
	}
	w := a.streams.by(transportOf(req), req.Laddr.Hostname, to)
	for {
		s, reused, err := a.streams.get(ctx, w)
		if err != nil {
			return nil, fmt.Errorf("send %s: %w", req.Method, err)
		}
		req.Laddr = s.laddr
		tx, err := a.start(ctx, req)
		switch {
		case err == nil && s.carry(tx):
			if !tx.OnTerminate(func(string, error) { s.release(tx) }) {
				s.release(tx)
			}
			return tx, nil
		case err == nil: // the connection ended a moment ago
			tx.Terminate()
			return tx, nil
		case s.ended() == nil:
			return nil, err
		case !reused: // it went as it came, and the library looked for another
			return nil, fmt.Errorf("send %s: %w", req.Method, s.lost())
		}
	}
}
