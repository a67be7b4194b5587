package configs

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	_ "time/tzdata" // zones are known on systems without zone files as well
)

// Schedule is Hours with their texts read.
type Schedule struct {
	Zone     *time.Location
	Open     []Opening
	Holidays []time.Time // midnight UTC of each date
}

// Opening is one entry of hours.open.
type Opening struct {
	Days [7]bool // by time.Weekday: on which it begins
	From int     // minutes since midnight, below 1440
	To   int     // minutes since the same midnight; above 1440 where it passes the next one
}

// minutesOfDay are those of a day without a change of the clock.
const minutesOfDay = 24 * 60

// Schedule reads the texts. An error is one that Parse reports for a file.
func (h *Hours) Schedule() (*Schedule, error) {
	zone, err := parseZone(h.Zone)
	if err != nil {
		return nil, err
	}
	s := &Schedule{Zone: zone, Open: make([]Opening, 0, len(h.Open))}
	for _, text := range h.Open {
		o, err := parseOpening(text)
		if err != nil {
			return nil, err
		}
		s.Open = append(s.Open, o)
	}
	for _, text := range h.Holidays {
		d, err := parseDate(text)
		if err != nil {
			return nil, err
		}
		s.Holidays = append(s.Holidays, d)
	}
	return s, nil
}

// commonZones are for advice only: every zone of IANA's database is known.
var commonZones = strings.Fields(`
	Europe/Kaliningrad Europe/Moscow Europe/Simferopol Europe/Samara Europe/Saratov Europe/Volgograd Europe/Astrakhan
	Europe/Ulyanovsk Europe/Kirov Asia/Yekaterinburg Asia/Omsk Asia/Novosibirsk Asia/Barnaul Asia/Tomsk Asia/Novokuznetsk
	Asia/Krasnoyarsk Asia/Irkutsk Asia/Chita Asia/Yakutsk Asia/Vladivostok Asia/Sakhalin Asia/Magadan Asia/Srednekolymsk
	Asia/Kamchatka Asia/Anadyr Europe/Minsk Europe/Kyiv Asia/Almaty Asia/Tashkent Asia/Bishkek Asia/Dushanbe Asia/Yerevan
	Asia/Baku Asia/Tbilisi Europe/Berlin Europe/London Europe/Paris Europe/Madrid Europe/Rome Europe/Warsaw Europe/Prague
	Europe/Riga Europe/Vilnius Europe/Tallinn Europe/Helsinki Europe/Istanbul Asia/Jerusalem Asia/Dubai Asia/Shanghai
	Asia/Tokyo Asia/Kolkata America/New_York America/Chicago America/Los_Angeles UTC`)

// notZones are files beside the zones, which differ from machine to machine.
var notZones = regexp.MustCompile(`^(Local|localtime|posixrules|Factory|posix/.*|right/.*)$`)

func parseZone(name string) (*time.Location, error) {
	if name != "" && !notZones.MatchString(name) {
		if zone, err := time.LoadLocation(name); err == nil {
			return zone, nil
		}
	}
	if near := nearestZone(name); near != "" {
		return nil, fmt.Errorf("unknown time zone %s; did you mean %q?", show(name), near)
	}
	return nil, fmt.Errorf("unknown time zone %s; expected an IANA name such as Europe/Moscow", show(name))
}

// nearestZone finds a zone by its whole name or by its city alone.
func nearestZone(name string) string {
	asked := strings.ToLower(strings.ReplaceAll(name, " ", "_"))
	if asked == "msk" {
		return "Europe/Moscow"
	}
	for _, z := range commonZones {
		if _, city, ok := strings.Cut(strings.ToLower(z), "/"); ok && city == asked {
			return z
		}
	}
	if !strings.Contains(name, "/") {
		return ""
	}
	return nearest(asked, commonZones)
}

// weekdays are how days are written, by time.Weekday.
var weekdays = [7]string{"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"}

