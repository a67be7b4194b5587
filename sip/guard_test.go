package sip

import (
	"fmt"
	"net/netip"
	"testing"
	"time"
)

// testGuard is a guard of an office with a trunk at 192.0.2.10 and a phone at
// 192.0.2.20.
func testGuard(t testing.TB, rules Perimeter) *guard {
	t.Helper()
	d, err := newDirectory(&Config{
		Trunks:     []Trunk{{Name: "carrier", Host: "192.0.2.10"}},
		Extensions: []Extension{{Number: "101", Contact: "sip:101@192.0.2.20"}},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return newGuard(rules, d)
}

func TestBansDoubleUntilTheLongestOne(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		a := &Agent{guard: testGuard(t, Perimeter{Failures: 3, Per: time.Minute, Ban: time.Minute, MaxBan: 5 * time.Minute})}
		from := netip.MustParseAddr("203.0.113.5")
		for _, want := range []time.Duration{time.Minute, 2 * time.Minute, 4 * time.Minute, 5 * time.Minute, 5 * time.Minute} {
			for i := range 3 {
				if len(a.Bans()) != 0 {
					t.Fatalf("banned after %d failures", i)
				}
				a.guard.failed(from, fmt.Sprint("10", i))
			}
			bans := a.Bans()
			if len(bans) != 1 || bans[0].Address != from || bans[0].Extension != "" || bans[0].Until.Sub(bans[0].Since) != want {
				t.Fatalf("%+v, want a ban for %s", bans, want)
			}
			time.Sleep(want)
		}
		time.Sleep(6 * time.Minute) // as long as the longest ban, and more: forgiven
		for range 3 {
			a.guard.failed(from, "101")
		}
		if bans := a.Bans(); len(bans) != 1 || bans[0].Times != 1 {
			t.Errorf("after a long time: %+v", bans)
		}
	})
}

func TestTheRightPasswordForgetsTheWrongOnes(t *testing.T) {
	a := &Agent{guard: testGuard(t, Perimeter{})}
	from := netip.MustParseAddr("203.0.113.5")
	for range 4 {
		for range 4 {
			a.guard.failed(from, "101")
		}
		a.guard.passed(from, "101")
	}
	if bans := a.Bans(); len(bans) != 0 {
		t.Errorf("somebody who mistypes and gets in is banned: %+v", bans)
	}
}

func TestTrunkIsNeverBanned(t *testing.T) {
	a := &Agent{guard: testGuard(t, Perimeter{})}
	from := netip.MustParseAddrPort("192.0.2.10:40000")
	for range 1000 {
		a.guard.failed(from.Addr(), "101")
		a.guard.admits(from, []byte("garbage"))
	}
	ok, _ := a.guard.admits(from, []byte("INVITE sip:1@b SIP/2.0\r\n\r\n"))
	if bans := a.Bans(); len(bans) != 0 || !ok {
		t.Errorf("the trunk is banned: %+v", bans)
	}
}
