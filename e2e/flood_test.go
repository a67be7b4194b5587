package e2e

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/icholy/digest"

	"perezvon/internal/api"
	"perezvon/internal/lab"
	"perezvon/internal/store"
)

const (
	floodTime = 10 * time.Second
	floodRate = 5000 // messages a second
	crackers  = 20   // addresses that guess passwords
	scanners  = 180  // addresses that send everything else
	// ignoredToBan is perimeter.ignored, which the tests leave as it is.
	ignoredToBan = 100
	// floodMemory is what the server may take for it.
	floodMemory = 64 << 20
	// floodLog is how much it may write about it, in bytes. The tests have it
	// write what calls do as well.
	floodLog = 128 << 10
)

// A hostile internet does not disturb who talks: nothing is lost of their
// sound, and who guesses is not listened to any more.
func TestFloodOfStrangersDisturbsNoCall(t *testing.T) {
	f := newFlooded(t)
	quiet := f.probe(2 * time.Second)
	before, log := f.gauge("process_resident_memory_bytes"), len(f.out.String())

	guessing, scanning := f.sockets(crackers, cracker), f.sockets(scanners, scanner)
	var attack sync.WaitGroup
	began := time.Now()
	attack.Go(func() { f.attack(guessing, scanning, began.Add(floodTime)) })
	loud := f.probe(floodTime - time.Second)
	attack.Wait()

	grown, written := f.gauge("process_resident_memory_bytes")-before, len(f.out.String())-log
	t.Logf("%d messages; sound in quiet: %s; under attack: %s; memory %+.1f MiB; %d bytes of log; dropped: %d of strangers, %d of banned, %d beyond limits; %d wrong passwords, %d bans",
		f.sent, quiet, loud, float64(grown)/(1<<20), written, f.gauge(`perezvon_sip_dropped_total{reason="stranger"}`), f.gauge(`perezvon_sip_dropped_total{reason="banned"}`),
		f.gauge(`perezvon_sip_dropped_total{reason="limit"}`), f.gauge("perezvon_sip_wrong_passwords_total"), f.gauge("perezvon_sip_bans_total"))
	f.undisturbed(quiet, loud, began, grown, written)
	f.wantBans()

	// Who is known is served as before.
	f.talks(api.CallbackBody{Number: "+79160000003", Manager: "103"})
	f.finish()
}

// A trunk's address may be forged: what comes from it is bounded, and it is not
// banned.
func TestFloodFromATrunksAddressCostsLittle(t *testing.T) {
	f := newFlooded(t)
	before, log := f.gauge("process_resident_memory_bytes"), len(f.out.String())
	began := time.Now()
	c := f.socket("127.0.0.1")
	for i := range 20_000 {
		f.send(c, request(c.LocalAddr().String(), "INVITE", "+74950000009", fmt.Sprint("forged", i), ""))
		if i%20 == 0 {
			time.Sleep(time.Until(began.Add(time.Duration(i) * 250 * time.Microsecond))) // 4,000 a second
		}
	}
	quiet := f.probe(time.Second)
	grown, written := f.gauge("process_resident_memory_bytes")-before, len(f.out.String())-log
	t.Logf("20,000 INVITEs in %s: memory %+.1f MiB, %d bytes of log, %d beyond limits", time.Since(began).Round(100*time.Millisecond),
		float64(grown)/(1<<20), written, f.gauge(`perezvon_sip_dropped_total{reason="limit"}`))
	f.undisturbed(quiet, quiet, began, grown, 0)
	if list := f.bans(); len(list) != 0 {
		t.Errorf("the trunk is banned: %+v", list)
	}
	f.talks(api.CallbackBody{Number: "+79160000003", Manager: "103"})
	f.finish()
}

// flooded is a server under attack, with two calls up: one of phones that send
// tones and listen, one whose packets are timed.
type flooded struct {
	*server
	phones, outside *lab.Carrier
	near, far       *ends
	calls           []string // ids

	mu   sync.Mutex
	sent int // guarded by mu
}

