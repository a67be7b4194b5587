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
		told := map[string]bool{} // Call-IDs
		for _, v := range c.Violations() {
			if !slices.ContainsFunc(tolerated, func(s string) bool { return strings.Contains(v, s) }) {
				t.Errorf("a rule of SIP or RTP was broken: %s", v)
				told[idIn(v)] = true
			}
		}
		for id := range told {
			t.Logf("SIP of %s:\n%s", id, ladder(c, id))
		}
		if t.Failed() {
			t.Logf("SIP at %s:\n%s", c.Addr(), tail(c.Ladder(), 80))
		}
		_ = c.Close()
	})
	return c
}

// idIn is the Call-ID that a violation names.
func idIn(violation string) string {
	_, id, _ := strings.Cut(violation, "[")
	id, _, _ = strings.Cut(id, "]")
	return id
}

// ladder is what was sent and received in one call.
func ladder(c *lab.Carrier, id string) string {
	var lines []string
	for line := range strings.Lines(c.Ladder()) {
		if strings.Contains(line, "["+id+",") {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, "")
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
