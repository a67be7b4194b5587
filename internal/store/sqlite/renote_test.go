package sqlite

import (
	"testing"
	"time"

	"perezvon/internal/store"
)

func TestEverythingCanBeNotedAnew(t *testing.T) {
	d := newSpool(t)
	ctx := t.Context()
	if err := d.Renote(ctx); err != nil {
		t.Fatal(err)
	}
	if last := d.LastOutbox(); last != 0 {
		t.Errorf("of an empty file %d changes were noted", last)
	}
	key := &store.Key{Scope: "site", Value: "k", Hash: "h"}
	if _, _, err := d.CreateCall(ctx, call("1", store.StateQueued), store.Admission{Key: key}, store.Event{Type: "a"}); err != nil {
		t.Fatal(err)
	}
	stored(t, d.SaveCall(call("1", store.StateTalking), store.Event{Type: "b"}))
	stored(t, d.SaveEvents(store.Event{Type: "c"}))
	stored(t, d.SaveDialog(store.Dialog{ID: "d1", CallID: "1"}))
	stored(t, d.SaveBinding(store.Binding{ID: "b1"}))
	stored(t, d.SaveTrace(store.TracePart{CallID: "1", At: time.Now(), Data: []byte("x")}))
	if err := d.SetDND(ctx, "101", true); err != nil {
		t.Fatal(err)
	}
	last := d.LastOutbox()
	if err := d.TrimOutbox(ctx, last, time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	grown := d.OutboxChanged()
	if err := d.Renote(ctx); err != nil {
		t.Fatal(err)
	}
	select {
	case <-grown:
	default:
		t.Error("nobody was told")
	}
	all := changes(t, d, 0, 1000)
	wants(t, all, "call 1, dialog d1, binding b1, dnd 101, key site/k, trace 1, events a b c")
	if all[0].Seq != last+1 || all[len(all)-1].Seq != d.LastOutbox() {
		t.Errorf("numbers %d to %d behind %d, the last is %d", all[0].Seq, all[len(all)-1].Seq, last, d.LastOutbox())
	}
	stored(t, d.SaveCall(call("2", store.StateQueued)))
	if next := changes(t, d, all[len(all)-1].Seq, 10); len(next) != 1 || next[0].ID != "2" {
		t.Errorf("behind it comes %s", told(next))
	}
}

func TestALeaseCanBeGivenTheFenceOfTheSharedStore(t *testing.T) {
	d := newSpool(t)
	ctx := t.Context()
	l, err := d.AcquireLease(ctx, "n", "a", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Refence(ctx, l, 1000); err != nil {
		t.Fatal(err)
	}
	if _, err := d.RenewLease(ctx, l, time.Minute); err == nil {
		t.Error("it is renewed by its old fence")
	}
	l.Fence = 1000
	if _, err := d.RenewLease(ctx, l, time.Minute); err != nil {
		t.Error(err)
	}
	if err := d.ReleaseLease(ctx, l); err != nil {
		t.Fatal(err)
	}
	if next, err := d.AcquireLease(ctx, "n", "b", time.Minute); err != nil || next.Fence != 1001 {
		t.Errorf("the next fence is %d, error %v", next.Fence, err)
	}
}

func TestChangesGoOnBehindANumberThatWasGivenElsewhere(t *testing.T) {
	d := newSpool(t)
	if err := d.RaiseOutbox(t.Context(), 1000); err != nil {
		t.Fatal(err)
	}
	stored(t, d.SaveCall(call("1", store.StateQueued)))
	if got := d.LastOutbox(); got != 1001 {
		t.Errorf("the first is %d", got)
	}
	if err := d.RaiseOutbox(t.Context(), 5); err != nil {
		t.Fatal(err)
	}
	stored(t, d.SaveCall(call("1", store.StateEnded)))
	if got := d.LastOutbox(); got != 1002 {
		t.Errorf("the second is %d", got)
	}
}

func TestAKeyOfTheSharedStoreIsKeptUnlessItIsKnown(t *testing.T) {
	d := newSpool(t)
	k := store.Key{Scope: "s", Value: "v", Hash: "h"}
	for _, id := range []string{"1", "2"} {
		c := call(id, store.StateEnded)
		stored(t, d.SaveCall(c))
		if err := d.KeepKey(t.Context(), k, id); err != nil {
			t.Fatal(err)
		}
	}
	if got, dup, err := d.CreateCall(t.Context(), call("3", store.StateQueued), store.Admission{Key: &k}); err != nil || !dup || got.ID != "1" {
		t.Errorf("call %s, duplicate %v, error %v", got.ID, dup, err)
	}
}
