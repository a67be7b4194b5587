package selftest

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
)

// Fact is one thing that is expected or was seen.
type Fact struct{ Name, Value string }

// Facts are in the order in which they are told; a name occurs once.
type Facts []Fact

// Names of the facts that every scenario is judged by.
const (
	factResult = "result"
	factCode   = "code"
	factOwner  = "owner"
	factRung   = "rung"      // who was, and how often
	factHeard  = "heard"     // who heard whom, by their tones
	factTold   = "spoken to" // who heard a sentence
	factLeft   = "left over" // what should be gone, or should not have been
)

// Words for what did not happen.
const (
	nobody  = "nobody"
	nothing = "nothing"
	none    = "–"
)

// ended is how a call is to end. An empty owner stands for nobody's fault.
func ended(result, code, owner string) Facts {
	if owner == "" {
		owner = none
	}
	return Facts{{factResult, result}, {factCode, code}, {factOwner, owner}}
}

// noCall is for requests that make no call.
func noCall() Facts { return Facts{{"call", none}} }

// and adds a fact.
func (f Facts) and(name, value string) Facts { return append(slices.Clip(f), Fact{name, value}) }

func (f Facts) rung(who string) Facts  { return f.and(factRung, who) }
func (f Facts) heard(who string) Facts { return f.and(factHeard, who) }
func (f Facts) told(who string) Facts  { return f.and(factTold, who) }

// Get is the value of a fact, empty where there is none.
func (f Facts) Get(name string) string {
	for _, one := range f {
		if one.Name == name {
			return one.Value
		}
	}
	return ""
}

func (f Facts) has(name string) bool {
	for _, one := range f {
		if one.Name == name {
			return true
		}
	}
	return false
}

// whole adds what holds where a scenario says nothing else.
func (f Facts) whole() Facts {
	for _, usual := range (Facts{{factRung, nobody}, {factHeard, nobody}, {factTold, nobody}, {factLeft, nothing}}) {
		if !f.has(usual.Name) {
			f = f.and(usual.Name, usual.Value)
		}
	}
	return f
}

// String is the facts on one line.
func (f Facts) String() string {
	parts := make([]string, 0, len(f))
	for _, one := range f {
		parts = append(parts, one.Name+" "+one.Value)
	}
	return strings.Join(parts, " · ")
}

// MarshalJSON writes an object with the facts in their order.
func (f Facts) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, one := range f {
		if i > 0 {
			b.WriteByte(',')
		}
		for j, text := range []string{one.Name, one.Value} {
			quoted, err := json.Marshal(text)
			if err != nil {
				return nil, err
			}
			if j > 0 {
				b.WriteByte(':')
			}
			b.Write(quoted)
		}
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// differing are the names of the facts that came otherwise than expected.
func differing(expected, got Facts) []string {
	var names []string
	for _, want := range expected {
		if !got.has(want.Name) || got.Get(want.Name) != want.Value {
			names = append(names, want.Name)
		}
	}
	return names
}
