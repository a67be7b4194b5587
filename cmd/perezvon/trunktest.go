package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"perezvon/configs"
	"perezvon/internal/api"
	"perezvon/internal/client"
	"perezvon/media/sdp"
	"perezvon/sip"
)

// TrunkCmd is about one trunk.
type TrunkCmd struct {
	Test TrunkTestCmd `cmd:"" help:"Say in words what works with a trunk and what does not."`
}

// TrunkTestCmd tries a trunk from this machine, beside the server if there is
// one: a socket of its own, an account that is asked and not changed. What the
// server says of the trunk is shown as well.
type TrunkTestCmd struct {
	remote
	Name string `arg:"" help:"Name of the trunk in the configuration."`
}

// trunkTest is what trunk test --json prints.
type trunkTest struct {
	Trunk string      `json:"trunk"`
	OK    bool        `json:"ok"`
	Steps []trunkStep `json:"steps"`
}

// trunkStep is one thing that was tried.
type trunkStep struct {
	What   string          `json:"what"` // name, options, login, register, address, codecs or server
	Result sip.TrialResult `json:"result"`
	Detail string          `json:"detail"`
	TookMS *float64        `json:"took_ms,omitempty"`
}

// Run tries the trunk. The exit status is 1 where something does not work.
func (cmd *TrunkTestCmd) Run(c *CLI) error {
	cfg, note, err := loadConfig(c.Config)
	if err != nil {
		return err
	}
	t := cfg.Trunk(cmd.Name)
	if t == nil {
		return unknownTrunk(cfg, cmd.Name, note)
	}
	server, err := cmd.client(c)
	if err != nil {
		return err
	}
	defer server.Close()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	out := newConsole(os.Stdout)
	if !c.JSON {
		out.progress("trying trunk %s …", t.Name)
	}
	test := trunkTest{Trunk: t.Name, OK: true}
	if test.Steps, err = tryTrunk(ctx, cfg, t); err != nil {
		return err
	}
	test.Steps = append(test.Steps, askServer(ctx, server, t))
	test.OK = !slices.ContainsFunc(test.Steps, func(s trunkStep) bool { return s.Result == sip.TrialFailed })
	if c.JSON {
		err = printJSON(test)
	} else {
		tellSteps(out, test.Steps)
	}
	if err == nil && !test.OK {
		err = errTold
	}
	return err
}

func unknownTrunk(cfg *configs.Config, name, note string) error {
	if len(cfg.Trunks) == 0 {
		if note != "" {
			return fmt.Errorf("no trunk %q: %s", name, note)
		}
		return fmt.Errorf("no trunk %q: the configuration has none", name)
	}
	names := make([]string, 0, len(cfg.Trunks))
	for i := range cfg.Trunks {
		names = append(names, cfg.Trunks[i].Name)
	}
	return fmt.Errorf("no trunk %q; the configuration has %s", name, strings.Join(names, ", "))
}

func tellSteps(out *console, steps []trunkStep) {
	for _, s := range steps {
		mark, how := "✓", good
		switch s.Result {
		case sip.TrialFailed:
			mark, how = "✗", bad
		case sip.TrialNote:
			mark, how = "·", plain
		}
		took := ""
		if s.TookMS != nil {
			took = fmt.Sprintf(" (%.0f ms)", *s.TookMS)
		}
		out.line(how, "%s %s: %s%s", mark, s.What, s.Detail, took)
	}
}

// tryTrunk tries the trunk from a socket of its own.
func tryTrunk(ctx context.Context, cfg *configs.Config, t *configs.Trunk) ([]trunkStep, error) {
	c := sipConfig(cfg, slog.New(slog.DiscardHandler))
	c.STUN, c.Extensions = "", nil
	tried := sipTrunk(t)
	var err error
	if tried.TLS, err = trunkTLS(t); err != nil {
		return nil, fmt.Errorf("trunk %s: tls.ca: %w", t.Name, err)
	}
	c.Trunks = []sip.Trunk{tried}
	c.Trunks[0].Register, c.Trunks[0].Options = false, 0 // not by itself
	c.Handle = func(_ context.Context, in *sip.Incoming) {
		_ = in.RejectRetry(503, "", mostTrying) // the caller has gone, or goes on trying
	}
	socket, err := sip.ListenUDP(ctx, netip.AddrPortFrom(udpAddress(cfg), 0).String())
	if err != nil {
		return nil, err
	}
	c.Listen = []net.PacketConn{socket}
	agent, err := sip.New(c)
	if err != nil {
		return nil, err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		_ = agent.Close(ctx) // there are no calls
	}()
	if err := agent.Start(ctx); err != nil {
		return nil, err
	}
	report, err := agent.TryTrunk(ctx, t.Name, t.Register)
	if err != nil {
		return nil, err
	}
	steps := make([]trunkStep, 0, len(report.Trials)+2)
	for _, one := range report.Trials {
		step := judgeTrial(&one, t)
		if one.Took > 0 {
			step.TookMS = new(float64(one.Took.Microseconds()) / 1000)
		}
		steps = append(steps, step)
	}
	if step, ok := judgeCodecs(report.SDP, cfg.Media.Codecs); ok {
		steps = append(steps, step)
	}
	return steps, nil
}

