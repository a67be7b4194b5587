package sip

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"time"
)

// A STUN server tells from where it sees our SIP socket (RFC 8489): a Binding
// request without anything else.

const (
	stunPort      = 3478
	stunCookie    = 0x2112A442
	stunHeader    = 20 // bytes
	stunRequest   = 0x0001
	stunSuccess   = 0x0101
	stunMapped    = 0x0001 // what servers from before RFC 5389 answer
	stunXORMapped = 0x0020

	stunEvery = 2 * time.Minute  // is the public address asked for
	stunAgain = 30 * time.Second // the same while there is no answer
	stunRTO   = 500 * time.Millisecond
	stunTries = 4 // with a doubled pause after each: 7.5 s in all
)

// stunID is the transaction ID of a request: who does not see it cannot answer.
type stunID [12]byte

// stun knows what a STUN server says of our sockets. The zero value asks
// nobody.
type stun struct {
	host string
	port uint16

	mu      sync.Mutex
	mapped  map[netip.AddrPort]netip.AddrPort // guarded by mu; by the socket's own address
	waiting map[stunID]stunQuestion           // guarded by mu
	trouble string                            // guarded by mu; why there is no answer; empty: there is
}

// stunQuestion is a request that waits for its answer.
type stunQuestion struct {
	server netip.AddrPort
	answer chan netip.AddrPort
}

// use reads the server, host[:port].
func (s *stun) use(server string) error {
	s.host, s.port = server, stunPort
	if h, p, err := net.SplitHostPort(server); err == nil {
		n, err := strconv.ParseUint(p, 10, 16)
		if err != nil || n == 0 {
			return fmt.Errorf("sip: STUN server: port %q is not a number from 1 to 65535", cut(p))
		}
		s.host, s.port = h, uint16(n)
	}
	s.mapped, s.waiting = make(map[netip.AddrPort]netip.AddrPort), make(map[stunID]stunQuestion)
	return nil
}

// seen is where the server sees a socket; of one that has no answer yet, or of
// none, it is the address alone that it sees any other at.
func (s *stun) seen(socket netip.AddrPort) netip.AddrPort {
	if s.host == "" {
		return netip.AddrPort{}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if at, ok := s.mapped[socket]; ok {
		return at
	}
	for _, at := range s.mapped {
		return netip.AddrPortFrom(at.Addr(), 0)
	}
	return netip.AddrPort{}
}

// take is given every packet and reports whether it was about STUN. It runs in
// the read loop.
func (s *stun) take(p []byte, from netip.AddrPort) bool {
	if len(p) < stunHeader || p[0]&0xc0 != 0 || binary.BigEndian.Uint32(p[4:]) != stunCookie {
		return false
	}
	id := stunID(p[8:stunHeader])
	s.mu.Lock()
	defer s.mu.Unlock()
	q, ok := s.waiting[id]
	if !ok || q.server != from {
		return true
	}
	if at, ok := stunAddress(p); ok {
		delete(s.waiting, id)
		q.answer <- at
	}
	return true
}

// stunAddress reads the address of a successful answer.
func stunAddress(p []byte) (netip.AddrPort, bool) {
	if binary.BigEndian.Uint16(p) != stunSuccess || int(binary.BigEndian.Uint16(p[2:])) != len(p)-stunHeader {
		return netip.AddrPort{}, false
	}
	var plain netip.AddrPort
	for rest := p[stunHeader:]; len(rest) >= 4; {
		kind, size := binary.BigEndian.Uint16(rest), int(binary.BigEndian.Uint16(rest[2:]))
		padded := 4 + (size+3)&^3
		if padded > len(rest) {
			break
		}
		value := rest[4 : 4+size]
		rest = rest[padded:]
		if size != 8 || value[1] != 1 { // IPv4
			continue
		}
		port, ip := binary.BigEndian.Uint16(value[2:]), binary.BigEndian.Uint32(value[4:])
		switch kind {
		case stunXORMapped:
			return stunPair(port^uint16(stunCookie>>16), ip^stunCookie), true
		case stunMapped:
			plain = stunPair(port, ip)
		}
	}
	return plain, plain.IsValid()
}

func stunPair(port uint16, ip uint32) netip.AddrPort {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], ip)
	return netip.AddrPortFrom(netip.AddrFrom4(b), port)
}

