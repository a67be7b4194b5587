package sqlite

import (
	"encoding/json"
	"errors"
	"testing"
	"time"

	"perezvon/internal/store"
)

func TestWhatNoRecordTellsIsInTheOutboxItself(t *testing.T) {
	d := newSpool(t)
	ctx := t.Context()
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	day := store.Counter{Name: "minutes", Until: time.Now().Add(time.Hour)}
	for _, n := range []int64{7, 2} {
		if _, err := d.AddCountAs(ctx, "step", day, n, 10); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := d.AddCount(ctx, day, 2, 10); !errors.Is(err, store.ErrExceeded) {
		t.Errorf("error %v", err)
	}
	stored(t, d.MirrorCount(day, 3))
	if c, err := d.ReadCount(ctx, day); err != nil || c.Total != 3 {
		t.Errorf("mirrored: %+v, error %v", c, err)
	}
	for range 2 {
		if _, err := d.AddFailure(ctx, store.Failure{Number: "+7", At: at, Reason: "busy", Limit: 2}); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.Unblock(ctx, "+7", store.Unblock{By: "anna", Reason: "asked", At: at}); err != nil {
		t.Fatal(err)
	}
	if err := d.Unblock(ctx, "+7", store.Unblock{By: "anna", At: at}); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("error %v", err)
	}
	if err := d.ClearFailures(ctx, "+8"); err != nil { // which other nodes may know
		t.Fatal(err)
	}
	stored(t, d.Enqueue(store.Job{ID: "j", Kind: "k", Lane: "l", Data: json.RawMessage(`{"a":"<&>"}`), Due: at}))
	if jobs, err := d.ClaimJobs(ctx, "a", "k", time.Minute, 1); err != nil || len(jobs) > 0 {
		t.Errorf("claimed %+v, error %v", jobs, err)
	}
	if err := d.Pause(ctx, "portal", at); err != nil {
		t.Fatal(err)
	}
	all := changes(t, d, 0, 0)
	wants(t, all, "count.step minutes, count.step minutes, block.step +7, block.step +7, block.step +7, block.step +8, job k/j, pause portal")
	if got := decoded[store.CountStep](t, string(all[1].Data)); got != (store.CountStep{Until: day.Until.UnixMilli(), N: 2, ID: "step"}) {
		t.Errorf("added %+v", got)
	}
	if got := decoded[store.BlockStep](t, string(all[3].Data)); got != (store.BlockStep{Op: store.BlockFailed, At: at, Reason: "busy", Limit: 2}) {
		t.Errorf("failed: %+v", got)
	}
	if got := decoded[store.BlockStep](t, string(all[4].Data)); got != (store.BlockStep{Op: store.BlockUnblocked, At: at, Reason: "asked", By: "anna"}) {
		t.Errorf("unblocked: %+v", got)
	}
	if got := decoded[store.Job](t, string(all[6].Data)); got.ID != "j" || string(got.Data) != `{"a":"<&>"}` || !got.Due.Equal(at) || got.At.IsZero() {
		t.Errorf("enqueued %+v", got)
	}
}

func TestWhatIsInTheOutboxAloneStaysWhenEverythingIsNotedAnew(t *testing.T) {
	d := newSpool(t)
	stored(t, d.SaveCall(call("1", store.StateTalking)))
	stored(t, d.Enqueue(store.Job{ID: "j", Kind: "k", Lane: "l"}))
	if err := d.Renote(t.Context()); err != nil {
		t.Fatal(err)
	}
	wants(t, changes(t, d, 0, 0), "job k/j, call 1")
}

func TestWhatWasCountedBlockedAndEnqueuedBeforeThereWasAnOutboxIsHandedOver(t *testing.T) {
	dir := t.TempDir()
	d := openIn(t, dir)
	ctx := t.Context()
	day := store.Counter{Name: "minutes", Until: time.Now().Add(time.Hour)}
	if _, err := d.AddCount(ctx, day, 7, 10); err != nil {
		t.Fatal(err)
	}
	if _, err := d.AddFailure(ctx, store.Failure{Number: "+7", At: time.Now(), Limit: 1}); err != nil {
		t.Fatal(err)
	}
	if err := d.Pause(ctx, "portal", time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Allow(ctx, "portal", store.Rate{Name: "r", Every: time.Hour, Burst: 1, Cost: 1}); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"first", "second"} {
		stored(t, d.Enqueue(store.Job{ID: id, Kind: "k", Lane: "l"}))
	}
	if jobs, err := d.ClaimJobs(ctx, "a", "k", time.Minute, 1); err != nil || len(jobs) != 1 {
		t.Fatalf("claimed %+v, error %v", jobs, err)
	}
	closeDB(t, d)

	d = spoolIn(t, dir)
	defer closeDB(t, d)
	for range 2 { // jobs are handed over once, and wait for as long as that takes
		if err := d.Renote(ctx); err != nil {
			t.Fatal(err)
		}
	}
	all := changes(t, d, 0, 0)
	wants(t, all, "block +7, job k/first, job k/second, count minutes, pause portal, block +7, count minutes, pause portal")
	if j := decoded[store.Job](t, string(all[1].Data)); j.State != store.JobClaimed || j.Owner != "a" || j.Until.IsZero() {
		t.Errorf("handed over %+v", j)
	}
	if jobs, err := d.ClaimJobs(ctx, "a", "k", time.Minute, 9); err != nil || len(jobs) > 0 {
		t.Errorf("claimed %+v, error %v", jobs, err)
	}
}

func TestWhatIsInTheOutboxAloneGetsNewNumbersWithAllElse(t *testing.T) {
	d := newSpool(t)
	for _, id := range []string{"a", "b"} {
		stored(t, d.Enqueue(store.Job{ID: id, Kind: "k", Lane: "l"}))
		stored(t, d.SaveCall(call("1", store.StateTalking)))
	}
	for _, floor := range []int64{0, 1000} {
		before := max(floor, d.LastOutbox())
		if err := d.RaiseOutbox(t.Context(), floor); err != nil {
			t.Fatal(err)
		}
		if err := d.Renote(t.Context()); err != nil {
			t.Fatal(err)
		}
		all := changes(t, d, 0, 0)
		wants(t, all, "job k/a, job k/b, call 1")
		if all[0].Seq <= before || all[2].Seq != d.LastOutbox() {
			t.Errorf("numbers %d to %d behind %d, the last is %d", all[0].Seq, all[2].Seq, before, d.LastOutbox())
		}
	}
}
