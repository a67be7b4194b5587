package sip

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// testGuard is a guard of an office with a trunk at 192.0.2.10, a phone at
// 192.0.2.20, and one that registers.
func testGuard(t testing.TB, rules Perimeter) *guard {
	t.Helper()
	d, err := newDirectory(&Config{
		Trunks:     []Trunk{{Name: "carrier", Host: "192.0.2.10", Peers: []netip.Prefix{netip.MustParsePrefix("192.0.2.16/30")}}},
		Extensions: []Extension{{Number: "101", Contact: "sip:101@192.0.2.20"}, {Number: "201", HA1: MakeHA1("201", Realm, "s3cret")}},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return newGuard(rules, d)
}

var (
	trunkAt  = netip.MustParseAddrPort("192.0.2.10:5060")
	phoneAt  = netip.MustParseAddrPort("192.0.2.20:5060")
	stranger = netip.MustParseAddrPort("203.0.113.5:5060")
)

// bare is a request that is no more than its first line and what it takes to
// answer it.
func bare(method, id string) []byte {
	return []byte(method + " sip:100@b SIP/2.0\r\nVia: SIP/2.0/UDP x:5070;rport;branch=z9hG4bK" + id +
		"\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:100@b>\r\nCall-ID: " + id + "\r\nCSeq: 1 " + method + "\r\n\r\n")
}

// let counts how many of n messages are admitted, and how many of the others
// are answered.
func (g *guard) let(from netip.AddrPort, n int, p []byte) (in, answered int) {
	for range n {
		ok, answer := g.admits(from, p)
		switch {
		case ok:
			in++
		case answer != nil:
			answered++
		}
	}
	return in, answered
}

func TestBansDoubleUntilTheLongestOne(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		a := &Agent{guard: testGuard(t, Perimeter{Failures: 3, Per: time.Minute, Ban: time.Minute, MaxBan: 5 * time.Minute})}
		for n, want := range []time.Duration{time.Minute, 2 * time.Minute, 4 * time.Minute, 5 * time.Minute, 5 * time.Minute} {
			for i := range 3 {
				if len(a.Bans()) != 0 {
					t.Fatalf("banned after %d failures", i)
				}
				a.guard.failed(stranger.Addr(), fmt.Sprint("10", i))
			}
			bans := a.Bans()
			if len(bans) != 1 || bans[0].Address != stranger.Addr() || bans[0].Extension != "" || bans[0].Times != n+1 ||
				bans[0].Until.Sub(bans[0].Since) != want || bans[0].Reason != "3 wrong passwords within 1m" {
				t.Fatalf("%+v, want a ban for %s", bans, want)
			}
			if ok, _ := a.guard.admits(stranger, bare("REGISTER", "1")); ok {
				t.Fatal("who is banned is listened to")
			}
			time.Sleep(want)
			if ok, _ := a.guard.admits(stranger, bare("REGISTER", "1")); !ok {
				t.Fatal("nobody listens after the ban")
			}
		}
		time.Sleep(6 * time.Minute) // as long as the longest ban, and more: forgiven
		for range 3 {
			a.guard.failed(stranger.Addr(), "101")
		}
		if bans := a.Bans(); len(bans) != 1 || bans[0].Times != 1 {
			t.Errorf("after a long time: %+v", bans)
		}
	})
}

func TestSlowMistakesAreNoGuessing(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		a := &Agent{guard: testGuard(t, Perimeter{})}
		for range 100 { // a phone with an old password
			a.guard.failed(stranger.Addr(), "101")
			time.Sleep(20 * time.Second)
		}
		if bans := a.Bans(); len(bans) != 0 {
			t.Errorf("%+v", bans)
		}
	})
}

