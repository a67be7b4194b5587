package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"perezvon/configs"
	"perezvon/internal/api"
	"perezvon/internal/client"
	"perezvon/internal/lab"
	"perezvon/internal/store"
	"perezvon/media/wav"
)

// DemoCmd shows a whole callback and an informational call on this machine, with
// nothing to sign up for.
type DemoCmd struct {
	Once bool   `help:"End after the two calls; exit status 0 only if everything worked."`
	Dir  string `default:"demo-data" placeholder:"DIR" help:"Where the database and the recordings go (${default})."`
}

// The people of the demo.
const (
	demoLine      = "demo"
	demoNumber    = "+74950000000"
	demoManager   = "101"
	demoCustomer  = "+79990000001"
	demoText      = "Здравствуйте! Клиент оставил заявку на сайте и ждёт звонка. Соединяю."
	demoTalk      = 5 * time.Second
	demoListening = 3 * time.Second // of it that each must have heard of the other
)

// Run sets the stage, places the callback and says what came of it.
func (cmd *DemoCmd) Run(c *CLI) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	out := newConsole(os.Stdout)
	st, err := openTheatre(ctx, cmd.Dir, cmd.Once)
	if err != nil {
		return err
	}
	defer st.close()
	served := make(chan error, 1)
	serving, stopServing := context.WithCancel(ctx)
	defer stopServing()
	go func() { served <- st.server.run(serving, nil) }()

	worked, err := st.show(ctx, out, c.JSON)
	if err == nil && !cmd.Once && ctx.Err() == nil {
		st.invite(out)
		select {
		case <-ctx.Done():
		case err = <-served:
			return err
		}
	}
	stopServing()
	err = errors.Join(err, <-served)
	if err == nil && !worked {
		return errTold
	}
	return err
}

// theatre is a server with a carrier and a phone around it: all real SIP and RTP
// on loopback.
type theatre struct {
	server  *server
	carrier *lab.Carrier
	phone   *lab.Carrier
}

func openTheatre(ctx context.Context, dir string, once bool) (_ *theatre, err error) {
	st := &theatre{}
	defer func() {
		if err != nil {
			st.close()
		}
	}()
	loopback := netip.MustParseAddrPort("127.0.0.1:0")
	if st.carrier, err = lab.NewCarrier(ctx, lab.Config{Signal: loopback}); err != nil {
		return nil, fmt.Errorf("demo: %w", err)
	}
	if st.phone, err = lab.NewCarrier(ctx, lab.Config{Signal: loopback}); err != nil {
		return nil, fmt.Errorf("demo: %w", err)
	}
	st.phone.Number(demoManager, lab.Manager(2*time.Second))
	st.carrier.Number(demoCustomer, append(lab.Customer(3*time.Second), lab.Talk(demoTalk), lab.Bye()))
	st.carrier.Number(demoListener, listens())
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	st.server, err = startServer(ctx, "", st.config(dir, once), log)
	return st, err
}

func (st *theatre) close() {
	for _, c := range []*lab.Carrier{st.carrier, st.phone} {
		if c != nil {
			_ = c.Close() // nothing is left to lose
		}
	}
}

// config is the demo's configuration, as the README shows one.
func (st *theatre) config(dir string, once bool) *configs.Config {
	cfg := configs.Default()
	cfg.DataDir = dir
	cfg.Recordings.Dir = filepath.Join(dir, "recordings")
	cfg.SIP.Listen = []configs.Listen{{Transport: "udp", Addr: netip.MustParseAddrPort("127.0.0.1:0")}}
	if once {
		cfg.HTTP.Listen = netip.MustParseAddrPort("127.0.0.1:0")
	}
	cfg.Trunks = []configs.Trunk{{Name: "carrier", Host: st.carrier.Addr().String(), Transport: "udp", Format: "plus"}}
	cfg.Extensions = []configs.Extension{{Number: demoManager, Name: "Anna", Contact: "sip:" + demoManager + "@" + st.phone.Addr().String()}}
	cfg.Lines = []configs.Line{{
		ID: demoLine, Name: "Demo", Number: demoNumber, Trunks: []string{"carrier"}, Record: true,
		Route: []configs.Step{{Extension: &configs.ExtensionStep{Number: demoManager}}},
	}}
	cfg.Limits.PerNumber = configs.Rate{} // the demo always calls the same number
	return cfg
}

