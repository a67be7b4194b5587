package wav

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"
)

func TestMonoIsReadBackAsItWas(t *testing.T) {
	for _, pcm := range [][]int16{{0, 1, -1, 32767, -32768, 300}, {}} {
		file := Mono(pcm, 8000)
		if n := binary.LittleEndian.Uint32(file[4:]); int(n) != len(file)-8 {
			t.Errorf("RIFF length %d of %d bytes", n, len(file))
		}
		if len(pcm) == 0 {
			continue
		}
		s, err := Read(bytes.NewReader(file), Limits{})
		if err != nil || s.Rate != 8000 || len(s.Channels) != 1 || !slices.Equal(s.Channels[0], pcm) {
			t.Errorf("%+v, %v", s, err)
		}
	}
}
