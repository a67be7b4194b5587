package wav

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"perezvon/media/g711"
)

// chunk is one RIFF chunk; length overrides the true one when it is not nil.
func chunk(name string, body []byte, length *uint32) []byte {
	n := uint32(len(body))
	if length != nil {
		n = *length
	}
	b := binary.LittleEndian.AppendUint32([]byte(name), n)
	b = append(b, body...)
	if len(body)%2 == 1 {
		b = append(b, 0)
	}
	return b
}

func riff(chunks ...[]byte) []byte {
	body := slices.Concat(chunks...)
	b := binary.LittleEndian.AppendUint32([]byte("RIFF"), uint32(len(body)+4))
	return append(append(b, "WAVE"...), body...)
}

func fmtChunk(encoding, channels uint16, rate uint32, bits uint16) []byte {
	le := binary.LittleEndian
	b := le.AppendUint16(nil, encoding)
	b = le.AppendUint16(b, channels)
	b = le.AppendUint32(b, rate)
	b = le.AppendUint32(b, rate*uint32(channels*bits/8))
	b = le.AppendUint16(b, channels*bits/8)
	b = le.AppendUint16(b, bits)
	return chunk("fmt ", b, nil)
}

func pcm16(samples ...int16) []byte {
	var b []byte
	for _, s := range samples {
		b = binary.LittleEndian.AppendUint16(b, uint16(s))
	}
	return b
}

func TestReadUnderstandsTheCommonEncodings(t *testing.T) {
	tests := []struct {
		name string
		file []byte
		rate int
		want [][]int16
	}{
		{"16 bit mono", riff(fmtChunk(1, 1, 22050, 16), chunk("data", pcm16(1, -2, 32767), nil)), 22050, [][]int16{{1, -2, 32767}}},
		{"16 bit stereo", riff(fmtChunk(1, 2, 44100, 16), chunk("data", pcm16(1, 10, 2, 20), nil)), 44100, [][]int16{{1, 2}, {10, 20}}},
		{"8 bit is unsigned", riff(fmtChunk(1, 1, 8000, 8), chunk("data", []byte{128, 0, 255}, nil)), 8000, [][]int16{{0, -32768, 32512}}},
		{"A-law", riff(fmtChunk(6, 1, 8000, 8), chunk("data", []byte{0xD5, 0x2A}, nil)), 8000, [][]int16{{g711.DecodeA(0xD5), g711.DecodeA(0x2A)}}},
		{"µ-law stereo", riff(fmtChunk(7, 2, 8000, 8), chunk("data", []byte{0xFF, 0x00}, nil)), 8000, [][]int16{{0}, {g711.DecodeU(0)}}},
		{"other chunks, odd ones too", riff(chunk("LIST", []byte("odd"), nil), fmtChunk(1, 1, 8000, 16), chunk("fact", []byte("1234"), nil), chunk("data", pcm16(7), nil), chunk("id3 ", []byte("x"), nil)), 8000, [][]int16{{7}}},
		{"extensible", riff(extensible(), chunk("data", pcm16(5, 6), nil)), 48000, [][]int16{{5}, {6}}},
		{"24 bit stereo", riff(fmtChunk(1, 2, 48000, 24), chunk("data", []byte{9, 1, 0, 9, 0xFE, 0xFF, 0, 0xFF, 0x7F, 0, 0, 0x80}, nil)), 48000, [][]int16{{1, 32767}, {-2, -32768}}},
		{"32 bit", riff(fmtChunk(1, 1, 16000, 32), chunk("data", []byte{1, 2, 3, 0, 0, 0, 0xFF, 0xFF}, nil)), 16000, [][]int16{{3, -1}}},
		{"floating point of 32 bits", riff(fmtChunk(3, 1, 24000, 32), chunk("data", floats32(0, 0.5, -1, 2, -7, float32(math.NaN())), nil)), 24000, [][]int16{{0, 16384, -32768, 32767, -32768, 0}}},
		{"floating point of 64 bits", riff(fmtChunk(3, 2, 24000, 64), chunk("data", floats64(0.25, -0.25, math.Inf(1), math.Inf(-1)), nil)), 24000, [][]int16{{8192, 32767}, {-8192, -32768}}},
		{"half a sample at the end", riff(fmtChunk(1, 1, 8000, 16), chunk("data", append(pcm16(3), 9), nil)), 8000, [][]int16{{3}}},
		{"truly empty", riff(fmtChunk(1, 1, 8000, 16), chunk("data", nil, nil), chunk("LIST", []byte("abcd"), nil)), 8000, [][]int16{{}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := Read(iotest.OneByteReader(bytes.NewReader(tt.file)), Limits{})
			if err != nil {
				t.Fatal(err)
			}
			if got.Rate != tt.rate || !slices.EqualFunc(got.Channels, tt.want, slices.Equal) {
				t.Errorf("got %d Hz %v, want %d Hz %v", got.Rate, got.Channels, tt.rate, tt.want)
			}
		})
	}
}