func TestTheRightPasswordForgetsTheWrongOnes(t *testing.T) {
	a := &Agent{guard: testGuard(t, Perimeter{})}
	for range 4 {
		for range 4 {
			a.guard.failed(stranger.Addr(), "101")
		}
		a.guard.passed(stranger.Addr(), "101")
	}
	if bans := a.Bans(); len(bans) != 0 {
		t.Errorf("somebody who mistypes and gets in is banned: %+v", bans)
	}
}

func TestTrunkIsNeverBanned(t *testing.T) {
	a := &Agent{guard: testGuard(t, Perimeter{})}
	for _, from := range []netip.AddrPort{netip.MustParseAddrPort("192.0.2.10:40000"), netip.MustParseAddrPort("192.0.2.17:5060")} {
		for range 1000 {
			a.guard.failed(from.Addr(), "101")
			a.guard.admits(from, []byte("garbage"))
		}
		ok, _ := a.guard.admits(from, bare("INVITE", "1"))
		if bans := a.Bans(); len(bans) != 0 || a.guard.inForce() != 0 || a.guard.barred(from.Addr(), "101") || !ok {
			t.Errorf("the trunk is banned: %+v", bans)
		}
	}
}

func TestAddressOfSomebodyKnownIsBannedForTheGuessedExtensionOnly(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		a := &Agent{guard: testGuard(t, Perimeter{})}
		guess := func(user string) []byte {
			return []byte("REGISTER sip:b SIP/2.0\r\nauthorization :  Digest realm=\"perezvon\",\r\n\tUserName = \"" + user + "\"\r\n\r\n")
		}
		for range 5 {
			if ok, _ := a.guard.admits(phoneAt, guess("201")); !ok {
				t.Fatal("barred too early")
			}
			a.guard.failed(phoneAt.Addr(), "201")
		}
		if bans := a.Bans(); len(bans) != 1 || bans[0].Extension != "201" || bans[0].Reason != `5 wrong passwords within 1m for extension "201"` {
			t.Fatalf("%+v", bans)
		}
		for name, tc := range map[string]struct {
			from netip.AddrPort
			p    []byte
			want bool
		}{
			"the guess":                {phoneAt, guess("201"), false},
			"another extension":        {phoneAt, guess("202"), true},
			"a call":                   {phoneAt, bare("INVITE", "1"), true},
			"the extension, elsewhere": {netip.MustParseAddrPort("203.0.113.77:5060"), guess("201"), true},
		} {
			if ok, _ := a.guard.admits(tc.from, tc.p); ok != tc.want {
				t.Errorf("%s: %t", name, ok)
			}
		}
		if !a.guard.barred(phoneAt.Addr(), "201") || a.guard.barred(phoneAt.Addr(), "202") {
			t.Error("the extension's ban is not known to the registrar")
		}
		time.Sleep(10 * time.Minute)
		if ok, _ := a.guard.admits(phoneAt, guess("201")); !ok {
			t.Error("barred for ever")
		}
	})
}

func TestGuessesThatAreSpreadOutCountTogether(t *testing.T) {
	t.Run("one extension from many addresses", func(t *testing.T) {
		a := &Agent{guard: testGuard(t, Perimeter{})}
		for i := range 100 {
			a.guard.failed(netip.AddrFrom4([4]byte{203, 0, 113, byte(i)}), "201")
		}
		if n := len(a.Bans()); n != 100-strict*5 {
			t.Errorf("%d of 100 addresses that guess once are banned", n)
		}
		a.guard.failed(netip.MustParseAddr("198.51.100.1"), "202")
		if n := len(a.Bans()); n != 100-strict*5 {
			t.Error("who mistypes another extension is banned at once")
		}
	})
	t.Run("many extensions at one address", func(t *testing.T) {
		a := &Agent{guard: testGuard(t, Perimeter{})}
		for i := range 100 {
			a.guard.failed(phoneAt.Addr(), fmt.Sprint(i))
		}
		bans := a.Bans()
		if len(bans) != 100-strict*5 || bans[0].Extension == "" {
			t.Errorf("%d bans", len(bans))
		}
	})
}

