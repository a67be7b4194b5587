package sip

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"perezvon/internal/memnet"
)

// gate is a store of bindings whose methods wait until it is open.
type gate struct {
	open     chan struct{}
	deleting func() // is called before; nil: nothing is
	err      error  // of reading
}

func (g *gate) SaveBinding(Binding) func(context.Context) error {
	<-g.open
	return func(context.Context) error { return nil }
}

func (g *gate) DeleteBinding(string) func(context.Context) error {
	if g.deleting != nil {
		g.deleting()
	}
	return g.SaveBinding(Binding{})
}

func (g *gate) Bindings(context.Context) ([]Binding, error) {
	<-g.open
	return nil, g.err
}

// gated is an agent that is not started, with a trunk over TCP.
func gated(t *testing.T, g *gate) *Agent {
	t.Helper()
	n := memnet.New()
	newTCPPeer(t, n, tcpAddr)
	cfg := Config{
		Listen: []net.PacketConn{n.MustListen(agentAddr)}, Bindings: g, Handle: func(context.Context, *Incoming) {},
		Extensions: []Extension{{Number: "201", HA1: MakeHA1("201", Realm, officePassword)}},
	}
	overStream(n, transportTCP, &cfg)
	a, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = a.Close(context.Background()) })
	return a
}

func TestAgentThatCouldNotStartCanBeClosed(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		g := &gate{open: make(chan struct{}), err: errors.New("no such table")}
		close(g.open)
		a := gated(t, g)
		if err := a.Start(t.Context()); !errors.Is(err, g.err) {
			t.Fatalf("started: %v", err)
		}
		connecting := make(chan error, 1)
		go func() { connecting <- a.Connect(t.Context(), "stream") }()
		synctest.Wait()
		if err := a.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if err := <-connecting; err != nil {
			t.Error(err)
		}
	})
}

func TestCloseIsFasterThanAStart(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		g := &gate{open: make(chan struct{})}
		a := gated(t, g)
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		started := make(chan error, 1)
		go func() { started <- a.Start(ctx) }()
		synctest.Wait()
		if err := a.Reconfigure(nil, nil); err == nil {
			t.Error("it was reconfigured before it ran")
		}
		if err := a.Close(t.Context()); err != nil {
			t.Error(err)
		}
		close(g.open)
		if err := <-started; !errors.Is(err, ErrClosed) {
			t.Errorf("started: %v", err)
		}
	})
}

func TestCloseWaitsForAReload(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		closed := make(chan error, 1)
		g := &gate{open: make(chan struct{})}
		close(g.open)
		a := gated(t, g)
		if err := a.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		a.peers.phones.mu.Lock()
		a.peers.phones.add(Binding{ID: "1", Extension: "201", Address: netip.MustParseAddrPort(deskAddr), Expires: time.Now().Add(time.Hour)})
		a.peers.phones.mu.Unlock()
		asked := false
		g.deleting = func() { // in the middle of a reload, which expels the phone
			asked = true
			go func() { closed <- a.Close(context.Background()) }()
			for range 1000 {
				runtime.Gosched()
			}
			if a.isClosing() {
				t.Error("it closes in the middle of a reload")
			}
		}
		if err := a.Reconfigure(nil, nil); err != nil || !asked {
			t.Errorf("reload: %v, the phone was expelled: %v", err, asked)
		}
		if err := <-closed; err != nil {
			t.Errorf("close: %v", err)
		}
	})
}