func floats32(samples ...float32) []byte {
	var b []byte
	for _, s := range samples {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(s))
	}
	return b
}

func floats64(samples ...float64) []byte {
	var b []byte
	for _, s := range samples {
		b = binary.LittleEndian.AppendUint64(b, math.Float64bits(s))
	}
	return b
}

func TestReadSaysThatTheEndIsMissing(t *testing.T) {
	for length, cutOff := range map[uint32]bool{
		6: false, 4: false, 8: true, 1 << 20: true, 0x7FFE0000: true,
		0: false, 0x7FFF0000: false, 0x7FFFF000: false, 0x7FFFFFDB: false, unknownLength: false,
	} {
		file := riff(fmtChunk(1, 1, 22050, 16), chunk("data", pcm16(1, 2, 3), &length))
		if got, err := Read(bytes.NewReader(file), Limits{}); err != nil || got.CutOff != cutOff {
			t.Errorf("a length of %#x: cut off %v, %v", length, got.CutOff, err)
		}
	}
}

func extensible() []byte {
	b := fmtChunk(formatExtensible, 2, 48000, 16)[8:]
	b = append(b, 22, 0, 16, 0, 3, 0, 0, 0)
	b = append(b, 1, 0, 0, 0, 0, 0, 0x10, 0, 0x80, 0, 0, 0xAA, 0, 0x38, 0x9B, 0x71)
	return chunk("fmt ", b, nil)
}

func TestReadTakesUnknownLengthsAsToTheEnd(t *testing.T) {
	for _, length := range []uint32{0, 0x7FFFFFFF, 0x7FFFF000, 0xFFFFFFFF, 7} {
		file := riff(fmtChunk(1, 1, 22050, 16), chunk("data", pcm16(1, 2, 3), &length))
		binary.LittleEndian.PutUint32(file[4:], length+36)
		got, err := Read(bytes.NewReader(file), Limits{})
		if err != nil {
			t.Fatalf("%#x: %v", length, err)
		}
		if !slices.Equal(got.Mono(), []int16{1, 2, 3}) {
			t.Errorf("%#x: got %v", length, got.Mono())
		}
	}
}

func TestMonoIsTheMeanWithoutOverflow(t *testing.T) {
	s := Sound{Rate: 8000, Channels: [][]int16{{32767, -32768, 10}, {32767, -32768, 20}}}
	if got := s.Mono(); !slices.Equal(got, []int16{32767, -32768, 15}) {
		t.Errorf("got %v", got)
	}
	if (Sound{}).Mono() != nil || (Sound{}).Duration() != 0 {
		t.Error("no sound at all should have neither samples nor length")
	}
}

func TestReadSaysWhatIsWrong(t *testing.T) {
	tests := []struct {
		name, say string
		file      []byte
	}{
		{"empty", "RIFF", nil},
		{"an MP3", "RIFF", []byte("ID3\x03somethingelse")},
		{"no data", "no data chunk", riff(fmtChunk(1, 1, 8000, 16))},
		{"data first", "before the fmt", riff(chunk("data", pcm16(1), nil))},
		{"short fmt", "needs 16", riff(chunk("fmt ", make([]byte, 14), nil))},
		{"cut off", "cut off", riff(fmtChunk(1, 1, 8000, 16))[:30]},
		{"12 bit", "12 bits", riff(fmtChunk(1, 1, 8000, 12), chunk("data", nil, nil))},
		{"half floats", "16 bits", riff(fmtChunk(3, 1, 8000, 16), chunk("data", nil, nil))},
		{"A-law of 16 bits", "16 bits instead", riff(fmtChunk(6, 1, 8000, 16), chunk("data", nil, nil))},
		{"surround", "6 channels", riff(fmtChunk(1, 6, 8000, 16), chunk("data", nil, nil))},
		{"no channel", "0 channels", riff(fmtChunk(1, 0, 8000, 16), chunk("data", nil, nil))},
		{"ADPCM", "encoding 0x2", riff(fmtChunk(2, 1, 8000, 4), chunk("data", nil, nil))},
		{"no rate", "0 Hz", riff(fmtChunk(1, 1, 0, 16), chunk("data", nil, nil))},
		{"absurd rate", "4000000000 Hz", riff(fmtChunk(1, 1, 4000000000, 16), chunk("data", nil, nil))},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Read(bytes.NewReader(tt.file), Limits{})
			if !errors.Is(err, ErrFormat) || !strings.Contains(err.Error(), tt.say) {
				t.Errorf("got %v, want it to say %q", err, tt.say)
			}
		})
	}
}

