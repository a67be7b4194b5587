package configs

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Recordings says where the sound of calls is kept, and for how long.
type Recordings struct {
	Dir     string        `yaml:"dir"`                    // left out: data_dir/recordings
	Keep    time.Duration `yaml:"keep" range:"0s..3650d"` // after the end of the call; 0: as long as the call
	MinFree Room          `yaml:"min_free"`               // less than this on a disk of ours: nothing is recorded
}

// Kept says how long something is kept.
type Kept struct {
	Keep time.Duration `yaml:"keep" range:"0s..3650d"` // 0: without an end
}

// Room is so much of a disk: bytes, or a share of the whole, or the smaller of
// both. The zero Room is none.
type Room struct {
	Bytes   int64
	Percent float64 // 0 to 100
}

// defaultRoom is left free of a disk: on one of less than 20 GiB the share is
// the smaller.
var defaultRoom = Room{Bytes: 1 << 30, Percent: 5}

// mostShare is the largest share of a disk that may be asked for, in percent.
const mostShare = 90

// units of sizes, the larger before those that their names end in.
var units = []struct {
	name  string
	bytes float64
}{
	{"TiB", 1 << 40},
	{"GiB", 1 << 30},
	{"MiB", 1 << 20},
	{"KiB", 1 << 10},
	{"TB", 1e12},
	{"GB", 1e9},
	{"MB", 1e6},
	{"kB", 1e3},
}

// parseRoom reads 500MiB, 1.5GiB, 5% or 0.
func parseRoom(s string) (Room, error) {
	const advice = "expected a size such as 500MiB or 1GiB, a share of the disk such as 5%%, or 0, found %s"
	if s == "0" {
		return Room{}, nil
	}
	if text, ok := strings.CutSuffix(s, "%"); ok {
		v, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
		if err != nil || !(v >= 0 && v <= mostShare) {
			return Room{}, fmt.Errorf("expected a share of the disk from 0%% to 90%%, found %s", show(s))
		}
		return Room{Percent: v}, nil
	}
	for _, u := range units {
		text, ok := strings.CutSuffix(s, u.name)
		if !ok {
			continue
		}
		v, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
		if err != nil || !(v >= 0 && v*u.bytes <= 1<<50) {
			return Room{}, fmt.Errorf(advice, show(s))
		}
		return Room{Bytes: int64(v * u.bytes)}, nil
	}
	if v, err := strconv.ParseFloat(s, 64); err == nil {
		if v >= 0 && v <= mostShare {
			return Room{}, fmt.Errorf("a size needs a unit: write %sMiB, %sGiB or %s%%", s, s, s)
		}
		return Room{}, fmt.Errorf("a size needs a unit: write %sMiB or %sGiB", s, s)
	}
	for _, u := range units {
		n := len(s) - len(u.name)
		if n <= 0 || !strings.EqualFold(s[n:], u.name) {
			continue
		}
		if _, err := parseRoom(s[:n] + u.name); err == nil {
			return Room{}, fmt.Errorf("the unit %s is written %s: write %s", s[n:], u.name, s[:n]+u.name)
		}
	}
	return Room{}, fmt.Errorf(advice, show(s))
}

// Of is how many bytes of a disk of a size in bytes the room is.
func (r Room) Of(size uint64) uint64 {
	share := uint64(r.Percent / 100 * float64(size))
	switch {
	case r.Percent == 0:
		return uint64(r.Bytes)
	case r.Bytes == 0:
		return share
	}
	return min(uint64(r.Bytes), share)
}

// RecordingsKept is how long recordings are kept, 0: without an end. No
// recording is kept longer than its call.
func (c *Config) RecordingsKept() time.Duration {
	keep := c.Recordings.Keep
	if keep == 0 || c.Calls.Keep > 0 && c.Calls.Keep < keep {
		keep = c.Calls.Keep
	}
	return keep
}

// KeptInWords tells what is removed after how long.
func (c *Config) KeptInWords() string {
	var words []string
	for _, k := range []struct {
		what string
		keep time.Duration
	}{{"recordings", c.RecordingsKept()}, {"calls", c.Calls.Keep}, {"events of no call", c.Events.Keep}} {
		if k.keep > 0 {
			words = append(words, k.what+" for "+days(k.keep))
		}
	}
	if len(words) == 0 {
		return "all calls and recordings"
	}
	return strings.Join(words, ", ")
}

// days writes a duration as a person would: 180d, not 4320h.
func days(d time.Duration) string {
	if day := 24 * time.Hour; d >= 2*day && d%day == 0 {
		return strconv.FormatInt(int64(d/day), 10) + "d"
	}
	return shortDuration(d)
}