// foreignDays are other ways to write days, for advice: a row for each day of
// weekdays.
var foreignDays = [7][]string{
	{"sunday", "su", "вс", "воскресенье", "so", "sonntag"},
	{"monday", "mo", "пн", "понедельник", "montag"},
	{"tuesday", "tu", "tues", "вт", "вторник", "di", "dienstag"},
	{"wednesday", "we", "ср", "среда", "mi", "mittwoch"},
	{"thursday", "th", "thur", "thurs", "чт", "четверг", "do", "donnerstag"},
	{"friday", "fr", "пт", "пятница", "freitag"},
	{"saturday", "sa", "сб", "суббота", "samstag"},
}

const openingForm = `"Mon-Fri 09:00-18:00"`

// parseOpening reads days and times such as "Mon-Wed,Fri 09:00-18:00". A text
// of which can be told what was meant is answered with how to write that.
func parseOpening(text string) (Opening, error) {
	o, err := strictOpening(text)
	if err == nil {
		return o, nil
	}
	if meant := tidyOpenings(text); len(meant) > 0 {
		for i, m := range meant {
			if _, err := strictOpening(m); err != nil {
				return Opening{}, err
			}
			meant[i] = strconv.Quote(m)
		}
		if len(meant) > 1 {
			return Opening{}, fmt.Errorf("one range of times for each entry: write %s", strings.Join(meant, ", "))
		}
		return Opening{}, fmt.Errorf("found %s: write %s", show(text), meant[0])
	}
	return Opening{}, err
}

func strictOpening(text string) (Opening, error) {
	days, times, ok := strings.Cut(text, " ")
	from, to, ok2 := strings.Cut(times, "-")
	if !ok || !ok2 {
		return Opening{}, fmt.Errorf("expected days and times such as %s, found %s", openingForm, show(text))
	}
	var o Opening
	for part := range strings.SplitSeq(days, ",") {
		if err := o.addDays(part); err != nil {
			return Opening{}, err
		}
	}
	var err1, err2 error
	o.From, err1 = parseTimeOfDay(from)
	o.To, err2 = parseTimeOfDay(to)
	if err := cmp.Or(err1, err2); err != nil {
		return Opening{}, err
	}
	switch {
	case o.From == minutesOfDay:
		return Opening{}, errors.New("24:00 can only end a range: begin with 00:00 of the next day")
	case o.From == o.To:
		return Opening{}, fmt.Errorf("begins and ends at the same time: write %q for the whole day", days+" 00:00-24:00")
	case o.To < o.From:
		o.To += minutesOfDay
	}
	return o, nil
}

// addDays adds a day or a range of days, which may pass the end of the week.
func (o *Opening) addDays(text string) error {
	first, last, isRange := strings.Cut(text, "-")
	from := slices.Index(weekdays[:], first)
	to := from
	if isRange {
		to = slices.Index(weekdays[:], last)
	}
	if from < 0 || to < 0 {
		bad := first
		if from >= 0 {
			bad = last
		}
		return fmt.Errorf("unknown day %s; days are Mon, Tue, Wed, Thu, Fri, Sat, Sun", show(bad))
	}
	for d := from; ; d = (d + 1) % len(weekdays) {
		o.Days[d] = true
		if d == to {
			return nil
		}
	}
}

var timeOfDay = regexp.MustCompile(`^([0-9]{1,2}):([0-9]{2})$`)

// parseTimeOfDay returns minutes since midnight.
func parseTimeOfDay(text string) (int, error) {
	m := timeOfDay.FindStringSubmatch(text)
	if m == nil {
		return 0, fmt.Errorf("expected a time such as 09:00, found %s", show(text))
	}
	hour, _ := strconv.Atoi(m[1]) // both are digits
	minute, _ := strconv.Atoi(m[2])
	if minute > 59 || hour*60+minute > minutesOfDay {
		return 0, fmt.Errorf("%s is not a time of day: 00:00 to 24:00", text)
	}
	return hour*60 + minute, nil
}

// spelling makes one of the many ways to write a range.
var spelling = strings.NewReplacer("–", "-", "—", "-", "−", "-", "\u00a0", " ", ";", ",")

// looseTime is a time as people write it: 9, 9.00, 9:00, 0900.
var looseTime = regexp.MustCompile(`^([0-9]{1,2})(?:[.:]?([0-9]{2}))?$`)

