package lab_test

import (
	"testing"

	"perezvon/internal/lab"
)

func TestScriptsOfANumberTakeTurnsAndTheLastOneStays(t *testing.T) {
	inWorld(t, nil, func(w *world) {
		busy := lab.Script{lab.Reject(486, "Busy Here")}
		w.b.Turns("100", busy, lab.Script{lab.Reject(603, "Decline")}, lab.Script{lab.Reject(404, "Not Found")})
		for i, want := range []int{486, 603, 404, 404} {
			p, err := w.a.Call(w.ctx, lab.CallOptions{To: w.b.Addr(), User: "100", From: "1"})
			if err != nil {
				t.Fatal(err)
			}
			<-p.Ended()
			if e, _ := p.Event(lab.Refused); e.Status != want {
				t.Errorf("call %d got %d, want %d", i+1, e.Status, want)
			}
		}
		w.b.Number("100", busy)
		w.b.Turns("100") // no script: nothing changes
		p, err := w.a.Call(w.ctx, lab.CallOptions{To: w.b.Addr(), User: "100", From: "1"})
		if err != nil {
			t.Fatal(err)
		}
		<-p.Ended()
		if e, _ := p.Event(lab.Refused); e.Status != 486 {
			t.Errorf("the call got %d, want 486", e.Status)
		}
	})
}
