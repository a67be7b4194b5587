package bitrix

import (
	"encoding/json"
	"strconv"
	"strings"
)

// query is a method with its parameters. The names of parameters do not depend
// on case.
type query struct {
	method  string // lower case
	params  *dict  // names in upper case
	client  Client
	webhook bool   // the key came in the path
	inBatch bool   // it is a command of one
	key     string // Idempotency-Key; empty: none
}

// text returns a parameter; what is not there, or is no scalar, is empty.
func (q *query) text(name string) string { return scalar(q.params.get(name)) }

// need returns a parameter that must be there.
func (q *query) need(name string) (string, *Error) {
	if v := strings.TrimSpace(q.text(name)); v != "" {
		return v, nil
	}
	return "", errMissing(name)
}

// start returns where the page begins; -1: the total is not wanted.
func (q *query) start() int {
	n, err := strconv.Atoi(q.text("START"))
	if err != nil || n < -1 {
		return 0
	}
	return n
}

// dict is PHP's array: an ordered map. Lists are maps from 0, 1, 2 and so on.
type dict struct {
	keys   []string
	values map[string]any // string, json.Number, bool, nil or *dict
	next   int            // the index that [] stands for
}

func (d *dict) set(key string, value any) {
	if d.values == nil {
		d.values = make(map[string]any)
	}
	if _, ok := d.values[key]; !ok {
		d.keys = append(d.keys, key)
	}
	d.values[key] = value
	if n, err := strconv.Atoi(key); err == nil && n >= d.next && strconv.Itoa(n) == key && n < maxIndex {
		d.next = n + 1
	}
}

// maxIndex keeps the next index of a list from running over.
const maxIndex = 1 << 30

// get returns a value; a nil dict has none.
func (d *dict) get(key string) any {
	if d == nil {
		return nil
	}
	return d.values[key]
}

// upper gives all keys in upper case; of keys that are the same then the last
// holds.
func (d *dict) upper() *dict {
	out := new(dict)
	for _, k := range d.keys {
		out.set(strings.ToUpper(k), d.values[k])
	}
	return out
}

// merge takes the values of another one, which hold where both have one.
func (d *dict) merge(other *dict) {
	for _, k := range other.keys {
		mine, _ := d.values[k].(*dict)
		theirs, _ := other.values[k].(*dict)
		if mine != nil && theirs != nil {
			mine.merge(theirs)
			continue
		}
		d.set(k, other.values[k])
	}
}

// scalar writes a value as PHP would: true is 1, false and null are empty.
func scalar(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case json.Number:
		return v.String()
	case bool:
		if v {
			return "1"
		}
	}
	return ""
}

// list returns the scalars of a value: of a list its elements, of a scalar that
// one.
func list(v any) []string {
	d, ok := v.(*dict)
	if !ok {
		return []string{scalar(v)}
	}
	out := make([]string, 0, len(d.keys))
	for _, k := range d.keys {
		out = append(out, scalar(d.values[k]))
	}
	return out
}