// watchSTUN begins to ask from every socket that others can see.
func (a *Agent) watchSTUN() {
	if a.stun.host == "" {
		return
	}
	for _, l := range a.listeners {
		if !l.local.Addr().IsLoopback() {
			a.spawn(func() { a.keepAskingSTUN(l) })
		}
	}
}

// keepAskingSTUN asks for where a socket is seen, until the agent closes.
func (a *Agent) keepAskingSTUN(l *listener) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-a.base.Done():
			return
		case <-timer.C:
		}
		at, err := a.askSTUN(a.base, l)
		if a.base.Err() != nil {
			return
		}
		a.learnSTUN(l.local, at, err)
		pause := stunEvery
		if err != nil {
			pause = stunAgain
		}
		timer.Reset(pause)
	}
}

// learnSTUN notes an answer, or that there is none: then the last one stays.
func (a *Agent) learnSTUN(socket, at netip.AddrPort, err error) {
	trouble := ""
	if err != nil {
		trouble = fmt.Sprintf("STUN server %s: %v; callers outside may not hear us; check sip.public_ip", a.stun.host, err)
	}
	a.stun.mu.Lock()
	was, known := a.stun.mapped[socket]
	news := trouble != "" && a.stun.trouble == ""
	a.stun.trouble = trouble
	if err == nil {
		a.stun.mapped[socket] = at
	}
	a.stun.mu.Unlock()
	switch {
	case news:
		a.log.Warn("sip: the public address is not known anew", "server", a.stun.host, "why", err)
	case err == nil && (!known || was != at):
		a.log.Info("sip: public address", "socket", socket, "at", at, "says", a.stun.host)
		for _, t := range a.peers.trunks() {
			nudge(t.renumbered)
		}
	}
}

// unanswered says why the server has not told where we are; empty: it has, or
// nobody asks.
func (s *stun) unanswered() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.trouble
}

var errNotPublic = errors.New("the answer is no public address")

// askSTUN asks once, with retransmissions.
func (a *Agent) askSTUN(ctx context.Context, l *listener) (netip.AddrPort, error) {
	servers, err := a.peers.look.addresses(ctx, a.stun.host, a.stun.port)
	if err != nil {
		return netip.AddrPort{}, errors.New(dnsReason(err))
	}
	server := servers[0]
	var id stunID
	_, _ = rand.Read(id[:]) // never fails, crypto/rand
	q := stunQuestion{server: server, answer: make(chan netip.AddrPort, 1)}
	a.stun.mu.Lock()
	a.stun.waiting[id] = q
	a.stun.mu.Unlock()
	defer func() {
		a.stun.mu.Lock()
		delete(a.stun.waiting, id)
		a.stun.mu.Unlock()
	}()
	var request bytes.Buffer
	_ = binary.Write(&request, binary.BigEndian, [2]uint16{stunRequest, 0}) // never fails
	_ = binary.Write(&request, binary.BigEndian, uint32(stunCookie))
	request.Write(id[:])
	wait := stunRTO
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for range stunTries {
		if _, err := l.write(request.Bytes(), server); err != nil {
			return netip.AddrPort{}, innermost(err)
		}
		timer.Reset(wait)
		select {
		case at := <-q.answer:
			if !global(at.Addr()) {
				return netip.AddrPort{}, fmt.Errorf("%w: %s", errNotPublic, at.Addr())
			}
			return at, nil
		case <-timer.C:
			wait *= 2
		case <-ctx.Done():
			return netip.AddrPort{}, context.Cause(ctx)
		}
	}
	return netip.AddrPort{}, fmt.Errorf("no answer from %s", server)
}
