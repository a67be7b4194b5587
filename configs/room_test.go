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
	for text, want := range map[string]string{
		"": "expected a size", "much": "expected a size", "-1GiB": "expected a size", "1gib": "expected a size", "NaNGiB": "expected a size",
		"9000000TiB": "expected a size", "100%": "0% to 90%", "-1%": "0% to 90%", "x%": "0% to 90%", "NaN%": "0% to 90%",
		"500": "write 500MiB, 500GiB or 500%",
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
