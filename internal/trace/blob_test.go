package trace

import (
	"bytes"
	"testing"
	"time"
)

func FuzzUnpack(f *testing.F) {
	p := newPacker()
	data, err := p.pack(&part{ID: 1, Trace: Trace{Messages: []Message{{Data: []byte("INVITE"), Local: ours}, {Data: []byte("x")}}, LeftOut: 3}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(bytes.Clone(data))
	f.Add([]byte{version})
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := unpack(data)
		if err != nil {
			return
		}
		again, err := newPacker().pack(&p)
		if err != nil {
			t.Fatal(err)
		}
		q, err := unpack(again)
		if err != nil || len(q.Messages) != len(p.Messages) || q.LeftOut != p.LeftOut {
			t.Fatalf("%v: %+v became %+v", err, p, q)
		}
	})
}

func TestGapOfPartsIsThatOfTheFirst(t *testing.T) {
	early := time.Date(2027, 1, 11, 9, 0, 0, 0, time.UTC)
	late := early.Add(time.Hour)
	for _, parts := range [][]Trace{{{LeftOut: 1, Gap: late}, {}, {LeftOut: 1, Gap: early}}, {{LeftOut: 1, Gap: early}, {LeftOut: 1, Gap: late}}, {{}, {LeftOut: 2, Gap: early}}} {
		if got := join(parts); !got.Gap.Equal(early) || got.LeftOut != 2 {
			t.Errorf("%d left out since %v", got.LeftOut, got.Gap)
		}
	}
}
