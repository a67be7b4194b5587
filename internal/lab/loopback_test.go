package lab_test

import (
	"context"
	"net/netip"
	"testing"
	"time"

	"go.uber.org/goleak"

	"perezvon/internal/lab"
)

func TestPartiesTalkOnLoopback(t *testing.T) {
	defer goleak.VerifyNone(t)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	open := func() *lab.Carrier {
		c, err := lab.NewCarrier(ctx, lab.Config{Signal: netip.MustParseAddrPort("127.0.0.1:0")})
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	a, b := open(), open()
	b.Number("*", lab.Customer(100*time.Millisecond))
	caller, err := a.Call(ctx, lab.CallOptions{To: b.Addr(), User: "79990000001", From: "101", Script: lab.Script{
		lab.Tone(lab.ManagerTone), lab.Talk(1500 * time.Millisecond), lab.Press("1", 0), lab.Bye(),
	}})
	if err != nil {
		t.Fatal(err)
	}
	called, err := b.Wait(ctx, "79990000001", 1)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []*lab.Carrier{a, b} {
		if err := c.Settled(ctx); err != nil {
			t.Error(err)
		}
		if v := c.Violations(); len(v) > 0 {
			t.Errorf("violations %q\n%s", v, c.Ladder())
		}
	}
	if v := lab.Judge(caller, called); !v.Mutual(time.Second) {
		t.Errorf("verdict:\n%s", v)
	}
	if called.Pressed() != "1" {
		t.Errorf("pressed %q", called.Pressed())
	}
	for _, c := range []*lab.Carrier{a, b} {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		if err := c.Close(); err != nil {
			t.Errorf("second close: %v", err)
		}
	}
}