func TestPasswordsWithoutAUserNameCountOnce(t *testing.T) {
	a := &Agent{guard: testGuard(t, Perimeter{})}
	for n := range 5 {
		if all := a.Bans(); len(all) != 0 {
			t.Fatalf("banned after %d: %+v", n, all)
		}
		a.guard.failed(stranger.Addr(), "")
	}
	if all := a.Bans(); len(all) != 1 || all[0].Reason != "5 wrong passwords within 1m" {
		t.Errorf("bans %+v", all)
	}
}

func TestStrangerWhoDoesNotStopIsBanned(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		a := &Agent{guard: testGuard(t, Perimeter{})}
		for range 50 { // slowly: for as long as he likes
			a.guard.let(stranger, 99, bare("OPTIONS", "1"))
			time.Sleep(61 * time.Second)
		}
		if bans := a.Bans(); len(bans) != 0 {
			t.Fatalf("%+v", bans)
		}
		a.guard.let(stranger, 100, bare("INVITE", "1"))
		if bans := a.Bans(); len(bans) != 1 || bans[0].Reason != "100 messages within 1m that got no answer" {
			t.Errorf("%+v", bans)
		}
		if a.guard.connects(stranger) {
			t.Error("he may connect")
		}
		off := &Agent{guard: testGuard(t, Perimeter{Ignored: -1})}
		off.guard.let(stranger, 10000, bare("INVITE", "1"))
		if bans := off.Bans(); len(bans) != 0 {
			t.Errorf("switched off: %+v", bans)
		}
	})
}

func TestUnbanForgetsWhatLedToIt(t *testing.T) {
	a := &Agent{guard: testGuard(t, Perimeter{})}
	for range 5 {
		a.guard.failed(stranger.Addr(), "201")
	}
	if !a.Unban(stranger.Addr()) || len(a.Bans()) != 0 || a.Unban(stranger.Addr()) {
		t.Error("not lifted once")
	}
	if ok, _ := a.guard.admits(stranger, bare("REGISTER", "1")); !ok {
		t.Error("still not listened to")
	}
	for range 4 {
		a.guard.failed(stranger.Addr(), "201")
	}
	if bans := a.Bans(); len(bans) != 0 {
		t.Errorf("the old failures count: %+v", bans)
	}
	a.guard.failed(stranger.Addr(), "201")
	if bans := a.Bans(); len(bans) != 1 || bans[0].Times != 1 {
		t.Errorf("the old ban counts: %+v", bans)
	}
	for range 5 {
		a.guard.failed(phoneAt.Addr(), "201")
		a.guard.failed(phoneAt.Addr(), "202")
	}
	if !a.Unban(phoneAt.Addr()) || a.guard.barred(phoneAt.Addr(), "201") || a.guard.barred(phoneAt.Addr(), "202") {
		t.Error("extensions at the address are banned on")
	}
}

