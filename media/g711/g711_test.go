package g711

import (
	"math"
	"testing"
	"time"
)

func TestSilenceDecodesToNearlyNothing(t *testing.T) {
	for _, l := range []Law{ALaw, ULaw} {
		if got := l.Decode(l.Silence()); got < -8 || got > 8 {
			t.Errorf("%v: silence decodes to %d", l, got)
		}
		if got, want := l.Encode(0), l.Silence(); got != want {
			t.Errorf("%v: 0 encodes to %#x, want %#x", l, got, want)
		}
	}
}

func TestEveryByteSurvivesDecodingAndEncoding(t *testing.T) {
	for _, l := range []Law{ALaw, ULaw} {
		for i := range 256 {
			b := byte(i)
			if got := l.Encode(l.Decode(b)); got != b && l.Decode(got) != l.Decode(b) {
				t.Errorf("%v: %#x becomes %#x", l, b, got)
			}
		}
	}
}

func TestEncodingErrorStaysWithinTheLaw(t *testing.T) {
	// A step is at most 1/16 of the sample, the error half of that; the
	// smallest steps are 16 (A-law) and 8 (µ-law), the largest values clip.
	for _, l := range []Law{ALaw, ULaw} {
		for i := math.MinInt16; i <= math.MaxInt16; i++ {
			got := int(l.Decode(l.Encode(int16(i))))
			limit := max(16, abs(i)/16)
			if abs(got-i) > limit {
				t.Fatalf("%v: %d becomes %d", l, i, got)
			}
		}
	}
}

func TestTranscodingTablesAgreeWithTheLaws(t *testing.T) {
	for i := range 256 {
		b := byte(i)
		lin := int(DecodeA(b))
		if got := int(DecodeU(AToU()[b])); abs(got-lin) > max(32, abs(lin)/12) {
			t.Errorf("A-law %#x (%d) becomes µ-law of %d", b, lin, got)
		}
		lin = int(DecodeU(b))
		if got := int(DecodeA(UToA()[b])); abs(got-lin) > max(32, abs(lin)/12) {
			t.Errorf("µ-law %#x (%d) becomes A-law of %d", b, lin, got)
		}
	}
}

func TestClipHasBothLawsAndItsLength(t *testing.T) {
	pcm := make([]int16, 12000)
	for i := range pcm {
		pcm[i] = int16(i)
	}
	c := NewClip(pcm)
	if c.Samples() != len(pcm) || c.Duration() != 1500*time.Millisecond {
		t.Fatalf("samples %d, duration %v", c.Samples(), c.Duration())
	}
	for i, s := range pcm {
		if c.Bytes(ALaw)[i] != EncodeA(s) || c.Bytes(ULaw)[i] != EncodeU(s) {
			t.Fatalf("sample %d differs", i)
		}
	}
	if b := c.Bytes(ALaw); cap(b) != len(b) {
		t.Error("appending to what is handed out would write into the clip's memory")
	}
}

func TestEncodedClipCopiesAndChecksItsParts(t *testing.T) {
	a, u := []byte{1, 2, 3}, []byte{4, 5, 6}
	c, err := NewClipEncoded(a, u)
	if err != nil {
		t.Fatal(err)
	}
	a[0], u[0] = 9, 9
	if c.Bytes(ALaw)[0] != 1 || c.Bytes(ULaw)[0] != 4 {
		t.Error("the clip shares the caller's memory")
	}
	if _, err := NewClipEncoded(a, u[:2]); err == nil {
		t.Error("different lengths were accepted")
	}
}

func abs(i int) int {
	if i < 0 {
		return -i
	}
	return i
}