func newFlooded(t *testing.T) *flooded {
	t.Helper()
	f := &flooded{phones: newCarrier(t), outside: newCarrier(t)}
	f.near, f.far = newEnds(t), newEnds(t)
	f.phones.Number(managerPort, lab.Manager(0))
	f.phones.Number("102", append(lab.Script{lab.NoSound(), lab.Codecs(lab.PCMA), lab.EditSDP(f.near.describe)}, lab.Ring(0), lab.Answer(0)))
	f.phones.Number("103", lab.Manager(0))
	f.outside.Number("+79160000001", lab.Customer(0))
	f.outside.Number("+79160000002", append(lab.Script{lab.NoSound(), lab.Codecs(lab.PCMA), lab.EditSDP(f.far.describe)}, lab.Ring(0), lab.Answer(0)))
	f.outside.Number("+79160000003", lab.Customer(0))
	f.server = serve(t, setup{
		trunk: f.outside.Addr().String(), manager: f.phones.Addr().String(), codecs: "PCMA",
		extensions: fmt.Sprintf("  - {number: \"102\", contact: \"sip:102@%[1]s\"}\n  - {number: \"103\", contact: \"sip:103@%[1]s\"}\n"+
			"  - {number: \"201\", password: \"a-password-nobody-guesses\"}\n", f.phones.Addr()),
	})
	f.talks(api.CallbackBody{Number: "+79160000001"})
	f.talks(api.CallbackBody{Number: "+79160000002", Manager: "102"})
	for number, e := range map[string]*ends{"102": f.near, "+79160000002": f.far} {
		side := f.outside
		if number == "102" {
			side = f.phones
		}
		e.to = side.Calls(number)[0].Remote().Remote
		e.write(make([]byte, 160)) // who hears us knows where we are
	}
	return f
}

// talks has a call up.
func (f *flooded) talks(body api.CallbackBody) {
	f.t.Helper()
	f.calls = append(f.calls, f.until(f.place(body).ID, store.StateTalking, 20*time.Second).ID)
}

// finish ends all calls, and the server.
func (f *flooded) finish() {
	f.t.Helper()
	for _, id := range f.calls {
		if _, err := f.Hangup(within(f.t, 10*time.Second), id); err != nil {
			f.t.Error(err)
		}
	}
	atRest(f.t, f.phones, f.outside)
	f.stop()
}

// undisturbed checks what must be true after an attack.
func (f *flooded) undisturbed(quiet, loud timing, began time.Time, grown, written int) {
	f.t.Helper()
	if loud.lost > loud.sent/500 {
		f.t.Errorf("%d of %d packets of sound were lost", loud.lost, loud.sent)
	}
	if added := loud.p99 - quiet.p99; added > 20*time.Millisecond {
		f.t.Errorf("sound is %s later than without the attack", added)
	}
	lasted := time.Since(began)
	for side, tone := range map[*lab.Party]float64{f.phones.Calls(managerPort)[0]: lab.CustomerTone, f.outside.Calls("+79160000001")[0]: lab.ManagerTone} {
		if d := side.HeardBetween(tone, began, time.Time{}); d < lasted-500*time.Millisecond {
			f.t.Errorf("%s heard the other side for %s of %s", side.Number(), d, lasted)
		}
	}
	if grown > floodMemory {
		f.t.Errorf("the server's memory has grown by %.1f MiB", float64(grown)/(1<<20))
	}
	if written > floodLog {
		f.t.Errorf("the server has written %d bytes about it", written)
	}
	if n := f.gauge("perezvon_sip_panics_total"); n != 0 {
		f.t.Errorf("%d panics", n)
	}
}

func (f *flooded) bans() []api.Ban {
	f.t.Helper()
	list, err := f.Bans(within(f.t, 10*time.Second))
	if err != nil {
		f.t.Fatal(err)
	}
	return list.Bans
}

// wantBans checks that the attackers, and nobody else, are banned.
func (f *flooded) wantBans() {
	f.t.Helper()
	banned := make(map[string]string)
	for _, b := range f.bans() {
		banned[b.Address] = b.Reason
	}
	for i := range crackers {
		if ip := cracker(i); !strings.Contains(banned[ip], "wrong passwords") {
			f.t.Errorf("%s guesses passwords and is not banned for it: %q", ip, banned[ip])
		}
	}
	for i := range scanners {
		if ip := scanner(i); banned[ip] == "" {
			f.t.Errorf("%s does not stop and is not banned", ip)
		}
	}
	if len(banned) != crackers+scanners {
		f.t.Errorf("%d addresses are banned, want %d", len(banned), crackers+scanners)
	}
	if events := f.get("/api/v1/events?limit=500"); !strings.Contains(events, `"type":"`+store.EventBanned+`"`) {
		f.t.Errorf("no ban among the events: %s", events)
	}
}

func cracker(i int) string { return fmt.Sprintf("127.66.0.%d", i+1) }
func scanner(i int) string { return fmt.Sprintf("127.77.%d.%d", i/100, i%100+1) }

