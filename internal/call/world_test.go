package call_test

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"perezvon/configs"
	"perezvon/internal/audiotest"
	"perezvon/internal/call"
	"perezvon/internal/lab"
	"perezvon/internal/memnet"
	"perezvon/internal/store"
	"perezvon/internal/store/enginetest"
	"perezvon/media"
	"perezvon/media/g711"
	"perezvon/media/wav"
	"perezvon/sip"
	"perezvon/tts"
)

// Tones of the parties and of speech, far enough apart to be told by ear.
const (
	managerTone  = 440.0
	customerTone = 1000.0
	speechTone   = 620.0 // what the rendered text sounds like
	sentenceTone = 800.0 // what stock sentences sound like
)

const (
	customer    = "79990000001"
	mobile      = "79990000002"
	lineNumber  = "+74950000000"
	speechTime  = 2 * time.Second
	sentenceFor = time.Second
	longText    = "Это надолго."
	longSpeech  = 2 * time.Minute
)

var ourIP = netip.MustParseAddr("10.0.0.1")

// world is a Perezvon in virtual time with the telephone network and the
// office around it.
type world struct {
	t       *testing.T
	net     *memnet.Net
	cfg     *configs.Config
	carrier *lab.Carrier
	backup  *lab.Carrier            // the second provider
	phones  map[string]*lab.Carrier // by extension
	dir     string
	dead    []func() // ends what a crash left of us
	speech  *fakeSpeech
	crm     *fakeCRM // nil: there is none
	disk    diskSwitch
	room    roomSwitch
	down    sync.Map // trunks that health checks found down, with the reason

	home  *enginetest.Home
	db    enginetest.Store
	sound *media.Engine
	agent *sip.Agent
	svc   *call.Service
}

// inWorld runs a test in a world of its own. tweak may change the
// configuration first. Afterwards nothing may ring, no dialog may be up, no
// port be open and no rule of SIP be broken.
func inWorld(t *testing.T, tweak func(*configs.Config), test func(w *world)) {
	t.Helper()
	dir := t.TempDir()
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, net: memnet.New(), home: enginetest.New(t), dir: dir, phones: map[string]*lab.Carrier{}, speech: &fakeSpeech{}, crm: &fakeCRM{}}
		w.cfg = baseConfig()
		if tweak != nil {
			tweak(w.cfg)
		}
		w.carrier = w.network("10.0.0.2:5060")
		w.backup = w.network("10.0.0.3:5060")
		for i, ext := range []string{"101", "102", "103"} {
			w.phones[ext] = w.network(netip.AddrPortFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(11 + i)}), 5060).String())
		}
		w.start()
		test(w)
		w.stop()
		for _, bury := range w.dead {
			bury()
		}
		for name, c := range w.everybody() {
			if n := c.Dialogs(); n != 0 {
				t.Errorf("%s: %d dialogs were left up\n%s", name, n, c.Ladder())
			}
			if n := c.RingingNow(); n != 0 {
				t.Errorf("%s: %d phones ring on\n%s", name, n, c.Ladder())
			}
			if v := c.Violations(); len(v) > 0 {
				t.Errorf("%s: rules were broken:\n%s\n%s", name, strings.Join(v, "\n"), c.Ladder())
			}
			if err := c.Close(); err != nil {
				t.Error(err)
			}
		}
		if n := w.net.Open(); n != 0 {
			t.Errorf("%d sockets were left open", n)
		}
		time.Sleep(time.Minute) // transactions of the library end by timers
	})
}

