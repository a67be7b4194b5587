package store

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
)

var errTest = errors.New("no space left")

func TestACommitIsPendingUntilItIsSettled(t *testing.T) {
	for _, want := range []error{nil, errTest} {
		c := new(Commit)
		before := c.Done()
		if settled, err := c.Poll(); settled || err != nil {
			t.Fatalf("a new one is settled, error %v", err)
		}
		c.Settle(want)
		<-before
		<-c.Done()
		if settled, err := c.Poll(); !settled || !errors.Is(err, want) {
			t.Errorf("settled %t with %v, not %v", settled, err, want)
		}
		if err := c.Wait(t.Context()); !errors.Is(err, want) {
			t.Errorf("waited for %v, not %v", err, want)
		}
	}
	late := Settled(errTest)
	<-late.Done()
	if err := late.Wait(t.Context()); !errors.Is(err, errTest) {
		t.Errorf("one that had failed says %v", err)
	}
}

func TestManyWaitForACommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := new(Commit)
		got := make(chan error, 3)
		for range 3 {
			go func() { got <- c.Wait(context.Background()) }()
		}
		synctest.Wait()
		c.Settle(errTest)
		for range 3 {
			if err := <-got; !errors.Is(err, errTest) {
				t.Errorf("got %v", err)
			}
		}
	})
}

func TestWhoeverWaitsForACommitMayGiveUp(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errTest)
	if err := new(Commit).Wait(ctx); !errors.Is(err, errTest) {
		t.Errorf("got %v", err)
	}
}
