package redis

import (
	"slices"
	"testing"
	"time"

	"perezvon/internal/store"
)

func TestTimesSortAsTheirTexts(t *testing.T) {
	times := []time.Time{
		{},
		time.Date(1678, 1, 1, 0, 0, 0, 0, time.UTC),
		time.Unix(0, -1),
		time.Unix(0, 0),
		start(),
		start().Add(1),
		time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC),
	}
	var texts []string
	for _, at := range times {
		texts = append(texts, timeText(at))
		if back, err := parseTime(timeText(at)); err != nil || store.Nanos(back) != store.Nanos(at) {
			t.Errorf("%v comes back as %v, error %v", at, back, err)
		}
	}
	if !slices.IsSorted(texts) || len(slices.Compact(texts)) != len(times) {
		t.Errorf("not in order: %v", texts)
	}
	for _, s := range []string{"", "x", "123", "+123456789012345", "00000000000000000"} {
		if at, err := parseTime(s); err == nil {
			t.Errorf("%q was read as %v", s, at)
		}
	}
}

func TestScriptsReckonWithWholeNumbers(t *testing.T) {
	for _, at := range []time.Time{{}, start(), time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)} {
		if n := micros(at); int64(float64(n)) != n {
			t.Errorf("%v is %d, which no script knows", at, n)
		}
	}
	if got, want := micros(start()), start().UnixMicro(); got != want {
		t.Errorf("%d, want %d", got, want)
	}
}

func TestKeysOfDifferentThingsDiffer(t *testing.T) {
	keys := []string{
		keySlot("a", "b:c"), keySlot("a:b", "c"), keySlot("a", ":b"), keySlot("", "b"),
		callSlot("a"), numberSlot("a"), leaseSlot("a"), ownerSlot("a"), tableSlot(store.ChangeDialog), tableSlot(store.ChangeDND),
		eventsSlot, indexSlot,
	}
	slices.Sort(keys)
	if len(slices.Compact(slices.Clone(keys))) != len(keys) {
		t.Errorf("two are the same: %q", keys)
	}
	c := store.Call{ID: "x", CreatedAt: start()}
	if created, id := parsePlace(place(&c)); created != timeText(start()) || id != "x" {
		t.Errorf("%s, %s", created, id)
	}
	if created, id := parsePlace("short"); created != "short" || id != "" {
		t.Errorf("%s, %s", created, id)
	}
}
