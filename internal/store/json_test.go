package store

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"
)

// TestRecordsAreWrittenAsEncodingJSONDoes changes one field after the other, so
// that one which AppendJSON does not know is noticed, too.
func TestRecordsAreWrittenAsEncodingJSONDoes(t *testing.T) {
	at := time.Date(2026, 11, 21, 12, 0, 0, 120_000_000, time.FixedZone("", 3*60*60))
	texts := []string{"", "x", "Привет", "a\"b\\c<d>&e\n\u2028\x7f", "not \xff UTF-8"}
	var c Call
	same(t, &c)
	for _, text := range texts {
		fillAll(reflect.ValueOf(&c).Elem(), text, at)
		same(t, &c)
		for i := range reflect.TypeFor[Call]().NumField() {
			one := Call{}
			fillAll(reflect.ValueOf(&one).Elem().Field(i), text, at)
			same(t, &one)
		}
		for i := range reflect.TypeFor[Leg]().NumField() {
			one := Leg{}
			fillAll(reflect.ValueOf(&one).Elem().Field(i), text, at)
			same(t, &Call{Legs: []Leg{one, {Quality: &Quality{}}}})
		}
	}
	small := 0.00000012
	same(t, &Call{Attempts: []Attempt{}, Legs: []Leg{{Quality: &Quality{JitterMS: &small}}}, Manager: &Endpoint{}, Recording: &Recording{}})
}

func same(t *testing.T, c *Call) {
	t.Helper()
	record := *c
	record.Durability = "" // which is no part of it
	want, err := json.Marshal(record)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := c.AppendJSON(nil); err != nil || string(got) != string(want) {
		t.Errorf("written\n%s\nnot\n%s, error %v", got, want, err)
	}
}

// fillAll puts something into every field, list and pointer; text into those
// that are text.
func fillAll(v reflect.Value, text string, at time.Time) {
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fillAll(v.Elem(), text, at)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range v.Len() {
			fillAll(v.Index(i), text, at)
		}
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			v.Set(reflect.ValueOf(at))
			return
		}
		for _, field := range v.Fields() {
			fillAll(field, text, at)
		}
	case reflect.String:
		v.SetString(text)
	case reflect.Int, reflect.Int64:
		v.SetInt(-12)
	case reflect.Uint64:
		v.SetUint(12)
	case reflect.Float64:
		v.SetFloat(1.5)
	case reflect.Bool:
		v.SetBool(true)
	default:
		panic("a kind of field that the test does not know: " + v.Kind().String())
	}
}

func TestDurabilityIsToldAndNotStored(t *testing.T) {
	c := Call{Durability: DurabilityLocal}
	if told, err := json.Marshal(c); err != nil || !strings.Contains(string(told), `"durability":"local"`) {
		t.Errorf("told is %s, error %v", told, err)
	}
	if stored, err := c.AppendJSON(nil); err != nil || strings.Contains(string(stored), "durability") {
		t.Errorf("stored is %s, error %v", stored, err)
	}
}

func TestATimeThatJSONCannotHoldIsAnError(t *testing.T) {
	c := Call{Legs: []Leg{{StartedAt: time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)}}}
	if _, err := c.AppendJSON(nil); err == nil {
		t.Error("a leg of the year 10000 is written")
	}
	if _, err := c.Legs[0].AppendJSON(nil); err == nil {
		t.Error("a leg of the year 10000 is written alone")
	}
}

// BenchmarkEncode writes a call with two legs: as this package does, and as
// encoding/json does.
func BenchmarkEncode(b *testing.B) {
	var c Call
	fillAll(reflect.ValueOf(&c).Elem(), "something", time.Now())
	b.Run("own", func(b *testing.B) {
		b.ReportAllocs()
		var room []byte
		for b.Loop() {
			room, _ = c.AppendJSON(room[:0])
		}
	})
	b.Run("encoding/json", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, _ = json.Marshal(&c)
		}
	})
}