func TestReadHoldsItsLimits(t *testing.T) {
	file := riff(fmtChunk(1, 1, 8000, 16), chunk("data", make([]byte, 32000), nil)) // 2 s
	if _, err := Read(bytes.NewReader(file), Limits{MaxBytes: 1000}); !errors.Is(err, ErrTooLarge) {
		t.Errorf("size: got %v", err)
	}
	if _, err := Read(bytes.NewReader(file), Limits{MaxDuration: time.Second}); !errors.Is(err, ErrTooLarge) {
		t.Errorf("duration: got %v", err)
	}
	s, err := Read(bytes.NewReader(file), Limits{MaxBytes: int64(len(file)), MaxDuration: 2 * time.Second})
	if err != nil || s.Duration() != 2*time.Second {
		t.Errorf("got %v, %v", s.Duration(), err)
	}
	if _, err := Read(iotest.ErrReader(errors.New("unplugged")), Limits{}); err == nil || errors.Is(err, ErrFormat) {
		t.Errorf("a reader's own error: got %v", err)
	}
}

func FuzzRead(f *testing.F) {
	unknown := uint32(unknownLength)
	f.Add(riff(fmtChunk(1, 1, 22050, 16), chunk("data", pcm16(1, 2, 3), nil)))
	f.Add(riff(fmtChunk(1, 2, 44100, 16), chunk("data", pcm16(1, 2, 3), &unknown)))
	f.Add(riff(fmtChunk(6, 2, 8000, 8), chunk("fact", []byte("1234"), nil), chunk("data", []byte("abc"), nil)))
	f.Add(riff(chunk("LIST", []byte("odd"), nil), fmtChunk(7, 1, 8000, 8), chunk("data", nil, nil)))
	f.Add(riff(extensible(), chunk("data", pcm16(5, 6), nil)))
	f.Add(riff(fmtChunk(1, 2, 48000, 24), chunk("data", []byte("abcdef"), nil)))
	f.Add(riff(fmtChunk(3, 1, 24000, 32), chunk("data", floats32(0.5, -2), nil)))
	f.Add(riff(fmtChunk(3, 1, 24000, 64), chunk("data", floats64(0.5, math.NaN()), nil)))
	f.Add(header(unknownLength))
	f.Add([]byte("RIFF\xff\xff\xff\xffWAVEfmt \xff\xff\xff\xff"))
	f.Fuzz(func(t *testing.T, file []byte) {
		s, err := Read(bytes.NewReader(file), Limits{MaxBytes: 1 << 20, MaxDuration: time.Minute})
		if err != nil {
			if !errors.Is(err, ErrFormat) && !errors.Is(err, ErrTooLarge) {
				t.Fatalf("error of no kind: %v", err)
			}
			return
		}
		if s.Rate < minRate || s.Rate > maxRate || len(s.Channels) < 1 || len(s.Channels) > 2 {
			t.Fatalf("%d Hz, %d channels", s.Rate, len(s.Channels))
		}
		for _, c := range s.Channels {
			if len(c) != s.Samples() || len(c) > len(file) {
				t.Fatalf("%d samples from %d bytes", len(c), len(file))
			}
		}
		if s.Duration() > time.Minute || len(s.Mono()) != s.Samples() {
			t.Fatalf("%v, %d mono samples", s.Duration(), len(s.Mono()))
		}
	})
}
