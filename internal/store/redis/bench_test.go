package redis

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"perezvon/internal/store"
)

func benchCall(i int) store.Call {
	now := time.Now()
	c := store.Call{
		ID: fmt.Sprintf("0199a0b0c0d07000800000%010x", i), Kind: store.KindCallback, State: store.StateQueued,
		Line: "reg1332", Number: fmt.Sprintf("+7916%07d", i), CreatedAt: now, Deadline: now.Add(time.Hour),
		Request:  store.Request{Text: "A customer asks to be called back about order 1234.", Voice: "ruinternalfemale", Key: "site"},
		Attempts: []store.Attempt{{N: 1, StartedAt: now}},
	}
	for _, role := range []store.Role{store.RoleManager, store.RoleCustomer} {
		loss := int64(0)
		c.Legs = append(c.Legs, store.Leg{
			ID: c.ID + string(role), Attempt: 1, Role: role, Number: c.Number, Trunk: "provider", State: store.LegAnswered,
			SIPCode: 200, StartedAt: now, RingAt: &now, AnsweredAt: &now,
			Quality: &store.Quality{Codec: "PCMA", PacketsIn: 1000, PacketsOut: 1000, Lost: &loss},
		})
	}
	return c
}

// benchChanges are n changes from seq on: saves of calls, ten of each, and the
// event of each save.
func benchChanges(b *testing.B, seq int64, n int) []store.Change {
	b.Helper()
	batch := make([]store.Change, 0, n+1)
	for len(batch) < n {
		seq++
		c := benchCall(int(seq / 20))
		data, err := c.AppendJSON(nil)
		if err != nil {
			b.Fatal(err)
		}
		batch = append(batch, store.Change{Seq: seq, Type: store.ChangeCall, ID: c.ID, Data: data})
		if len(batch) < n {
			seq++
			batch = append(batch, store.Change{Seq: seq, Type: store.ChangeEvents, Events: []store.Event{
				{Type: store.EventCallState, At: c.CreatedAt, CallID: c.ID, Data: json.RawMessage(`{"state":"talking","leg":"manager"}`)},
			}})
		}
	}
	return batch
}

// BenchmarkShip ships batches of as many changes as its name says.
func BenchmarkShip(b *testing.B) {
	for _, size := range []int{1, 16, 256} {
		b.Run(fmt.Sprintf("changes=%d", size), func(b *testing.B) {
			r := onReal(b)
			seq := int64(0)
			b.ReportAllocs()
			for b.Loop() {
				b.StopTimer()
				batch := benchChanges(b, seq, size)
				seq = batch[len(batch)-1].Seq
				b.StartTimer()
				if err := r.ship(b.Context(), "node", batch); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(size)*float64(b.N)/b.Elapsed().Seconds(), "changes/s")
		})
	}
}

// BenchmarkRead reads a page of 50 out of 5000 calls, and of 100 out of 5000
// events.
func BenchmarkRead(b *testing.B) {
	r := onReal(b)
	cs := &changes{t: b}
	for n := range 5000 {
		c := ended(newCall(n))
		if n%100 == 0 {
			c.Result = store.ResultMissed
		}
		cs.call(c, "ended")
	}
	ship(b, r, cs.all)
	for name, read := range map[string]func() (int, error){
		"calls": func() (int, error) {
			calls, _, err := r.calls(b.Context(), store.Filter{})
			return len(calls), err
		},
		"calls=few-of-many": func() (int, error) {
			calls, _, err := r.calls(b.Context(), store.Filter{Line: "main", State: store.StateEnded, Result: store.ResultMissed})
			return len(calls), err
		},
		"events": func() (int, error) {
			evs, _, err := r.events(b.Context(), store.EventFilter{})
			return len(evs), err
		},
		"events=of-a-call": func() (int, error) {
			evs, _, err := r.events(b.Context(), store.EventFilter{CallID: newCall(7).ID})
			return len(evs), err
		},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if n, err := read(); err != nil || n == 0 {
					b.Fatalf("%d, error %v", n, err)
				}
			}
		})
	}
}