// sockets send from n addresses.
func (f *flooded) sockets(n int, ip func(int) string) []*net.UDPConn {
	f.t.Helper()
	all := make([]*net.UDPConn, 0, n)
	for i := range n {
		all = append(all, f.socket(ip(i)))
	}
	return all
}

// socket sends from an address.
func (f *flooded) socket(ip string) *net.UDPConn {
	f.t.Helper()
	c, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(ip), 0)))
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { _ = c.Close() })
	return c
}

func (f *flooded) send(c *net.UDPConn, p []byte) {
	_, _ = c.WriteToUDPAddrPort(p, netip.MustParseAddrPort(f.sipAddr())) // what is lost is lost
	f.mu.Lock()
	f.sent++
	f.mu.Unlock()
}

// attack lets crackers and scanners loose. It goes on where this machine is too
// slow to have sent by then what gets every scanner banned.
func (f *flooded) attack(guessing, scanning []*net.UDPConn, until time.Time) {
	var all sync.WaitGroup
	random := rand.New(rand.NewPCG(1, 2))
	shots := make([][]byte, 0, 1000)
	for i := range 1000 {
		shots = append(shots, nonsense(random, i))
	}
	for _, c := range guessing {
		all.Go(func() { f.crack(c, until) })
	}
	const burst = 50
	enough := 2 * ignoredToBan * len(scanning)
	for start, n := time.Now(), 0; time.Now().Before(until) || n < enough; n += burst {
		for i := range burst {
			f.send(scanning[(n+i)%len(scanning)], shots[random.IntN(len(shots))])
		}
		time.Sleep(time.Until(start.Add(time.Duration(n+burst) * time.Second / (floodRate - 5*crackers))))
	}
	all.Wait()
}

// crack guesses the password of extension 201, five times a second.
func (f *flooded) crack(c *net.UDPConn, until time.Time) {
	answer := make([]byte, 4096)
	credentials := ""
	for n := 0; time.Now().Before(until); n++ {
		f.send(c, request(c.LocalAddr().String(), "REGISTER", "201", fmt.Sprintf("crack%d", n), credentials))
		_ = c.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
		size, err := c.Read(answer)
		if err != nil {
			continue // banned
		}
		time.Sleep(200 * time.Millisecond)
		_, challenge, ok := strings.Cut(string(answer[:size]), "WWW-Authenticate: ")
		challenge, _, _ = strings.Cut(challenge, "\r\n")
		asked, err := digest.ParseChallenge(challenge)
		if !ok || err != nil {
			continue
		}
		guess, err := digest.Digest(asked, digest.Options{Method: "REGISTER", URI: "sip:x", Username: "201", Password: fmt.Sprint(n), Count: 1})
		if err == nil {
			credentials = "Authorization: " + guess.String() + "\r\n"
		}
	}
}

// request is one that looks right.
func request(at, method, user, id, headers string) []byte {
	return fmt.Appendf(nil, "%s sip:%s@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP %s;rport;branch=z9hG4bK%s\r\nMax-Forwards: 70\r\nFrom: <sip:%s@127.0.0.1>;tag=%s\r\n"+
		"To: <sip:%s@127.0.0.1>\r\nCall-ID: %s-%s\r\nCSeq: 1 %s\r\nContact: <sip:%s@%s>\r\n%sContent-Length: 0\r\n\r\n",
		method, user, at, id, user, id, user, id, at, method, user, at, headers)
}

// nonsense is what scanners and worse send.
func nonsense(r *rand.Rand, n int) []byte {
	text := func(method, headers string) []byte {
		return request("198.51.100.1:5060", method, "100", fmt.Sprintf("n%d", n), headers)
	}
	garbage := make([]byte, 1+r.IntN(1200))
	for i := range garbage {
		garbage[i] = byte(r.Uint32())
	}
	switch r.IntN(8) {
	case 0:
		return text("OPTIONS", "User-Agent: friendly-scanner\r\n")
	case 1:
		return text("INVITE", "")
	case 2:
		return text("REGISTER", "")
	case 3: // with an invented nonce
		return text("REGISTER", "Authorization: Digest username=\"201\", realm=\"perezvon\", nonce=\"abc\", uri=\"sip:x\", response=\"00000000000000000000000000000000\"\r\n")
	case 4:
		return text([]string{"BYE", "CANCEL", "ACK"}[r.IntN(3)], "")
	case 5: // cut off
		whole := text("INVITE", "")
		return whole[:r.IntN(len(whole))]
	case 6: // with something in it that does not belong there
		whole := text("REGISTER", "")
		copy(whole[r.IntN(len(whole)):], garbage)
		return whole
	}
	return garbage
}
