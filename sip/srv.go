package sip

import (
	"cmp"
	"crypto/rand"
	"encoding/binary"
	"net/netip"
	"slices"
	"time"
)

const (
	// restFor is how long an address that failed stays behind the others of its
	// host, so that not every call waits for it.
	restFor = time.Minute
	// maxRest bounds what a Retry-After header asks for.
	maxRest = 10 * time.Minute
)

// target is one record of a host: where to send to, and what its SRV record
// says about when. Without SRV records there is one target with all addresses.
type target struct {
	addrs            []netip.AddrPort
	priority, weight uint16
}

// pickFunc returns a number from 0 to n, both included.
type pickFunc func(n uint32) uint32

// chance is a pickFunc that nobody can guess.
func chance(n uint32) uint32 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails, crypto/rand
	return uint32(binary.BigEndian.Uint64(b[:]) % (uint64(n) + 1))
}

// inOrder returns the addresses in the order in which to try them: the lowest
// priority first, among equal ones by chance and weight (RFC 2782), the
// addresses of one record as they are.
func inOrder(targets []target, pick pickFunc) []netip.AddrPort {
	if len(targets) == 1 { // the usual case
		return slices.Clone(targets[0].addrs)
	}
	left := slices.Clone(targets)
	// Records without weight come first within their priority: they are picked
	// only if the lot falls on exactly nothing.
	slices.SortStableFunc(left, func(a, b target) int {
		if c := cmp.Compare(a.priority, b.priority); c != 0 {
			return c
		}
		return cmp.Compare(min(a.weight, 1), min(b.weight, 1))
	})
	var out []netip.AddrPort
	for len(left) > 0 {
		same := 1
		sum := uint32(left[0].weight)
		for same < len(left) && left[same].priority == left[0].priority {
			sum += uint32(left[same].weight)
			same++
		}
		at := 0
		if same > 1 {
			lot, running := pick(sum), uint32(0)
			at = slices.IndexFunc(left[:same], func(t target) bool {
				running += uint32(t.weight)
				return running >= lot
			})
		}
		for _, a := range left[at].addrs {
			if !slices.Contains(out, a) {
				out = append(out, a)
			}
		}
		left = slices.Delete(left, at, at+1)
	}
	return out
}

// rest is why and until when an address comes after the others.
type rest struct {
	until time.Time
	asked bool // it asked for that itself, with Retry-After
}

// rests remembers which addresses of a host failed, and until when they are
// tried last. It is guarded by its endpoint's mu.
type rests map[netip.AddrPort]rest

// last moves the addresses that rest to the end, those that rest longest last.
func (r rests) last(addrs []netip.AddrPort, now time.Time) {
	if len(r) == 0 {
		return
	}
	slices.SortStableFunc(addrs, func(a, b netip.AddrPort) int {
		return cmp.Compare(max(r[a].until.Sub(now), 0), max(r[b].until.Sub(now), 0))
	})
}

func (r rests) forget(now time.Time) {
	for a, one := range r {
		if !one.until.After(now) {
			delete(r, a)
		}
	}
}
