package route

import (
	"fmt"
	"testing"
	"time"

	"perezvon/configs"
)

func moment(t *testing.T, text string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	return at
}

func TestLineWithoutHoursIsAlwaysOpen(t *testing.T) {
	now := time.Now()
	for _, h := range []*configs.Hours{nil, {Zone: "Europe/Moscow", Open: []string{"never"}}} {
		if next, ok := NextOpening(h, now); !Open(h, now) || !ok || !next.Equal(now) {
			t.Errorf("%v: next %v, %v", h, next, ok)
		}
	}
}

// Each row has a moment and the next opening after it: the same where the line
// is open, nothing where it never opens.
func TestHoursAreThoseOfAClockInTheirZone(t *testing.T) {
	office := &configs.Hours{Zone: "Europe/Moscow", Open: []string{"Mon-Fri 09:00-18:00", "Sat 10:00-14:00", "Sat 12:00-15:00"}, Holidays: []string{"2027-01-01", "2028-02-29"}}
	nights := &configs.Hours{Zone: "Asia/Yekaterinburg", Open: []string{"Fri-Sat 22:00-02:00", "Mon 00:00-24:00"}, Holidays: []string{"2027-01-02"}}
	west := &configs.Hours{Zone: "America/Los_Angeles", Open: []string{"Sun-Thu 9:00-17:00"}}
	spring := &configs.Hours{Zone: "Europe/Berlin", Open: []string{"Sun 02:15-02:45"}}
	across := &configs.Hours{Zone: "Europe/Berlin", Open: []string{"Sun 02:30-04:00"}}
	late := &configs.Hours{Zone: "Europe/Berlin", Open: []string{"Sat 22:00-02:30"}}
	half := &configs.Hours{Zone: "Australia/Lord_Howe", Open: []string{"Sun 01:45-01:50"}} // whose summer time is 30 minutes
	for _, tt := range []struct {
		name      string
		hours     *configs.Hours
		at, opens string
	}{
		{"open on Friday", office, "2027-01-08T09:00:00+03:00", "2027-01-08T09:00:00+03:00"},
		{"in another zone's time", office, "2027-01-08T06:30:00Z", "2027-01-08T06:30:00Z"},
		{"a second before", office, "2027-01-08T08:59:59+03:00", "2027-01-08T09:00:00+03:00"},
		{"the last second", office, "2027-01-08T17:59:59+03:00", "2027-01-08T17:59:59+03:00"},
		{"closing time", office, "2027-01-08T18:00:00+03:00", "2027-01-09T10:00:00+03:00"},
		{"ranges that overlap", office, "2027-01-09T14:30:00+03:00", "2027-01-09T14:30:00+03:00"},
		{"over the weekend", office, "2027-01-09T15:00:00+03:00", "2027-01-11T09:00:00+03:00"},
		{"a holiday", office, "2027-01-01T12:00:00+03:00", "2027-01-02T10:00:00+03:00"},
		{"the day before a holiday", office, "2026-12-31T18:00:00+03:00", "2027-01-02T10:00:00+03:00"},
		{"a holiday on the leap day", office, "2028-02-28T18:00:00+03:00", "2028-03-01T09:00:00+03:00"},
		{"the leap day of another year", office, "2032-02-29T00:00:00+03:00", "2032-03-01T09:00:00+03:00"},

		{"after midnight", nights, "2027-01-09T01:59:59+05:00", "2027-01-09T01:59:59+05:00"},
		{"the end of a night", nights, "2027-01-09T02:00:00+05:00", "2027-01-09T22:00:00+05:00"},
		{"the night before a holiday", nights, "2027-01-02T01:00:00+05:00", "2027-01-02T01:00:00+05:00"},
		{"the night of a holiday", nights, "2027-01-02T02:00:00+05:00", "2027-01-04T00:00:00+05:00"},
		{"a whole day", nights, "2027-01-04T23:59:59+05:00", "2027-01-04T23:59:59+05:00"},
		{"after a whole day", nights, "2027-01-05T00:00:00+05:00", "2027-01-08T22:00:00+05:00"},

		{"another date over there", west, "2027-06-04T04:00:00Z", "2027-06-06T16:00:00Z"},
		{"open on the evening of our Thursday", west, "2027-06-03T23:59:00Z", "2027-06-03T23:59:00Z"},

		{"the hour is left out", spring, "2027-03-28T00:00:00+01:00", "2027-04-04T02:15:00+02:00"},
		{"the clock jumps into a range", across, "2027-03-28T01:59:00+01:00", "2027-03-28T03:00:00+02:00"},
		{"the hour comes for the first time", spring, "2027-10-31T02:00:00+02:00", "2027-10-31T02:15:00+02:00"},
		{"the hour comes again", spring, "2027-10-31T02:45:00+02:00", "2027-10-31T02:15:00+01:00"},
		{"the hour has come twice", spring, "2027-10-31T02:45:00+01:00", "2027-11-07T02:15:00+01:00"},
		{"the clock falls back into a range", late, "2027-10-31T02:45:00+02:00", "2027-10-31T02:00:00+01:00"},
		{"half an hour comes again", half, "2027-04-04T01:50:00+11:00", "2027-04-04T01:45:00+10:30"},

		{"before there were zones", office, "1850-01-01T00:00:00Z", "1850-01-01T06:29:43Z"},
	} {
		at, opens := moment(t, tt.at), moment(t, tt.opens)
		got, ok := NextOpening(tt.hours, at)
		if !ok || !got.Equal(opens) {
			t.Errorf("%s: %s opens at %s, %v; want %s", tt.name, tt.at, got.Format(time.RFC3339), ok, tt.opens)
		}
		if Open(tt.hours, at) != at.Equal(opens) {
			t.Errorf("%s: open at %s is %v", tt.name, tt.at, at.Equal(opens))
		}
	}
}