// judgeTrial takes what was found, but for a trunk of which the configuration says
// already that it does not answer OPTIONS: that it does not is no failure then.
func judgeTrial(one *sip.Trial, t *configs.Trunk) trunkStep {
	step := trunkStep{What: one.What, Result: one.Result, Detail: one.Detail}
	const advice = "; where the provider never answers OPTIONS, set trunks[].options to off"
	if silent, ok := strings.CutSuffix(one.Detail, advice); ok && t.OptionsEvery() == 0 {
		step.Result, step.Detail = sip.TrialNote, silent+"; the server does not ask it, for options is off, and a call will show whether it is there"
	}
	return step
}

// udpAddress is the address of this machine that SIP over UDP uses.
func udpAddress(cfg *configs.Config) netip.Addr {
	for _, l := range cfg.SIP.Listen {
		if l.Transport == "udp" {
			return l.Addr.Addr()
		}
	}
	return netip.IPv4Unspecified()
}

// judgeCodecs holds the codecs of the answer to OPTIONS against ours; false
// where it named none.
func judgeCodecs(body []byte, own []string) (trunkStep, bool) {
	if len(body) == 0 {
		return trunkStep{}, false
	}
	description, err := sdp.Parse(body)
	if err != nil {
		return trunkStep{What: "codecs", Result: sip.TrialNote, Detail: "what it says of its codecs cannot be read: " + err.Error()}, true
	}
	theirs := description.Names()
	step := trunkStep{What: "codecs", Result: sip.TrialOK, Detail: "it has " + strings.Join(theirs, ", ")}
	switch {
	case len(theirs) == 0:
		return trunkStep{}, false
	case !slices.ContainsFunc(own, func(c string) bool { return slices.Contains(theirs, c) }):
		step.Result = sip.TrialFailed
		step.Detail += fmt.Sprintf(", and none of media.codecs (%s): calls will be refused with 488; ask the provider for G.711", strings.Join(own, ", "))
	}
	return step, true
}

// askServer shows what the running server says of the trunk.
func askServer(ctx context.Context, server *client.Client, tried *configs.Trunk) trunkStep {
	const patience = 3 * time.Second
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	step := trunkStep{What: "server", Result: sip.TrialNote}
	list, err := server.Trunks(ctx)
	var problem *client.Error
	switch {
	case errors.As(err, &problem):
		step.Detail = "the running server does not say how the trunk is: " + err.Error()
		return step
	case err != nil:
		step.Detail = "there is no running server to ask: " + err.Error()
		return step
	}
	i := slices.IndexFunc(list.Trunks, func(t api.Trunk) bool { return t.Name == tried.Name })
	if i < 0 {
		step.Detail = "the running server has no trunk of that name, or the key does not see it; it may have another configuration"
		return step
	}
	if theirs := &list.Trunks[i]; !sameTrunk(theirs, tried) {
		step.Detail = fmt.Sprintf("the running server's trunk of that name is another one, at %s over %s, and was not tried; it has another configuration, or has not reloaded it",
			theirs.Host, theirs.Transport)
		return step
	}
	step.Result, step.Detail = judgeServer(&list.Trunks[i], time.Now())
	return step
}

// sameTrunk reports whether the running server's trunk is where the tried one is.
func sameTrunk(theirs *api.Trunk, tried *configs.Trunk) bool {
	host, port := configs.HostPort(theirs.Host, theirs.Transport)
	wanted, at := configs.HostPort(tried.Host, tried.Transport)
	return theirs.Transport == tried.Transport && host == wanted && port == at
}

// judgeServer says how the trunk is for the running server.
func judgeServer(t *api.Trunk, now time.Time) (sip.TrialResult, string) {
	row := trunkRow(t, now)
	const registered, answers, calls = 3, 6, 7
	words := "for the running server it is " + t.State
	if t.Since != nil {
		words += " since " + date(*t.Since)
	}
	if t.Registered {
		words += ", registered " + row[registered]
	}
	if row[answers] != "" {
		words += ", answers " + row[answers]
	}
	words += ", calls: " + row[calls]
	if t.RestsUntil != nil {
		words += fmt.Sprintf(", others go first until %s, for it was silent or answered 503", clock(*t.RestsUntil))
	}
	if t.State == "down" {
		return sip.TrialFailed, words + "; " + value(t.Reason)
	}
	if t.State == "unknown" {
		return sip.TrialNote, words
	}
	return sip.TrialOK, words
}
