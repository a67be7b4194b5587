package selftest

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"perezvon/configs"
	"perezvon/internal/api"
	"perezvon/internal/lab"
)

// scenario is one row of the matrix.
type scenario struct {
	branch string // of docs/call-flows.md
	what   string // what happens
	cast   func(*stage)
	play   func(context.Context, *stage) error // nil: a callback is placed and followed to its end
	want   Facts

	seconds int                   // about how long it takes, where that is long: those begin first
	alone   bool                  // it has a server of its own
	child   bool                  // and that is a process of its own, which can be killed
	tune    func(*configs.Config) // of a server of its own
	ports   int                   // of a server of its own: it has so many media ports; 0: enough
}

// stage is a scenario with its people, line and trunks.
type stage struct {
	*scenario
	n      int  // number of the scenario
	speaks bool // this machine has a speech engine
	mute   bool // the server has none, whatever the machine has

	provider, backup, office *lab.Carrier

	callback configs.Callback
	lines    []configs.Line // the first is the scenario's, more as it adds them
	trunks   []configs.Trunk
	house    *house // where it is played

	callers []*lab.Party  // who called in
	rec     api.Call      // the call that is judged
	settles time.Duration // how long it is waited until all is quiet
	noted   Facts         // what the play has seen
}

func newStage(ctx context.Context, sc *scenario, n int, speaks bool) (_ *stage, err error) {
	s := &stage{scenario: sc, n: n, speaks: speaks, callback: shortTimers(), settles: 10 * time.Second}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	for _, c := range []**lab.Carrier{&s.provider, &s.backup, &s.office} {
		if *c, err = lab.NewCarrier(ctx, lab.Config{Signal: netip.MustParseAddrPort("127.0.0.1:0"), Network: network()}); err != nil {
			return nil, err
		}
		(*c).Number("*", refusesAtOnce(404)) // who is called by mistake is seen
	}
	for _, t := range []struct {
		name string
		at   *lab.Carrier
	}{{s.trunk("provider"), s.provider}, {s.trunk("backup"), s.backup}} {
		s.trunks = append(s.trunks, configs.Trunk{
			Name: t.name, Host: t.at.Addr().String(), Transport: "udp", Format: "plus", Options: "off", Try: time.Second,
		})
	}
	s.addLine(ringing(anna)).Trunks = []string{s.trunk("provider")}
	s.person(anna, answers())
	s.person(customer, talks(talk))
	if sc.cast != nil {
		sc.cast(s)
	}
	return s, nil
}

// network is loopback with patience: on a machine that does other things, too,
// sound may stand still for a moment, and nothing is wrong with the server.
func network() lab.Network {
	n := lab.Loopback()
	n.Slack = time.Second
	return n
}

func (s *stage) close() {
	for _, c := range s.carriers() {
		if c != nil {
			_ = c.Close() // nothing is left to lose
		}
	}
}

func (s *stage) carriers() []*lab.Carrier { return []*lab.Carrier{s.provider, s.backup, s.office} }

// shortTimers are the defaults at a pace that can be waited for.
func shortTimers() configs.Callback {
	c := configs.Default().Callback
	c.Ring, c.CustomerRing, c.Confirm, c.Announcement = 2*time.Second, 2*time.Second, time.Second, 20*time.Second
	c.Attempts, c.Retry, c.BusyRetry, c.TTL = 1, []time.Duration{time.Second}, time.Second, 10*time.Minute
	return c
}

func (s *stage) trunk(name string) string { return fmt.Sprintf("%s-%d", name, s.n) }

// addLine gives the scenario another line with the same trunks.
func (s *stage) addLine(route ...func(*stage) configs.Step) *configs.Line {
	i := len(s.lines)
	l := configs.Line{
		ID: fmt.Sprintf("line-%d-%d", s.n, i+1), Name: s.what, Number: fmt.Sprintf("+7495%03d%04d", 100+s.n, i+1),
		Record: true, Callback: &s.callback,
	}
	if i > 0 {
		l.Trunks = s.lines[0].Trunks
	}
	s.lines = append(s.lines, l)
	s.route(i, route...)
	return &s.lines[i]
}

