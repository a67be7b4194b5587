package configs

import (
	"strings"
	"testing"
	"time"
)

func TestRoomIsASizeOrAShareOfTheDisk(t *testing.T) {
	const gib = 1 << 30
	for text, want := range map[string]Room{
		"0": {}, "0MiB": {}, "1GiB": {Bytes: gib}, "1.5GiB": {Bytes: gib * 3 / 2}, "500 MB": {Bytes: 500_000_000}, "2TB": {Bytes: 2_000_000_000_000},
		"10kB": {Bytes: 10_000}, "16KiB": {Bytes: 16384}, "5%": {Percent: 5}, "0.5 %": {Percent: 0.5}, "90%": {Percent: 90},
	} {
		if got, err := parseRoom(text); err != nil || got != want {
			t.Errorf("%s: %+v, error %v", text, got, err)
		}
	}
	if _, err := parseRoom("500"); err == nil || strings.Contains(err.Error(), "%") {
		t.Errorf("500 may be a share: %v", err)
	}
	for text, want := range map[string]string{
		"": "expected a size", "much": "expected a size", "-1GiB": "expected a size", "NaNGiB": "expected a size",
		"9000000TiB": "expected a size", "100%": "0% to 90%", "-1%": "0% to 90%", "x%": "0% to 90%", "NaN%": "0% to 90%",
		"90": "write 90MiB, 90GiB or 90%", "500": "write 500MiB or 500GiB",
		"500mib": "the unit mib is written MiB: write 500MiB", "1 GIB": "the unit GIB is written GiB: write 1 GiB",
		"10KB": "the unit KB is written kB: write 10kB", "muchmib": "expected a size",
	} {
		if got, err := parseRoom(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %+v, error %v, want %q", text, got, err, want)
		}
	}
	for _, tc := range []struct {
		room Room
		size uint64
		want uint64
	}{
		{Room{}, 100 * gib, 0},
		{Room{Bytes: gib}, gib, gib},
		{Room{Percent: 10}, 100 * gib, 10 * gib},
		{defaultRoom, 100 * gib, gib},
		{defaultRoom, 10 * gib, gib / 2},
	} {
		if got := tc.room.Of(tc.size); got != tc.want {
			t.Errorf("%+v of %d is %d, want %d", tc.room, tc.size, got, tc.want)
		}
	}
}

func TestWhatIsKeptForHowLongIsToldAndWarnedOf(t *testing.T) {
	for _, tc := range []struct{ text, words, warning string }{
		{``, "all calls and recordings", ""},
		{`recordings: {keep: 180d}`, "recordings for 180d", ""},
		{`calls: {keep: 1d}`, "recordings for 24h, calls for 24h", ""},
		{
			`{recordings: {keep: 365d}, calls: {keep: 90d}, events: {keep: 36h}}`,
			"recordings for 90d, calls for 90d, events of no call for 36h", "recordings.keep: no recording is kept longer than its call, of which calls.keep says 90d",
		},
		{`recordings: {keep: 6m}`, "recordings for 6m", "recordings.keep: a recording is removed 6m after its call, which is less than a day; m is minutes, and days are written 180d"},
		{`calls: {keep: 23h59m}`, "recordings for 23h59m, calls for 23h59m", "calls.keep: a call is removed 23h59m after its end, with its recording, which is less than a day"},
		{`events: {keep: 1s}`, "events of no call for 1s", "events.keep: events of no call are removed after 1s, which is less than a day"},
		{`{recordings: {keep: 90d, min_free: 0}, calls: {keep: 90d}}`, "recordings for 90d, calls for 90d", "recordings.min_free: recordings may fill the disk"},
	} {
		cfg, err := Parse("perezvon.yaml", []byte(tc.text), Sources{})
		if err != nil {
			t.Errorf("%s: %v", tc.text, err)
			continue
		}
		if got := cfg.Summary(); !strings.Contains(got, "\nkept       "+tc.words+"\n") {
			t.Errorf("%s: no %q in\n%s", tc.text, tc.words, got)
		}
		warned := strings.Join(cfg.Warnings(), "\n")
		if tc.warning == "" && strings.Contains(warned, "recordings") || !strings.Contains(warned, tc.warning) {
			t.Errorf("%s: warned of %q, want %q", tc.text, warned, tc.warning)
		}
	}
}

func TestWhatIsKeptIsAdvisedInDays(t *testing.T) {
	for text, want := range map[string]string{
		"180":      "a duration needs a unit: write 180d",
		"5000":     "a duration needs a unit, such as 180d",
		"180 days": `expected a duration such as 180d, found "180 days"`,
		"26w":      `expected a duration such as 180d, found "26w"`,
		"1y":       `expected a duration such as 180d, found "1y"`,
		"-1":       `expected a duration such as 180d, found "-1"`,
		"4000d":    "4000d is out of range: 0s to 3650d",
	} {
		for _, section := range []string{"recordings", "calls", "events"} {
			_, err := Parse("perezvon.yaml", []byte(section+": {keep: "+text+"}"), Sources{})
			if err == nil || !strings.HasSuffix(err.Error(), section+".keep: "+want) {
				t.Errorf("%s.keep %s: %v, want %q", section, text, err, want)
			}
		}
	}
}

func TestHowLongThingsAreKeptIsChangedWithoutARestart(t *testing.T) {
	was, next := Default(), Default()
	next.Recordings.Keep, next.Recordings.MinFree, next.Calls.Keep, next.Events.Keep = time.Hour, Room{Percent: 1}, time.Hour, time.Hour
	changed, restart := Changes(was, next)
	if len(restart) > 0 || strings.Join(changed, " ") != "recordings calls events" {
		t.Errorf("changed %v, restart %v", changed, restart)
	}
	next.Recordings.Dir = "elsewhere"
	if _, restart = Changes(was, next); strings.Join(restart, " ") != "recordings.dir" {
		t.Errorf("restart %v", restart)
	}
}