func (w *world) network(addr string) *lab.Carrier {
	c, err := lab.NewCarrier(context.Background(), lab.Config{
		Signal: netip.MustParseAddrPort(addr), Network: lab.Virtual(w.net.ListenUDP),
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

func (w *world) everybody() map[string]*lab.Carrier {
	all := map[string]*lab.Carrier{"carrier": w.carrier, "backup": w.backup}
	for ext, p := range w.phones {
		all["phone "+ext] = p
	}
	return all
}

// baseConfig has a line with a trunk, three phones and short retries.
func baseConfig() *configs.Config {
	cfg := configs.Default()
	cfg.Trunks = []configs.Trunk{
		{Name: "provider", Host: "10.0.0.2:5060", Format: "plus", Try: 4 * time.Second},
		{Name: "backup", Host: "10.0.0.3:5060", Format: "plus", Try: 4 * time.Second},
	}
	cfg.Extensions = []configs.Extension{
		{Number: "101", Name: "Anna", Contact: "sip:101@10.0.0.11:5060"},
		{Number: "102", Name: "Boris", Contact: "sip:102@10.0.0.12:5060"},
		{Number: "103", Name: "Vera", Contact: "sip:103@10.0.0.13:5060"},
	}
	cfg.Lines = []configs.Line{{
		ID: "main", Name: "Main office", Number: lineNumber, Trunks: []string{"provider"},
		Route: []configs.Step{{Extension: &configs.ExtensionStep{Number: "101"}}}, Record: true,
	}}
	cfg.Media.Ports = configs.PortRange{First: 20000, Last: 20999}
	cfg.Callback.Attempts = 1
	return cfg
}

// start brings Perezvon up on the data of the world.
func (w *world) start() {
	w.t.Helper()
	ctx := context.Background()
	log := slog.New(slog.NewTextHandler(testWriter{w.t}, &slog.HandlerOptions{Level: slog.LevelWarn}))
	w.db = w.home.Open(w.dir)
	mcfg := media.Config{BindIP: ourIP, Logger: log, Listen: func(ctx context.Context, a netip.AddrPort) (media.Conn, error) {
		c, err := w.net.ListenUDP(ctx, a)
		if err != nil {
			return nil, err
		}
		return c, nil
	}}
	mcfg.Ports.First, mcfg.Ports.Last = w.cfg.Media.Ports.First, w.cfg.Media.Ports.Last
	var err error
	if w.sound, err = media.New(mcfg); err != nil {
		w.t.Fatal(err)
	}
	var svc atomic.Pointer[call.Service] // of this life: after a crash there is another
	scfg := sip.Config{
		Listen: []net.PacketConn{w.net.MustListen("10.0.0.1:5060")}, UserAgent: "perezvon-test", Logger: log,
		PublicIP: ourIP, Journal: call.NewJournal(w.db),
		Handle: func(ctx context.Context, in *sip.Incoming) { svc.Load().Incoming(ctx, in) },
	}
	for _, t := range w.cfg.Trunks {
		scfg.Trunks = append(scfg.Trunks, sip.Trunk{
			Name: t.Name, Host: t.Host, Username: t.Username, Password: t.Password.Reveal(), Try: t.Try, Register: t.Register,
			MaxCalls: t.MaxCalls, CPS: t.CPS, NumberIn: sip.Place(t.NumberIn), CallerIDIn: sip.Place(t.CallerIDIn), CallerIDOut: places(t.CallerIDOut),
		})
	}
	for _, e := range w.cfg.Extensions {
		one := sip.Extension{Number: e.Number, Contact: e.Contact}
		if !e.Password.IsZero() {
			one.HA1 = sip.MakeHA1(e.Number, sip.Realm, e.Password.Reveal())
		}
		scfg.Extensions = append(scfg.Extensions, one)
	}
	if w.agent, err = sip.New(scfg); err != nil {
		w.t.Fatal(err)
	}
	dir := filepath.Join(w.dir, "recordings")
	if err := os.MkdirAll(dir, 0o750); err != nil {
		w.t.Fatal(err)
	}
	ccfg := call.Config{
		Settings: w.cfg, Phones: healthOf{w.agent, &w.down}, Sound: w.sound, Speech: w.speech, Sounds: fakeSounds{}, Records: fullDisk{w.db, &w.disk}, RecordingsDir: dir, Room: &w.room, Logger: log,
	}
	if w.crm != nil {
		ccfg.Responsible = w.crm
	}
	w.svc = call.New(ccfg)
	svc.Store(w.svc)
	if err := w.agent.Start(ctx); err != nil {
		w.t.Fatal(err)
	}
	if err := w.svc.Start(ctx); err != nil {
		w.t.Fatal(err)
	}
}

// healthOf tells of trunks that are down.
type healthOf struct {
	*sip.Agent
	down *sync.Map
}

func (h healthOf) TrunkState(name string) (sip.TrunkState, bool) {
	state, ok := h.Agent.TrunkState(name)
	if why, is := h.down.Load(name); is {
		state.Up, state.Reason = false, why.(string)
	}
	return state, ok
}

// stop ends Perezvon in good order.
func (w *world) stop() {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	err := errors.Join(w.svc.Close(ctx), w.agent.Close(ctx), w.sound.Close(), w.db.Close())
	if err != nil {
		w.t.Error(err)
	}
}

// phone says what an extension does when it is rung.
func (w *world) phone(ext string, steps ...lab.Step) { w.phones[ext].Number(ext, lab.Script(steps)) }

// number says what a number outside does when it is dialled.
func (w *world) number(number string, steps ...lab.Step) {
	w.carrier.Number(number, lab.Script(steps))
}

// callback places a callback to the customer with a text.
func (w *world) callback() store.Call {
	w.t.Helper()
	return w.request(call.CallbackRequest{Line: "main", Number: "+" + customer, Text: "Заявка с сайта."})
}

func (w *world) request(req call.CallbackRequest) store.Call {
	w.t.Helper()
	rec, _, err := w.svc.Callback(context.Background(), req)
	if err != nil {
		w.t.Fatalf("callback refused: %v", err)
	}
	return rec
}

// end waits for a call's terminal result.
func (w *world) end(id string) store.Call {
	w.t.Helper()
	for range 4 * 3600 {
		rec, err := w.db.Call(context.Background(), id)
		if err != nil {
			w.t.Fatal(err)
		}
		if rec.State == store.StateEnded {
			return rec
		}
		time.Sleep(250 * time.Millisecond)
	}
	w.t.Fatalf("call %s did not end within an hour", id)
	return store.Call{}
}

// until waits for a state of a call.
func (w *world) until(id string, state store.State) store.Call {
	w.t.Helper()
	for range 3600 * 10 {
		rec, err := w.db.Call(context.Background(), id)
		if err != nil {
			w.t.Fatal(err)
		}
		if rec.State == state {
			return rec
		}
		if rec.State == store.StateEnded {
			w.t.Fatalf("call ended with %s (%s) before it was %s", rec.Result, rec.Reason, state)
		}
		time.Sleep(100 * time.Millisecond)
	}
	w.t.Fatalf("call %s was never %s", id, state)
	return store.Call{}
}

// expect checks how a call ended.
func (w *world) expect(rec store.Call, result store.Result, code string, owner store.Party) {
	w.t.Helper()
	if rec.Result != result || rec.Code != code || rec.ReasonOwner != owner {
		w.t.Errorf("ended with %s, code %s, owner %q (%s); want %s, %s, %q",
			rec.Result, rec.Code, rec.ReasonOwner, rec.Reason, result, code, owner)
	}
}

// party is the n-th call that reached a number of a carrier.
func (w *world) party(c *lab.Carrier, number string, n int) *lab.Party {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Minute)
	defer cancel()
	p, err := c.Wait(ctx, number, n)
	if err != nil {
		w.t.Fatalf("%s was not rung a %d. time: %v", number, n, err)
	}
	return p
}

// rung counts how often a number of a carrier was rung.
func (w *world) rung(c *lab.Carrier, number string) int { return len(c.Calls(number)) }

func (w *world) states(id string) []string {
	w.t.Helper()
	evs, _, err := w.db.Events(context.Background(), store.EventFilter{CallID: id, Limit: 1000})
	if err != nil {
		w.t.Fatal(err)
	}
	var out []string
	for _, e := range evs {
		out = append(out, e.Type)
	}
	return out
}

// fakeSpeech renders every text as a tone.
type fakeSpeech struct{ broken atomic.Bool }

func (f *fakeSpeech) Render(_ context.Context, text, _ string) (*g711.Clip, error) {
	if f.broken.Load() {
		return nil, errors.New("no engine")
	}
	for _, id := range tts.Phrases() {
		if text == tts.Phrase("ru", id) {
			return tone(sentenceTone, sentenceFor), nil
		}
	}
	if text == longText {
		return tone(speechTone, longSpeech), nil
	}
	return tone(speechTone, speechTime), nil
}

func (f *fakeSpeech) Validate(text, voice string) error {
	if len(text) > 4000 {
		return errors.New("the text is longer than 2000 characters")
	}
	if voice != "" && voice != "ruinternalfemale" {
		return errors.New("unknown voice")
	}
	return nil
}

func tone(hz float64, d time.Duration) *g711.Clip { return g711.NewClip(audiotest.Tone(hz, d)) }

func hears(pcm []int16, hz float64) bool { return audiotest.Hears(pcm, hz)[hz] }

// testWriter sends log lines to the test's log.
type testWriter struct{ t *testing.T }

func (w testWriter) Write(b []byte) (int, error) {
	w.t.Logf("%s", strings.TrimSuffix(string(b), "\n"))
	return len(b), nil
}

// recording reads a call's recording: the manager's channel and the
// customer's.
func (w *world) recording(rec store.Call) (left, right []int16) {
	w.t.Helper()
	f, err := os.Open(filepath.Join(w.dir, "recordings", rec.Recording.File))
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	sound, err := wav.Read(f, wav.Limits{MaxBytes: 1 << 26, MaxDuration: time.Hour})
	if err != nil {
		w.t.Fatal(err)
	}
	if len(sound.Channels) != 2 {
		w.t.Fatalf("the recording has %d channels", len(sound.Channels))
	}
	return sound.Channels[0], sound.Channels[1]
}

// diskSwitch makes trouble with the disk and ends it.
type diskSwitch struct {
	full atomic.Bool
	slow atomic.Int64 // how long the creation of a call takes, ns

	release   atomic.Int64 // how long it takes to give a lease back, ns
	releasing atomic.Int64 // leases that are being given back
}

// roomSwitch says whether there is room for recordings.
type roomSwitch struct {
	short    atomic.Bool
	failures atomic.Int64 // that it was told of
}

const noRoom = "the disk of data_dir has 12.0 MiB left"

func (r *roomSwitch) Short() (string, bool) {
	if r.short.Load() {
		return noRoom, true
	}
	return "", false
}

func (r *roomSwitch) Failed(error) { r.failures.Add(1) }

// fullDisk is a store that refuses to write while the disk is full.
type fullDisk struct {
	enginetest.Store
	disk *diskSwitch
}

var errDiskFull = errors.New("no space left on device")

func (f fullDisk) SaveCall(c store.Call, evs ...store.Event) *store.Commit {
	if !f.disk.full.Load() {
		return f.Store.SaveCall(c, evs...)
	}
	return store.Settled(errDiskFull)
}

func (f fullDisk) CreateCall(ctx context.Context, c store.Call, adm store.Admission, evs ...store.Event) (store.Call, bool, error) {
	if f.disk.full.Load() {
		return store.Call{}, false, errDiskFull
	}
	if slow := time.Duration(f.disk.slow.Load()); slow > 0 {
		return f.createSlowly(ctx, slow, c, adm, evs...)
	}
	return f.Store.CreateCall(ctx, c, adm, evs...)
}

// createSlowly creates the call whether or not anybody waits for it, as a
// store does that has taken the record.
func (f fullDisk) createSlowly(ctx context.Context, slow time.Duration, c store.Call, adm store.Admission, evs ...store.Event) (store.Call, bool, error) {
	type created struct {
		rec       store.Call
		duplicate bool
		err       error
	}
	done := make(chan created, 1)
	go func() {
		rec, duplicate, err := f.Store.CreateCall(context.WithoutCancel(ctx), c, adm, evs...)
		time.Sleep(slow)
		done <- created{rec, duplicate, err}
	}()
	select {
	case r := <-done:
		return r.rec, r.duplicate, r.err
	case <-ctx.Done():
		return store.Call{}, false, context.Cause(ctx)
	}
}

func (f fullDisk) SetDND(ctx context.Context, extension string, on bool) error {
	if f.disk.full.Load() {
		return errDiskFull
	}
	return f.Store.SetDND(ctx, extension, on)
}

func (f fullDisk) ReleaseLease(ctx context.Context, l store.Lease) error {
	if f.disk.full.Load() {
		return errDiskFull
	}
	f.disk.releasing.Add(1)
	defer f.disk.releasing.Add(-1)
	time.Sleep(time.Duration(f.disk.release.Load()))
	return f.Store.ReleaseLease(ctx, l)
}
