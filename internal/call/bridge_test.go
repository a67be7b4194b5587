package call

import (
	"context"
	"log/slog"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"perezvon/configs"
	"perezvon/internal/memnet"
	"perezvon/internal/store"
	"perezvon/media"
)

// bench is a bridge of two legs without phones, and a third leg.
func bench(t *testing.T, test func(b *bridge, manager, customer, third *leg)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		net := memnet.New()
		cfg := media.Config{BindIP: netip.MustParseAddr("10.0.0.1"), Listen: func(ctx context.Context, a netip.AddrPort) (media.Conn, error) {
			return net.ListenUDP(ctx, a)
		}}
		cfg.Ports.First, cfg.Ports.Last = 20000, 20099
		engine, err := media.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		c := newCall(&Service{sound: engine, log: slog.New(slog.DiscardHandler)}, &configs.Line{}, store.Call{})
		legOf := func() *leg {
			l := &leg{call: c}
			if l.media, err = engine.Open(t.Context(), media.SessionConfig{}); err != nil {
				t.Fatal(err)
			}
			l.ctx, l.cancel = context.WithCancelCause(context.Background())
			return l
		}
		manager, customer, third := legOf(), legOf(), legOf()
		test(c.join(manager, customer), manager, customer, third)
		if err := engine.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestBridgeEndsWithTheLegThatHasTakenAPlaceNotWithTheOneThatLostIt(t *testing.T) {
	bench(t, func(b *bridge, manager, customer, third *leg) {
		over := make(chan *EndReason, 1)
		go func() { over <- b.last(time.Hour) }()
		synctest.Wait()
		if !b.replace(manager, third) || b.replace(manager, third) {
			t.Error("a leg is replaced once")
		}
		manager.cancel(errOver)
		synctest.Wait()
		select {
		case why := <-over:
			t.Fatalf("it ended with the leg that had lost its place: %v", why)
		default:
		}
		if left, right := b.sides[managerSide], b.sides[customerSide]; left != third || right != customer || !third.talked {
			t.Error("the third leg is not in the place of the first")
		}
		gone := &EndReason{By: store.PartyManager, Text: "hung up"}
		third.cancel(gone)
		if why := <-over; why != gone {
			t.Errorf("it ended with %v", why)
		}
	})
}

func TestLegIsNotReplacedWhenTheBridgeIsOver(t *testing.T) {
	bench(t, func(b *bridge, manager, customer, third *leg) {
		customer.cancel(errOver)
		if b.replace(customer, third) {
			t.Error("a leg was replaced that had gone")
		}
		if why := b.last(time.Hour); why != errOver {
			t.Errorf("it ended with %v", why)
		}
		if b.replace(manager, third) {
			t.Error("a leg was replaced after the end")
		}
	})
}