// show places the callback, follows it and judges by ear.
func (st *theatre) show(ctx context.Context, out *console, quiet bool) (worked bool, err error) {
	server, err := client.New("http://"+st.server.http.Addr().String(), "")
	if err != nil {
		return false, err
	}
	defer server.Close()
	if !quiet {
		out.line(plain, "A simulated carrier listens on %s, a simulated office phone on %s.", st.carrier.Addr(), st.phone.Addr())
		out.line(plain, "A site's form asks: call %s back on the line %q and tell the manager:", demoCustomer, demoLine)
		out.line(plain, "    %s", demoText)
	}
	call, err := server.Callback(ctx, api.CallbackBody{Line: demoLine, Number: demoCustomer, Text: demoText})
	if err != nil {
		return false, err
	}
	f := &follower{client: server, out: out, quiet: quiet, call: call}
	if call, err = f.follow(ctx); err != nil {
		return false, err
	}
	checks := st.judge(call)
	if !quiet {
		checks.print(out)
		if call.Recording != nil {
			out.line(plain, "Recording: %s", filepath.Join(st.server.cfg.Load().Recordings.Dir, call.Recording.File))
		}
	}
	infocall, more, err := st.inform(ctx, server, out, quiet)
	if err != nil {
		return false, err
	}
	more = append(more, st.judgeRules())
	if quiet {
		checks = append(checks, more...)
		return checks.passed(), printJSON(map[string]any{"call": call, "infocall": infocall, "checks": checks})
	}
	more.print(out)
	return checks.passed() && more.passed(), nil
}

// check is one thing that was listened for.
type check struct {
	Text string `json:"text"`
	OK   bool   `json:"ok"`
}

type checks []check

func (cs checks) print(out *console) {
	for _, c := range cs {
		mark, t := "✓", good
		if !c.OK {
			mark, t = "✗", bad
		}
		out.line(t, "%s %s", mark, c.Text)
	}
}

func (cs checks) passed() bool {
	for _, c := range cs {
		if !c.OK {
			return false
		}
	}
	return true
}

// judge asks each party what it heard, and listens to the recording.
func (st *theatre) judge(call api.Call) checks {
	cs := checks{{"the call ended with " + value(call.Result), value(call.Result) == string(store.ResultCompleted)}}
	managers, customers := st.phone.Calls(demoManager), st.carrier.Calls(demoCustomer)
	if len(managers) == 0 || len(customers) == 0 {
		return append(cs, check{"both phones rang", false})
	}
	manager, customer := managers[len(managers)-1], customers[len(customers)-1]
	heard, from, to := manager.HeardFor(lab.CustomerTone), time.Time{}, time.Time{}
	spoke := manager.HeardSpeech(from, to)
	cs = append(cs, check{
		fmt.Sprintf("the manager heard the text (%.1f s of speech), then the customer (%.1f s)", spoke.Seconds(), heard.Seconds()),
		spoke > time.Second && heard >= demoListening,
	})
	heard, spoke = customer.HeardFor(lab.ManagerTone), customer.HeardSpeech(from, to)
	cs = append(cs, check{
		fmt.Sprintf("the customer heard the manager (%.1f s) and nothing of the text", heard.Seconds()),
		heard >= demoListening && spoke == 0,
	})
	echo := manager.HeardFor(lab.ManagerTone) + customer.HeardFor(lab.CustomerTone)
	return append(cs, check{"nobody heard himself", echo == 0}, st.judgeRecording(call))
}

// judgeRules looks at what the carrier and the phone have noted, when all is over.
func (st *theatre) judgeRules() check {
	broken := append(st.carrier.Violations(), st.phone.Violations()...)
	text := "every SIP and RTP rule was kept, no dialog is left"
	if len(broken) > 0 {
		text = "rules of SIP or RTP were broken: " + broken[0]
	}
	return check{text, len(broken) == 0 && st.carrier.Dialogs()+st.phone.Dialogs() == 0}
}

func (st *theatre) judgeRecording(call api.Call) check {
	if call.Recording == nil {
		return check{"there is a recording", false}
	}
	left, right, err := channels(filepath.Join(st.server.cfg.Load().Recordings.Dir, call.Recording.File))
	if err != nil {
		return check{"the recording can be read: " + err.Error(), false}
	}
	ok := lab.ToneIn(left, lab.ManagerTone) >= demoListening && lab.ToneIn(right, lab.CustomerTone) >= demoListening &&
		lab.ToneIn(left, lab.CustomerTone) == 0 && lab.ToneIn(right, lab.ManagerTone) == 0
	return check{"the recording has the manager left and the customer right", ok}
}

// channels reads a stereo recording.
func channels(path string) (left, right []int16, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = f.Close() }()
	sound, err := wav.Read(f, wav.Limits{MaxBytes: 64 << 20, MaxDuration: time.Hour})
	if err != nil {
		return nil, nil, err
	}
	if len(sound.Channels) != 2 {
		return nil, nil, fmt.Errorf("it has %d channels, not 2", len(sound.Channels))
	}
	return sound.Channels[0], sound.Channels[1], nil
}

// invite says what may be tried while the demo serves.
func (st *theatre) invite(out *console) {
	url := "http://" + st.server.http.Addr().String()
	out.line(accent, "The demo keeps serving. In another terminal try:")
	out.line(plain, "    perezvon callback --server %s --line %s --number %s --text 'Новая заявка'", url, demoLine, demoCustomer)
	out.line(plain, "    perezvon infocall --server %s --line %s --number %s --text 'Ваш заказ готов.'", url, demoLine, demoListener)
	out.line(plain, "    perezvon calls --server %s", url)
	out.line(plain, "Ctrl-C ends it.")
}