func TestLineThatIsAlwaysOnHolidayNeverOpens(t *testing.T) {
	at := moment(t, "2027-03-01T08:00:00+03:00")
	h := &configs.Hours{Zone: "Europe/Moscow", Open: []string{"Mon-Sun 09:00-18:00"}}
	for d := range 401 {
		h.Holidays = append(h.Holidays, at.AddDate(0, 0, d).Format(time.DateOnly))
	}
	if next, ok := NextOpening(h, at); ok {
		t.Errorf("opens at %v", next)
	}
	h.Holidays = h.Holidays[:399]
	if next, ok := NextOpening(h, at); !ok || !next.Equal(at.AddDate(0, 0, 399).Add(time.Hour)) {
		t.Errorf("opens at %v, %v", next, ok)
	}
}

func FuzzNextOpening(f *testing.F) {
	zones := []string{"Europe/Moscow", "Europe/Berlin", "America/St_Johns", "Australia/Lord_Howe", "Africa/Casablanca", "Pacific/Apia", "Asia/Kolkata", "UTC"}
	days := []string{"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"}
	f.Add(int64(1_800_000_000), uint8(1), uint8(0), uint16(135), uint16(165), uint8(5), uint16(0))
	f.Add(int64(1_822_000_000), uint8(5), uint8(6), uint16(1320), uint16(120), uint8(0), uint16(1))
	f.Fuzz(func(t *testing.T, unix int64, zone, weekday uint8, from, to uint16, more uint8, holidays uint16) {
		const year = 366 * 24 * 3600
		at := time.Unix(unix%(60*year)+10*year, 0) // from 1980 on: whole minutes everywhere
		if at.Year() < 1980 {
			return
		}
		from, to = from%1440, 1+to%1440
		if from == to {
			return
		}
		h := &configs.Hours{
			Zone: zones[int(zone)%len(zones)],
			Open: []string{fmt.Sprintf("%s-%s %02d:%02d-%02d:%02d", days[weekday%7], days[(weekday+more%7)%7], from/60, from%60, to/60, to%60)},
		}
		for d := range int(holidays % 20) {
			h.Holidays = append(h.Holidays, at.AddDate(0, 0, d).Format(time.DateOnly))
		}
		next, ok := NextOpening(h, at)
		switch {
		case !ok:
			t.Fatalf("%+v never opens after %s", h, at)
		case next.Before(at) || !Open(h, next):
			t.Fatalf("%+v: %s is before %s or closed", h, next, at)
		case Open(h, at) != next.Equal(at):
			t.Fatalf("%+v: open at %s, next %s", h, at, next)
		case !next.Equal(at) && Open(h, next.Add(-time.Minute)):
			t.Fatalf("%+v: open a minute before %s", h, next)
		}
		if next.Sub(at) > 48*time.Hour {
			return
		}
		// Other inputs look at the minutes between: all of them would cost this one
		// a hundredth of a second.
		for m := at; m.Before(next); m = m.Add(19 * time.Minute) {
			if Open(h, m) {
				t.Fatalf("%+v: open at %s already, not only at %s", h, m, next)
			}
		}
	})
}

func BenchmarkNextOpening(b *testing.B) {
	at := time.Date(2027, 3, 1, 12, 0, 0, 0, time.UTC)
	h := &configs.Hours{Zone: "Europe/Berlin", Open: []string{"Mon 09:00-09:01"}}
	for d := range 390 {
		h.Holidays = append(h.Holidays, at.AddDate(0, 0, d).Format(time.DateOnly))
	}
	for b.Loop() {
		if _, ok := NextOpening(h, at); !ok {
			b.Fatal("never opens")
		}
	}
}

func BenchmarkOpen(b *testing.B) {
	at := time.Date(2027, 3, 1, 12, 0, 0, 0, time.UTC)
	h := &configs.Hours{Zone: "Europe/Moscow", Open: []string{"Mon-Fri 09:00-18:00", "Sat 10:00-14:00"}, Holidays: []string{"2027-01-01"}}
	for b.Loop() {
		_ = Open(h, at)
	}
}
