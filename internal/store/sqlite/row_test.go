package sqlite

import (
	"reflect"
	"testing"
	"time"

	"perezvon/internal/store"
)

func TestASnapshotSharesNothingWithTheRecord(t *testing.T) {
	var c store.Call
	fill(reflect.ValueOf(&c).Elem())
	copied := snapshot(c)
	if !reflect.DeepEqual(copied, c) {
		t.Fatalf("the snapshot differs: %+v, %+v", copied, c)
	}
	apart(t, "call", reflect.ValueOf(copied), reflect.ValueOf(c))
}

// fill puts something into every field, list and pointer.
func fill(v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem())
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range v.Len() {
			fill(v.Index(i))
		}
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[time.Time]() {
			v.Set(reflect.ValueOf(time.Unix(1, 0)))
			return
		}
		for _, field := range v.Fields() {
			fill(field)
		}
	case reflect.String:
		v.SetString("x")
	}
}

// apart fails the test where a and b point to the same memory.
func apart(t *testing.T, name string, a, b reflect.Value) {
	t.Helper()
	switch a.Kind() {
	case reflect.Pointer:
		if a.Pointer() == b.Pointer() {
			t.Errorf("%s is shared", name)
			return
		}
		apart(t, name, a.Elem(), b.Elem())
	case reflect.Slice:
		if a.Pointer() == b.Pointer() {
			t.Errorf("%s is shared", name)
			return
		}
		for i := range a.Len() {
			apart(t, name, a.Index(i), b.Index(i))
		}
	case reflect.Struct:
		if a.Type() == reflect.TypeFor[time.Time]() {
			return
		}
		for i := range a.NumField() {
			apart(t, name+"."+a.Type().Field(i).Name, a.Field(i), b.Field(i))
		}
	case reflect.Map, reflect.Interface, reflect.Func, reflect.Chan:
		t.Errorf("%s is a %s; teach snapshot and this test about it", name, a.Kind())
	}
}

func TestCommitsOfABusyMomentAreSpread(t *testing.T) {
	var p pace
	now := time.Unix(1000, 0)
	for i := range commitBurst {
		if wait := p.next(now); wait != 0 {
			t.Fatalf("commit %d waits %v", i, wait)
		}
	}
	for i := range 3 {
		if wait, want := p.next(now), time.Duration(i)*commitEvery; wait != want {
			t.Errorf("commit %d after the first ones waits %v, not %v", i, wait, want)
		}
	}
	if wait := p.next(now.Add(time.Hour)); wait != 0 {
		t.Errorf("after a rest the first one waits %v", wait)
	}
}
