package main

import (
	"testing"
	"time"
)

func TestMomentsAreReadAsPeopleWriteThem(t *testing.T) {
	zone := time.FixedZone("", 3*3600)
	now := time.Date(2027, 1, 11, 15, 0, 0, 0, zone)
	for text, want := range map[string]string{
		"2027-01-12T10:00:00+05:00": "2027-01-12T08:00:00+03:00",
		"2027-01-12T10:00:00Z":      "2027-01-12T13:00:00+03:00",
		"2027-01-12 10:00":          "2027-01-12T10:00:00+03:00",
		"2027-01-12T10:00:30":       "2027-01-12T10:00:30+03:00",
		"15:00":                     "2027-01-11T15:00:00+03:00",
		"15:30":                     "2027-01-11T15:30:00+03:00",
		"14:59":                     "2027-01-12T14:59:00+03:00",
	} {
		got, err := parseMoment(text, now)
		if err != nil || got.In(zone).Format(time.RFC3339) != want {
			t.Errorf("%s: %v, %v; want %s", text, got, err, want)
		}
	}
	for _, text := range []string{"", "tomorrow", "25:00", "2027-02-30 10:00", "10"} {
		if got, err := parseMoment(text, now); err == nil {
			t.Errorf("%q: %v", text, got)
		}
	}
}
