package wav

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"time"

	"perezvon/media/g711"
)

// DefaultMaxBytes is the largest file that is read when Limits names no size:
// five minutes of 48 kHz stereo in 16 bit, rounded up.
const DefaultMaxBytes = 64 << 20

// The sampling rates that are taken for real, in Hz.
const (
	minRate = 2000
	maxRate = 384000
)

// Limits bounds what Read takes from a file that somebody else made.
type Limits struct {
	MaxBytes    int64         // of the whole file; 0 means DefaultMaxBytes
	MaxDuration time.Duration // of the sound; 0 means no limit but MaxBytes
}

// Sound is decoded sound: one or two channels of the same length.
type Sound struct {
	Rate     int // samples per second
	Channels [][]int16
	// CutOff says that the file ends before the length that it names itself:
	// its end is missing. A file of a writer who could not know the length
	// is not cut off.
	CutOff bool
}

// Samples returns the length of each channel.
func (s Sound) Samples() int {
	if len(s.Channels) == 0 {
		return 0
	}
	return len(s.Channels[0])
}

// Duration returns the length in time.
func (s Sound) Duration() time.Duration { return duration(s.Samples(), s.Rate) }

func duration(samples, rate int) time.Duration {
	if rate == 0 {
		return 0
	}
	return time.Duration(int64(samples) * int64(time.Second) / int64(rate))
}

// Mono returns the mean of the channels. A single channel is returned as it
// is, not copied.
func (s Sound) Mono() []int16 {
	switch len(s.Channels) {
	case 0:
		return nil
	case 1:
		return s.Channels[0]
	}
	left, right := s.Channels[0], s.Channels[1]
	mono := make([]int16, len(left))
	for i := range mono {
		mono[i] = int16((int(left[i]) + int(right[i])) / 2)
	}
	return mono
}

// Read decodes a WAV file: PCM of 8, 16, 24 or 32 bits, floating point of 32
// or 64, A-law or µ-law, mono or stereo, at any sane rate. Lengths that a
// streaming writer could not know (0, 0x7FFFFFFF, 0xFFFFFFFF, or anything
// beyond the file) mean "to the end".
// The error wraps ErrFormat or ErrTooLarge, or is that of r.
func Read(r io.Reader, limits Limits) (Sound, error) {
	if limits.MaxBytes <= 0 {
		limits.MaxBytes = DefaultMaxBytes
	}
	file, err := io.ReadAll(io.LimitReader(r, limits.MaxBytes+1))
	if err != nil {
		return Sound{}, fmt.Errorf("read WAV: %w", err)
	}
	if int64(len(file)) > limits.MaxBytes {
		return Sound{}, fmt.Errorf("%w: more than %d bytes", ErrTooLarge, limits.MaxBytes)
	}
	f, data, cutOff, err := parse(file)
	if err != nil {
		return Sound{}, err
	}
	d := duration(len(data)/f.frameBytes(), f.rate)
	if limits.MaxDuration > 0 && d > limits.MaxDuration {
		return Sound{}, fmt.Errorf("%w: %v of sound, at most %v is taken", ErrTooLarge, d, limits.MaxDuration)
	}
	return Sound{Rate: f.rate, Channels: f.decode(data), CutOff: cutOff}, nil
}

// parse finds the format and the sound bytes of a whole file, and whether some
// of them are missing.
func parse(file []byte) (_ format, data []byte, cutOff bool, _ error) {
	if len(file) < 12 || string(file[:4]) != "RIFF" || string(file[8:12]) != "WAVE" {
		return format{}, nil, false, fmt.Errorf("%w: it does not begin with RIFF and WAVE", ErrFormat)
	}
	riffEnd := int64(binary.LittleEndian.Uint32(file[4:])) + 8
	var f format
	for rest := file[12:]; len(rest) >= 8; {
		name, length := string(rest[:4]), int64(binary.LittleEndian.Uint32(rest[4:]))
		body := rest[8:]
		if name == "data" {
			if f.rate == 0 {
				return format{}, nil, false, fmt.Errorf("%w: the data chunk comes before the fmt chunk", ErrFormat)
			}
			// Nought is a streaming writer's, unless the file knows its
			// own length: then the sound is really empty.
			empty := length == 0 && riffEnd == int64(len(file))
			cutOff = length > int64(len(body)) && length < leastUnknown
			if length == 0 && !empty || length > int64(len(body)) {
				length = int64(len(body))
			}
			return f, body[:length], cutOff, nil
		}
		if length > int64(len(body)) {
			return format{}, nil, false, fmt.Errorf("%w: chunk %q is cut off", ErrFormat, name)
		}
		if name == "fmt " {
			var err error
			if f, err = parseFormat(body[:length]); err != nil {
				return format{}, nil, false, err
			}
		}
		// Chunks begin at even offsets.
		rest = body[min(length+length&1, int64(len(body))):]
	}
	return format{}, nil, false, fmt.Errorf("%w: no data chunk", ErrFormat)
}

