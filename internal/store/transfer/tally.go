package transfer

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math/bits"
	"time"

	"perezvon/internal/store"
)

// Tally is what can be told of a store's records without them: how many there
// are of each kind, and a hash of all of them.
type Tally struct {
	until    time.Time // what has run out by then is not counted: it may be here and not there
	kinds    map[store.ChangeType]*sum
	counters map[string]int64
	given    map[string]int64  // of counters that are clocks: what they have given
	lanes    map[string]digest // of jobs that wait, with those before them
	trace    string            // the call of the part that came last
	part     uint64            // its place among those of the call
}

type digest [sha256.Size]byte

// sum is the count of records and the sum of their hashes, which the order does
// not change.
type sum struct {
	count int64
	hash  digest
}

func newTally(now time.Time) *Tally {
	return &Tally{
		until: now.Add(soon),
		kinds: make(map[store.ChangeType]*sum), counters: make(map[string]int64), given: make(map[string]int64), lanes: make(map[string]digest),
	}
}

// add counts a change. The order counts of events, of the parts of a trace and
// of jobs in their lane.
func (t *Tally) add(ch store.Change) error {
	if ends, ok := end(ch); ok && !ends.After(t.until) {
		return nil
	}
	s := t.kinds[ch.Type]
	if s == nil {
		s = new(sum)
		t.kinds[ch.Type] = s
	}
	if ch.Type == store.ChangeEvents {
		return s.addEvents(ch.Events)
	}
	data, err := canonical(ch.Data)
	if err != nil {
		return fmt.Errorf("%s %q: %w", ch.Type, ch.ID, err)
	}
	place := digest{}
	switch ch.Type {
	case store.ChangeCounter:
		n, err := decode[int64](ch)
		t.counters[ch.ID] = n
		return err
	case store.ChangeTrace:
		if t.part++; t.trace != ch.ID {
			t.trace, t.part = ch.ID, 0
		}
		binary.BigEndian.PutUint64(place[:], t.part)
	case store.ChangeJob:
		if place, err = t.inLane(ch); err != nil {
			return err
		}
	}
	s.count++
	s.hash.plus(hash(place[:], []byte(ch.ID), data))
	return nil
}

// inLane says by a hash which jobs stand before one, and that it is behind them.
func (t *Tally) inLane(ch store.Change) (digest, error) {
	j, err := decode[store.Job](ch)
	if err != nil || (j.State != store.JobWaiting && j.State != store.JobClaimed) {
		return digest{}, err
	}
	lane := store.JobID(j.Kind, j.Lane)
	before := t.lanes[lane]
	t.lanes[lane] = hash(before[:], []byte(j.ID))
	return t.lanes[lane], nil
}

func (s *sum) addEvents(evs []store.Event) error {
	for _, e := range evs {
		e.At = e.At.UTC()
		data, err := json.Marshal(e)
		if err == nil {
			data, err = canonical(data)
		}
		if err != nil {
			return fmt.Errorf("event %s: %w", e.ID, err)
		}
		s.count++
		s.hash = hash(s.hash[:], data)
	}
	return nil
}

// canonical is JSON without white space and with the names of each object in
// order.
func canonical(data []byte) ([]byte, error) {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return nil, err
	}
	return json.Marshal(v)
}

// hash is of parts that cannot be taken for others.
func hash(parts ...[]byte) (d digest) {
	h := sha256.New()
	for _, p := range parts {
		var size [8]byte
		binary.BigEndian.PutUint64(size[:], uint64(len(p)))
		h.Write(size[:])
		h.Write(p)
	}
	h.Sum(d[:0])
	return d
}

// plus adds a hash as a number.
func (d *digest) plus(other digest) {
	var carry uint64
	for i := len(d) - 8; i >= 0; i -= 8 {
		var word uint64
		word, carry = bits.Add64(binary.BigEndian.Uint64(d[i:]), binary.BigEndian.Uint64(other[i:]), carry)
		binary.BigEndian.PutUint64(d[i:], word)
	}
}

// Compared is one kind of records in two stores.
type Compared struct {
	Kind store.ChangeType `json:"kind"`
	From int64            `json:"from"` // how many
	To   int64            `json:"to"`
	Same bool             `json:"same"` // each is there, as it was
}

// kinds are all kinds of records, in the order in which people look at them.
func kinds() []store.ChangeType {
	return []store.ChangeType{
		store.ChangeCall, store.ChangeEvents, store.ChangeTrace, store.ChangeDialog, store.ChangeBinding, store.ChangeDND,
		store.ChangeKey, store.ChangeBlock, store.ChangeJob, store.ChangeCount, store.ChangePause, store.ChangeRate, store.ChangeCounter,
	}
}

// Compare tells kind by kind whether to holds what from does. Of counters it is
// enough that none of them is behind what from has given.
func Compare(from, to *Tally) (all []Compared, same bool) {
	same = true
	for _, k := range kinds() {
		var a, b sum
		if s := from.kinds[k]; s != nil {
			a = *s
		}
		if s := to.kinds[k]; s != nil {
			b = *s
		}
		c := Compared{Kind: k, From: a.count, To: b.count, Same: a == b}
		if k == store.ChangeCounter {
			c.From, c.To, c.Same = int64(len(from.counters)), int64(len(to.counters)), true
			for name, n := range from.counters {
				if given, ok := from.given[name]; ok {
					n = given
				}
				c.Same = c.Same && to.counters[name] >= n
			}
		}
		all = append(all, c)
		same = same && c.Same
	}
	return all, same
}