// mostRanges is of how many ranges in one entry the advice is given.
const mostRanges = 4

// tidyOpenings guesses what was meant, an entry for each range of times;
// nothing where that cannot be told.
func tidyOpenings(text string) []string {
	text = spelling.Replace(strings.TrimSpace(text))
	if text == "24/7" {
		return []string{"Mon-Sun 00:00-24:00"}
	}
	at := strings.IndexFunc(text, func(r rune) bool { return r >= '0' && r <= '9' })
	if at < 0 {
		return nil
	}
	days, ok := tidyDays(text[:at])
	if !ok {
		return nil
	}
	ranges := strings.FieldsFunc(closeUp(text[at:], "-"), func(r rune) bool { return r == ' ' || r == ',' })
	if len(ranges) > mostRanges {
		return nil
	}
	out := make([]string, 0, len(ranges))
	for _, times := range ranges {
		from, to, _ := strings.Cut(times, "-")
		a, b := looseTime.FindStringSubmatch(from), looseTime.FindStringSubmatch(to)
		if a == nil || b == nil {
			return nil
		}
		out = append(out, fmt.Sprintf("%s %s-%s", days, tidyTime(a), tidyTime(b)))
	}
	return out
}

func tidyTime(m []string) string { return fmt.Sprintf("%02s:%02s", m[1], m[2]) }

// closeUp takes out the blanks around each of a kind of mark.
func closeUp(text, mark string) string {
	parts := strings.Split(text, mark)
	for i := range parts {
		parts[i] = strings.TrimSpace(parts[i])
	}
	return strings.Join(parts, mark)
}

// tidyDays writes days as they should be; none are all of them.
func tidyDays(text string) (string, bool) {
	text = strings.Trim(closeUp(strings.ToLower(text), "-"), " :,")
	if text == "" {
		return "Mon-Sun", true
	}
	parts := strings.FieldsFunc(text, func(r rune) bool { return r == ' ' || r == ',' })
	for i, part := range parts {
		ends := strings.Split(part, "-")
		for j, name := range ends {
			d := dayNamed(strings.TrimSuffix(name, "."))
			if d < 0 || len(ends) > 2 {
				return "", false
			}
			ends[j] = weekdays[d]
		}
		parts[i] = strings.Join(ends, "-")
	}
	return strings.Join(parts, ","), true
}

func dayNamed(name string) int {
	for d, own := range weekdays {
		if strings.ToLower(own) == name || slices.Contains(foreignDays[d], name) {
			return d
		}
	}
	return -1
}

func parseDate(text string) (time.Time, error) {
	d, err := time.Parse(time.DateOnly, text)
	if err == nil {
		return d, nil
	}
	for _, form := range []string{"2.1.2006", "2006-1-2", "2006/1/2", "2006.1.2"} {
		if d, err := time.Parse(form, text); err == nil {
			return time.Time{}, fmt.Errorf("found %s: write %q", show(text), d.Format(time.DateOnly))
		}
	}
	if dateForm.MatchString(text) {
		return time.Time{}, fmt.Errorf("%s is not in the calendar", text)
	}
	return time.Time{}, fmt.Errorf("expected a date such as \"2027-01-01\", found %s", show(text))
}

var dateForm = regexp.MustCompile(`^[0-9]{4}-[0-9]{2}-[0-9]{2}$`)

// hours checks the working hours of a line.
func (c *checker) hours(path string, h *Hours) {
	if h.Zone != "" && c.ok(path+".zone") {
		if _, err := parseZone(h.Zone); err != nil {
			c.fail(path+".zone", "%v", err)
		}
	}
	for i, text := range h.Open {
		if at := index(path+".open", i); c.ok(at) {
			if _, err := parseOpening(text); err != nil {
				c.fail(at, "%v", err)
			}
		}
	}
	for i, text := range h.Holidays {
		if at := index(path+".holidays", i); c.ok(at) {
			if _, err := parseDate(text); err != nil {
				c.fail(at, "%v", err)
			}
		}
	}
	repeated(c, path+".open", h.Open)
	repeated(c, path+".holidays", h.Holidays)
}
