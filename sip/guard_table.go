package sip

import (
	"encoding/binary"
	"hash/maphash"
	"net/netip"
)

// places is how many a key may take in a table.
const places = 8

// guardKey names whom something is known of: an address, with or without a
// user.
type guardKey [24]byte

// table is a hash table of a fixed size: what strangers make us remember takes
// no more room than it had from the beginning, and looking something up or
// noting it allocates nothing. Where all places of a key are taken, the least
// worthy of them goes. The seed is random: nobody can choose whom he displaces.
type table[V any] struct {
	seed maphash.Seed
	sets [][places]slot[V]
}

type slot[V any] struct {
	key   guardKey
	taken bool
	value V
}

// newTable makes a table of the size, rounded up to whole sets.
func newTable[V any](size int) table[V] {
	return table[V]{seed: maphash.MakeSeed(), sets: make([][places]slot[V], (size+places-1)/places)}
}

// key is that of an address and, unless it is empty, a user.
func (t *table[V]) key(a netip.Addr, user string) (k guardKey) {
	ip := a.As16()
	copy(k[:], ip[:])
	if user != "" {
		binary.BigEndian.PutUint64(k[16:], maphash.String(t.seed, user)|1)
	}
	return k
}

func (t *table[V]) set(k guardKey) *[places]slot[V] {
	return &t.sets[maphash.Bytes(t.seed, k[:])%uint64(len(t.sets))]
}

// find returns what is known of the key, nil if nothing is.
func (t *table[V]) find(k guardKey) *V {
	set := t.set(k)
	for i := range set {
		if set[i].taken && set[i].key == k {
			return &set[i].value
		}
	}
	return nil
}

// place is where the key is, or may be put: where there is no room, that of the
// value of the least worth.
func (t *table[V]) place(k guardKey, worth func(*V) int64) *slot[V] {
	set := t.set(k)
	least := &set[0]
	for i := range set {
		s := &set[i]
		switch {
		case s.taken && s.key == k:
			return s
		case !least.taken:
		case !s.taken, worth(&s.value) < worth(&least.value):
			least = s
		}
	}
	return least
}

// note returns what is known of the key, at first a zero value.
func (t *table[V]) note(k guardKey, worth func(*V) int64) *V {
	s := t.place(k, worth)
	if !s.taken || s.key != k {
		*s = slot[V]{key: k, taken: true}
	}
	return &s.value
}

// forget frees every place whose value is not to be kept.
func (t *table[V]) forget(gone func(*V) bool) {
	for i := range t.sets {
		for j := range t.sets[i] {
			if s := &t.sets[i][j]; s.taken && gone(&s.value) {
				*s = slot[V]{}
			}
		}
	}
}

// each visits every value.
func (t *table[V]) each(visit func(*V)) {
	for i := range t.sets {
		for j := range t.sets[i] {
			if s := &t.sets[i][j]; s.taken {
				visit(&s.value)
			}
		}
	}
}