// format is what matters of the fmt chunk.
type format struct {
	encoding uint16
	channels int
	rate     int
	bits     int // per sample of one channel
}

func parseFormat(b []byte) (format, error) {
	if len(b) < 16 {
		return format{}, fmt.Errorf("%w: the fmt chunk has %d bytes, it needs 16", ErrFormat, len(b))
	}
	f := format{
		encoding: binary.LittleEndian.Uint16(b),
		channels: int(binary.LittleEndian.Uint16(b[2:])),
		bits:     int(binary.LittleEndian.Uint16(b[14:])),
	}
	if f.encoding == formatExtensible && len(b) >= 26 {
		f.encoding = binary.LittleEndian.Uint16(b[24:])
	}
	rate := binary.LittleEndian.Uint32(b[4:])
	switch {
	case rate < minRate || rate > maxRate:
		return format{}, fmt.Errorf("%w: a rate of %d Hz, %d to %d are understood", ErrFormat, rate, minRate, maxRate)
	case f.channels < 1 || f.channels > 2:
		return format{}, fmt.Errorf("%w: %d channels, mono and stereo are understood", ErrFormat, f.channels)
	}
	f.rate = int(rate)
	switch f.encoding {
	case formatPCM:
		if f.bits != 8 && f.bits != 16 && f.bits != 24 && f.bits != 32 {
			return format{}, fmt.Errorf("%w: PCM of %d bits, 8, 16, 24 and 32 are understood", ErrFormat, f.bits)
		}
	case formatFloat:
		if f.bits != 32 && f.bits != 64 {
			return format{}, fmt.Errorf("%w: floating point of %d bits, 32 and 64 are understood", ErrFormat, f.bits)
		}
	case formatALaw, formatULaw:
		if f.bits != 8 {
			return format{}, fmt.Errorf("%w: A-law or µ-law of %d bits instead of 8", ErrFormat, f.bits)
		}
	default:
		return format{}, fmt.Errorf("%w: encoding %#x, PCM (1), floating point (3), A-law (6) and µ-law (7) are understood", ErrFormat, f.encoding)
	}
	return f, nil
}

// frameBytes is the size of one sample of all channels.
func (f format) frameBytes() int { return f.channels * f.bits / 8 }

// decode splits the channels; an incomplete frame at the end is dropped.
func (f format) decode(data []byte) [][]int16 {
	n := len(data) / f.frameBytes()
	channels := make([][]int16, f.channels)
	step := f.bits / 8
	for c := range channels {
		out := make([]int16, n)
		at := c * step
		for i := range out {
			out[i] = f.sample(data[at:])
			at += f.frameBytes()
		}
		channels[c] = out
	}
	return channels
}

func (f format) sample(b []byte) int16 {
	le := binary.LittleEndian
	switch {
	case f.encoding == formatALaw:
		return g711.DecodeA(b[0])
	case f.encoding == formatULaw:
		return g711.DecodeU(b[0])
	case f.encoding == formatFloat && f.bits == 32:
		return fromFloat(float64(math.Float32frombits(le.Uint32(b))))
	case f.encoding == formatFloat:
		return fromFloat(math.Float64frombits(le.Uint64(b)))
	case f.bits == 8: // unsigned, unlike every other width
		return int16(int(b[0])-128) << 8
	default: // the upper 16 bits are the last two bytes
		return int16(le.Uint16(b[f.bits/8-2:]))
	}
}

// fromFloat takes full scale for 1; what is louder is cut, what is no number
// is silence.
func fromFloat(f float64) int16 {
	if math.IsNaN(f) {
		return 0
	}
	return int16(max(math.MinInt16, min(math.MaxInt16, math.Round(f*(math.MaxInt16+1)))))
}
