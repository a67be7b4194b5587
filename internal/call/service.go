package call

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"perezvon/configs"
	"perezvon/internal/store"
	"perezvon/media"
	"perezvon/media/g711"
	"perezvon/sip"
)

// Phones places and receives calls. *sip.Agent is one.
type Phones interface {
	Invite(ctx context.Context, in sip.Invite) (*sip.Dialog, error)
	LocalIP(ctx context.Context, t sip.Target) (netip.Addr, error)
	TrunkState(name string) (sip.TrunkState, bool)
	// Registered returns the phones that are registered as an extension.
	Registered(extension string) []sip.Binding
	EndOrphan(ctx context.Context, d sip.DialogRecord, reason sip.Reason) (answered bool, err error)
}

// Sound opens the media of legs and joins them. *media.Engine is one.
type Sound interface {
	Open(ctx context.Context, cfg media.SessionConfig) (*media.Session, error)
	Connect(a, b *media.Session, cfg media.PathConfig) *media.Path
	Ports() (inUse, total int)
}

// Speech renders text. *tts.Service is one.
type Speech interface {
	Render(ctx context.Context, text, voice string) (*g711.Clip, error)
	// Validate says what Render would refuse, without rendering.
	Validate(text, voice string) error
}

// Sounds are what informational calls play beside speech. *sounds.Store is one.
type Sounds interface {
	// Check says what is wrong with a sound, a file's name or a URL, without
	// fetching anything.
	Check(ctx context.Context, sound string) error
	// Clip reads or fetches a sound.
	Clip(ctx context.Context, sound string) (*g711.Clip, error)
}

// Records keeps calls. *sqlite.DB is one.
type Records interface {
	CreateCall(ctx context.Context, c store.Call, adm store.Admission, evs ...store.Event) (store.Call, bool, error)
	// SaveCall copies the record before it returns.
	SaveCall(c store.Call, evs ...store.Event) *store.Commit
	Call(ctx context.Context, id string) (store.Call, error)
	OpenCalls(ctx context.Context) ([]store.Call, error)
	AcquireLease(ctx context.Context, name, owner string, ttl time.Duration) (store.Lease, error)
	ReleaseLease(ctx context.Context, l store.Lease) error
	DropLeases(ctx context.Context, owner string) error
	Dialogs(ctx context.Context) ([]store.Dialog, error)
	DeleteDialog(id string) *store.Commit
	SetDND(ctx context.Context, extension string, on bool) error
	DND(ctx context.Context) (map[string]bool, error)
	Blocks
}

// Config is what a Service is built from.
type Config struct {
	Settings      *configs.Config
	Phones        Phones
	Sound         Sound
	Speech        Speech
	Sounds        Sounds // nil: there are none
	Records       Records
	RecordingsDir string // where recordings are written; it must exist
	Room          Room   // nil: there is always room for them
	Logger        *slog.Logger

	// Responsible is asked by routes that ring whoever is responsible for a
	// customer; nil: they ring the next.
	Responsible      Responsible
	ResponsibleLimit time.Duration // how long a call waits for its answer; 0: 800 ms
}

// leaseOwner is the name under which this program holds leases. One store has
// one program, so what an earlier process held is ours to drop.
const leaseOwner = "perezvon"

// Service carries out calls.
type Service struct {
	now     atomic.Pointer[rules] // what holds for what begins now
	phones  Phones
	sound   Sound
	speech  Speech
	sounds  Sounds // nil: there are none
	records Records
	dir     string
	room    Room
	log     *slog.Logger
	prompts *prompts
	ports   *portBudget

	responsible      Responsible // nil: there is none
	responsibleLimit time.Duration

	presence *presence
	callsIn  *callsIn
	quiet    quiet

	music   *g711.Clip // what who is on hold hears; nil: there is none; set by Start
	silence *g711.Clip

	recordings recordings

	refusals *throttle // of the log lines about refused calls
	loops    *loops

	draining context.Context // done: no new calls, waiting calls stay in the store
	drain    context.CancelFunc
	quit     context.Context // done: nothing is waited for any more
	giveUp   context.CancelFunc

	running    sync.WaitGroup // calls
	stragglers sync.WaitGroup // what outlives its call

	mu    sync.Mutex
	live  map[string]*Call     // guarded by mu
	ended map[store.Result]int // guarded by mu; since the start
}