func TestBansAreToldInOrderAndNotEachOfAFlood(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		var mu sync.Mutex
		var all []Ban // guarded by mu
		b := testAgent(t, func(c *Config) {
			c.OnBan = func(b Ban) {
				mu.Lock()
				defer mu.Unlock()
				all = append(all, b)
			}
		})
		toldNow := func() []Ban { // since it was asked last
			synctest.Wait()
			mu.Lock()
			defer mu.Unlock()
			now := all
			all = nil
			return now
		}
		for range 5 {
			b.agent.guard.failed(stranger.Addr(), "201")
		}
		synctest.Wait()
		b.agent.Unban(stranger.Addr())
		synctest.Wait()
		for range 5 {
			b.agent.guard.failed(stranger.Addr(), "201")
		}
		time.Sleep(10*time.Minute + time.Second)
		var got []string
		for _, b := range toldNow() {
			got = append(got, fmt.Sprintf("%s over=%t %s", b.Address, b.Over, b.Reason))
		}
		want := []string{
			"203.0.113.5 over=false 5 wrong passwords within 1m", "203.0.113.5 over=true lifted by hand",
			"203.0.113.5 over=false 5 wrong passwords within 1m", "203.0.113.5 over=true its time is over",
		}
		if strings.Join(got, "\n") != strings.Join(want, "\n") {
			t.Errorf("told:\n%s", strings.Join(got, "\n"))
		}
		for i := range 2000 {
			b.agent.guard.let(netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 18, byte(i >> 8), byte(i)}), 5060), 100, bare("OPTIONS", "1"))
		}
		told := slices.DeleteFunc(toldNow(), func(b Ban) bool { return b.Over }) // a few made room for others
		if s := b.agent.Stats(); len(told) != tellBurst || s.Bans < 1950 || s.BansBegun != 2002 {
			t.Errorf("%d of %d bans are told", len(told), s.Bans)
		}
		if n := len(b.log.String()); n > 20000 {
			t.Errorf("%d bytes of log", n)
		}
		time.Sleep(time.Minute)
		b.agent.guard.let(stranger, 100, bare("OPTIONS", "1"))
		told = toldNow()
		if last := told[len(told)-1]; last.Address != stranger.Addr() || last.Others != 2000-tellBurst {
			t.Errorf("%+v", last)
		}
		time.Sleep(time.Hour)
		ends := len(toldNow())
		if s := b.agent.Stats(); s.Bans != 0 || ends > tellBurst+1 || ends < tellBurst-10 {
			t.Errorf("%d bans, the end of %d told", s.Bans, ends)
		}
	})
}

func TestWhatStrangersMakeUsRememberIsBounded(t *testing.T) {
	g := testGuard(t, Perimeter{Ignored: 2})
	for range 5 {
		g.failed(stranger.Addr(), "201")
	}
	for i := range 100_000 {
		ip := netip.AddrFrom4([4]byte{198, byte(18 + i>>16), byte(i >> 8), byte(i)})
		g.let(netip.AddrPortFrom(ip, 5060), 2, bare("OPTIONS", "1"))
	}
	count := func(each func(func())) (n int) {
		each(func() { n++ })
		return n
	}
	noises := count(func(f func()) { g.noise.each(func(*noise) { f() }) })
	bans := count(func(f func()) { g.bans.each(func(*ban) { f() }) })
	if noises > maxStrangers || bans > maxBans || noises < maxStrangers/2 || bans < maxBans/2 {
		t.Errorf("%d strangers and %d bans are remembered", noises, bans)
	}
	if b := g.bans.find(g.bans.key(stranger.Addr(), "")); b == nil || b.why != guessing {
		t.Error("a ban for wrong passwords made room for mere noise")
	}
	if ok, _ := g.admits(stranger, bare("REGISTER", "1")); ok {
		t.Error("who guessed passwords is listened to again")
	}
}

func TestDroppingAPacketAllocatesNothing(t *testing.T) {
	g := testGuard(t, Perimeter{Ignored: -1})
	for range 5 {
		g.failed(netip.MustParseAddr("203.0.113.99"), "201")
	}
	many := uint32(0)
	for name, drop := range map[string]func(){
		"of a stranger":    func() { g.admits(stranger, bareOptions) },
		"that is no SIP":   func() { g.admits(stranger, bareNonsense) },
		"of who is banned": func() { g.admits(netip.MustParseAddrPort("203.0.113.99:5060"), bareOptions) },
		"of somebody new": func() {
			many++
			g.admits(netip.AddrPortFrom(netip.AddrFrom4([4]byte{198, 18, byte(many >> 8), byte(many)}), 1), bareOptions)
		},
		"beyond what is allowed": func() { g.admits(trunkAt, bareOptions) },
		"that is a login":        func() { g.admits(stranger, bareRegister) },
	} {
		g.let(trunkAt, otherBurst, bareOptions)
		g.let(stranger, loginBurst, bareRegister)
		if n := testing.AllocsPerRun(1000, drop); n != 0 {
			t.Errorf("a packet %s: %g allocations", name, n)
		}
	}
}