// line is the scenario's first line.
func (s *stage) line() *configs.Line { return &s.lines[0] }

func (s *stage) route(line int, steps ...func(*stage) configs.Step) {
	s.lines[line].Route = nil
	for _, step := range steps {
		s.lines[line].Route = append(s.lines[line].Route, step(s))
	}
}

// rings is a route of phones, one after the other.
func (s *stage) rings(steps ...func(*stage) configs.Step) { s.route(0, steps...) }

func ringing(who string) func(*stage) configs.Step {
	return func(s *stage) configs.Step {
		if who == mobile {
			return configs.Step{Mobile: &configs.MobileStep{Number: s.number(mobile), Ring: 4 * time.Second}}
		}
		return configs.Step{Extension: &configs.ExtensionStep{Number: s.number(who)}}
	}
}

func group(strategy string, who ...string) func(*stage) configs.Step {
	return func(s *stage) configs.Step {
		g := &configs.GroupStep{Strategy: strategy, Ring: 3 * time.Second}
		for _, w := range who {
			g.Members = append(g.Members, s.number(w))
		}
		return configs.Step{Group: g}
	}
}

// withBackup gives the line its second trunk.
func (s *stage) withBackup() {
	s.line().Trunks = []string{s.trunk("provider"), s.trunk("backup")}
}

// number is how a person is dialled.
func (s *stage) number(who string) string {
	switch who {
	case anna, boris, vera:
		return fmt.Sprintf("%d%02d", s.n, 1+slices.Index(everybody(), who))
	case mobile:
		return fmt.Sprintf("+7926%03d0000", 100+s.n)
	case second:
		return fmt.Sprintf("+7916%03d0002", 100+s.n)
	case third:
		return fmt.Sprintf("+7916%03d0003", 100+s.n)
	default:
		return fmt.Sprintf("+7916%03d0001", 100+s.n)
	}
}

// place is where a person is: the carrier that plays him.
func (s *stage) place(who string) *lab.Carrier {
	switch who {
	case anna, boris, vera:
		return s.office
	case customer + viaBackup:
		return s.backup
	default:
		return s.provider
	}
}

// person says what somebody does when he is rung: with several scripts the
// first time, the second time and so on.
func (s *stage) person(who string, scripts ...lab.Script) {
	voiced := make([]lab.Script, 0, len(scripts))
	for _, script := range scripts {
		voiced = append(voiced, append(lab.Script{lab.Tone(pitch(who, s.n))}, script...))
	}
	s.place(who).Turns(s.number(who), voiced...)
}

// who is on the other end of a party's line.
func (s *stage) who(c *lab.Carrier, p *lab.Party) string {
	if slices.Contains(s.callers, p) {
		return caller
	}
	for _, who := range everybody() {
		if s.place(who) == c && "+"+trimPlus(s.number(who)) == "+"+trimPlus(p.Number()) && who != caller {
			return who
		}
	}
	return "a stranger at " + p.Number()
}

func trimPlus(number string) string {
	if number != "" && number[0] == '+' {
		return number[1:]
	}
	return number
}

// parties are the calls of one person, in their order.
func (s *stage) parties(who string) []*lab.Party {
	if who == caller {
		return s.callers
	}
	return slices.DeleteFunc(s.place(who).Calls(s.number(who)), func(p *lab.Party) bool { return slices.Contains(s.callers, p) })
}

// extensions are the scenario's phones, as the configuration has them.
func (s *stage) extensions() []configs.Extension {
	var all []configs.Extension
	for _, who := range []string{anna, boris, vera} {
		n := s.number(who)
		all = append(all, configs.Extension{Number: n, Name: who, Contact: "sip:" + n + "@" + s.office.Addr().String(), Line: s.line().ID})
	}
	return all
}

// note keeps what the play has seen. The last word counts.
func (s *stage) note(name, value string) {
	s.noted = slices.DeleteFunc(s.noted, func(f Fact) bool { return f.Name == name })
	s.noted = append(s.noted, Fact{name, value})
}