// New returns a Service that does nothing until Start.
func New(cfg Config) *Service {
	s := &Service{
		phones: cfg.Phones, sound: cfg.Sound, speech: cfg.Speech, sounds: cfg.Sounds,
		records: cfg.Records, dir: cfg.RecordingsDir, room: cfg.Room, log: cfg.Logger,
		recordings: recordings{open: make(map[*recording]struct{})},
		silence:    g711.NewClip(make([]int16, g711.SampleRate)),
		presence:   newPresence(), callsIn: newCallsIn(),
		responsible: cfg.Responsible, responsibleLimit: cfg.ResponsibleLimit,
		refusals: newThrottle(), loops: newLoops(), live: make(map[string]*Call), ended: make(map[store.Result]int),
	}
	s.now.Store(newRules(cfg.Settings))
	if s.room == nil {
		s.room = unlimited{}
	}
	if s.responsibleLimit <= 0 {
		s.responsibleLimit = responsibleLimit
	}
	s.prompts = newPrompts(cfg.Speech, cfg.Settings.Language, cfg.Logger)
	s.draining, s.drain = context.WithCancel(context.Background())
	s.quit, s.giveUp = context.WithCancel(context.Background())
	_, pairs := cfg.Sound.Ports()
	s.ports = newPortBudget(pairs, s.legsOf)
	return s
}

// adopt takes a call into the service's care; false means that the server
// shuts down. Who adopts a call runs it.
func (s *Service) adopt(c *Call) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.draining.Err() != nil {
		return false
	}
	s.live[c.rec.ID] = c
	s.running.Add(1)
	return true
}

// run carries a call out and forgets it.
func (s *Service) run(c *Call, flow func(*Call)) {
	defer s.running.Done()
	defer s.forget(c)
	defer close(c.left)
	defer s.rescue(c)
	flow(c)
}

// spawn runs a call in a goroutine of its own.
func (s *Service) spawn(c *Call, flow func(*Call)) {
	if s.adopt(c) {
		go s.run(c, flow)
	}
}

// rescue ends a call whose flow panicked: the server and all other calls go
// on, and this one still gets its terminal result.
func (s *Service) rescue(c *Call) {
	if p := recover(); p != nil {
		c.log.Error("a call's flow broke; please report this", "panic", p, "stack", string(debug.Stack()))
		c.finish(outcome{result: store.ResultInterrupted, code: codeOther, owner: store.PartyUs, reason: "internal error"})
	}
}

func (s *Service) forget(c *Call) {
	id := c.Record().ID
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.live, id)
}

func (s *Service) count(r store.Result) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended[r]++
}

// Status is how the service is.
type Status struct {
	Draining bool                 `json:"draining"`
	Open     map[store.State]int  `json:"open"`  // calls in progress by state
	Ended    map[store.Result]int `json:"ended"` // since the start
}

// Status counts the calls.
func (s *Service) Status() Status {
	s.mu.Lock()
	calls := make([]*Call, 0, len(s.live))
	for _, c := range s.live {
		calls = append(calls, c)
	}
	st := Status{Draining: s.draining.Err() != nil, Open: map[store.State]int{}, Ended: map[store.Result]int{}}
	maps.Copy(st.Ended, s.ended)
	s.mu.Unlock()
	for _, c := range calls {
		c.mu.Lock()
		if c.rec.State != store.StateEnded {
			st.Open[c.rec.State]++
		}
		c.mu.Unlock()
	}
	return st
}