var bareOptions, bareRegister, bareNonsense = bare("OPTIONS", "1"), bare("REGISTER", "1"), []byte{0, 1, 2}

func TestUserNamesAreFoundWhereTheyAre(t *testing.T) {
	for _, tt := range []struct{ value, want string }{
		{`Digest username="201", realm="x"`, "201"},
		{`Digest realm="x",USERNAME = 201`, "201"},
		{"Digest realm=\"x\",\r\n username=\"201\"\r\nX: username=\"5\"", "201"},
		{`Digest opaque="x, username=zz", username="201"`, "201"},
		{`Digest opaque="\", username=zz, \"", username="201"`, "201"},
		{`Digest "username=zz" username="201"`, "201"},
		{`Digest username="zz", username="201"`, "zz 201"},
		{`Digest nousername="zz", username="201`, "201"},
		{`Digest username`, ""},
		{`Digest username=`, ""},
		{`Digest username="`, ""},
	} {
		var all []string
		credentials([]byte("REGISTER sip:x SIP/2.0\r\nAuthorization: "+tt.value+"\r\n\r\n"), func(user string) bool {
			all = append(all, user)
			return true
		})
		if got := strings.Join(all, " "); got != tt.want {
			t.Errorf("%s: %q, want %q", tt.value, got, tt.want)
		}
	}
}

func FuzzGuard(f *testing.F) {
	for _, method := range []string{"INVITE", "REGISTER", "OPTIONS", "CANCEL", "ACK", "BYE"} {
		f.Add(bare(method, "1"))
	}
	f.Add([]byte("INVITE sip:x SIP/2.0\r\nv: SIP/2.0/UDP [::1]:5060 ;rport;received=1.2.3.4, SIP/2.0/UDP b\r\nf : a\r\nt:\r\n b;tag=x\r\ni: 1\r\ncseq: 1 INVITE\r\n\r\nbody"))
	f.Add([]byte("REGISTER sip:x SIP/2.0\r\nAuthorization: Digest username=\"a\\\"b\", username=c\r\nProxy-authorization:x\r\n\r\n"))
	f.Add([]byte("SIP/2.0 200 OK\r\n"))
	g := testGuard(f, Perimeter{Ignored: -1})
	g.ours = func(tag []byte) bool { return len(tag)%2 == 0 }
	f.Fuzz(func(t *testing.T, p []byte) {
		before := string(p)
		for _, from := range []netip.AddrPort{trunkAt, phoneAt, stranger} {
			g.admits(from, p)
		}
		credentials(p, func(user string) bool { return user != "" })
		if to := returnTo(p, trunkAt); to.Addr() != trunkAt.Addr() || to.Port() == 0 {
			t.Errorf("answered at %s", to)
		}
		answer := stateless(p, trunkAt, "SIP/2.0 503 Service Unavailable", "tag", "Retry-After: 5\r\n")
		if string(p) != before {
			t.Fatal("the packet was changed")
		}
		if answer == nil {
			return
		}
		head, body, whole := strings.Cut(string(answer), "\r\n\r\n")
		if !whole || body != "" || !strings.HasPrefix(head, "SIP/2.0 503 Service Unavailable\r\n") || !strings.HasSuffix(head, "\r\nRetry-After: 5\r\nContent-Length: 0") {
			t.Errorf("answer %q", answer)
		}
		if strings.ContainsAny(strings.ReplaceAll(head, "\r\n", ""), "\r\n\x00") {
			t.Errorf("a line is no line: %q", answer)
		}
		if len(answer) > len(p)+300 {
			t.Errorf("%d bytes are answered with %d", len(p), len(answer))
		}
	})
}
