package e2e

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"perezvon/internal/lab"
)

// newCarrier is a simulated network, or a phone, on loopback. Nobody may have
// broken a rule until the end of the test, but for what is tolerated.
func newCarrier(t *testing.T, tolerated ...string) *lab.Carrier {
	t.Helper()
	c, err := lab.NewCarrier(t.Context(), lab.Config{Signal: netip.MustParseAddrPort("127.0.0.1:0")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, v := range c.Violations() {
			if !slices.ContainsFunc(tolerated, func(s string) bool { return strings.Contains(v, s) }) {
				t.Errorf("a rule of SIP or RTP was broken: %s", v)
			}
		}
		if t.Failed() {
			t.Logf("SIP at %s:\n%s", c.Addr(), tail(c.Ladder(), 80))
		}
		_ = c.Close()
	})
	return c
}

// newPhone is the manager's phone, which answers after a time.
func newPhone(t *testing.T, answer time.Duration) *lab.Carrier {
	t.Helper()
	c := newCarrier(t)
	c.Number(managerPort, lab.Manager(answer))
	return c
}

// atRest waits until no phone rings and no dialog is up.
func atRest(t *testing.T, carriers ...*lab.Carrier) {
	t.Helper()
	for _, c := range carriers {
		if err := c.Settled(within(t, 10*time.Second)); err != nil {
			t.Errorf("%v: %d dialogs are up, %d phones ring", err, c.Dialogs(), c.RingingNow())
		}
		if d, r := c.Dialogs(), c.RingingNow(); d != 0 || r != 0 {
			t.Errorf("%d dialogs are up and %d phones ring, want none", d, r)
		}
	}
}