// Cancel ends a call in whatever state it is: legs that ring get CANCEL, legs
// that are up get BYE. by names who asked, for the record. It returns the
// ended call; store.ErrNotFound when there is no such call, a *RefusedError
// with CodeAlreadyEnded when it is over.
func (s *Service) Cancel(ctx context.Context, id, by string) (store.Call, error) {
	s.mu.Lock()
	c := s.live[id]
	s.mu.Unlock()
	if c == nil {
		rec, err := s.records.Call(ctx, id)
		if err != nil {
			return store.Call{}, fmt.Errorf("cancel call: %w", err)
		}
		if rec.State == store.StateEnded {
			return rec, alreadyEnded(rec)
		}
		if s.draining.Err() != nil {
			return rec, drainingRefusal("the call waits in the store and goes on after the restart")
		}
		return rec, notReady("the call is being taken over; try again")
	}
	if rec := c.Record(); rec.State == store.StateEnded { // not forgotten yet
		return rec, alreadyEnded(rec)
	}
	text := "cancelled"
	if b := s.bridgeOf(id); b != nil && !b.ended() { // the two have talked
		text = "hung up"
	}
	if by != "" {
		text += " by " + by
	}
	c.cancel(&EndReason{By: store.PartyUs, Q850: causeNormal, Text: text})
	select {
	case <-c.ended:
		return c.Record(), nil
	case <-c.stuck:
		return c.Record(), notReady("the call is hung up, but the store does not take its end yet; the server's log says why")
	case <-ctx.Done():
		return c.Record(), fmt.Errorf("cancel call: %w", context.Cause(ctx))
	}
}

func alreadyEnded(rec store.Call) error {
	return &RefusedError{Status: 409, Code: CodeAlreadyEnded, Problems: []Problem{{
		Detail: fmt.Sprintf("the call ended with %s at %s", rec.Result, rec.EndedAt.Format(time.RFC3339)),
	}}}
}

// retryAfterDrain is told to clients that come while the server shuts down.
const retryAfterDrain = 10 * time.Second

// notReady refuses what the server could do at another time.
func notReady(detail string) error {
	return &RefusedError{Status: 503, Code: CodeNotReady, Problems: []Problem{{Detail: detail}}, RetryAfter: retryAfterDrain}
}

func drainingRefusal(detail string) error {
	return &RefusedError{Status: 503, Code: CodeDraining, Problems: []Problem{{Detail: detail}}, RetryAfter: retryAfterDrain}
}

// Close stops taking calls and waits for those in progress; calls that wait
// for their time stay in the store for the next start. When ctx ends the rest
// is hung up.
func (s *Service) Close(ctx context.Context) error {
	s.mu.Lock()
	s.drain()
	s.mu.Unlock()
	done := make(chan struct{})
	go func() {
		s.running.Wait()
		s.stragglers.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
	}
	s.mu.Lock()
	left := len(s.live)
	for _, c := range s.live {
		c.cancel(&EndReason{By: store.PartyUs, Q850: causeTemporary, Text: errShutdown})
	}
	s.mu.Unlock()
	stop := time.AfterFunc(quitGrace, s.giveUp)
	defer stop.Stop()
	<-done
	if left > 0 {
		return fmt.Errorf("drain: the limit was reached; calls hung up: %d", left)
	}
	return nil
}

// quitGrace is what the drain limit leaves for hanging up and storing.
const quitGrace = 5 * time.Second

const errShutdown = "the server is shutting down"

// recordingFile names a call's recording below the recordings directory.
func recordingFile(rec store.Call) string {
	return filepath.Join(rec.CreatedAt.UTC().Format("2006-01-02"), rec.ID+".wav")
}

// newID returns a UUIDv7 as 32 hex digits: ids sort by their time.
func newID() string {
	id, err := uuid.NewV7()
	if err != nil { // the system has no randomness left: nothing can go on
		panic(errors.Join(errors.New("no random numbers from the system"), err))
	}
	return strings.ReplaceAll(id.String(), "-", "")
}
