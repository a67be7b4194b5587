package selftest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"perezvon/configs"
)

// Options say what is played and against what.
type Options struct {
	// Start brings up a server with a configuration, as serve does.
	Start func(ctx context.Context, cfg *configs.Config, log *slog.Logger) (Server, error)
	// Program is the perezvon binary, for the branches that kill a process.
	Program string
	// Store hands out where one server keeps its records, for itself alone until
	// done is called; nil: in a file of its own.
	Store func(ctx context.Context) (at configs.Store, done func(), err error)
	// Only are the branches to play, such as 11 or in3; in stands for all of
	// in1, in2 and so on. Empty: all.
	Only []string
	// Speaks says that the server has a working speech engine.
	Speaks bool
	// Log takes the messages of the servers.
	Log *slog.Logger
	// Done is told of every row as it comes, from one goroutine at a time. It
	// may be nil.
	Done func(Row)
}

// Row is one row of the matrix.
type Row struct {
	Branch   string   `json:"branch"`
	What     string   `json:"what"`
	Expected Facts    `json:"expected"`
	Got      Facts    `json:"got"`
	OK       bool     `json:"ok"`
	Wrong    []string `json:"wrong,omitempty"` // names of the facts that differ
	Trouble  string   `json:"trouble,omitempty"`
	Seconds  float64  `json:"seconds"`
	Timeline []string `json:"timeline,omitempty"` // of a failed row: the events of its calls
	Ladder   []string `json:"ladder,omitempty"`   // of a failed row: its SIP messages

	n int
}

// atOnce is how many scenarios are played at the same time: most of their time
// is waiting.
const atOnce = 20

// limit bounds one scenario.
const limit = 110 * time.Second

// Branches are the branches that there are scenarios for, in their order.
func Branches() []string {
	var all []string
	for _, sc := range scenarios() {
		if !slices.Contains(all, sc.branch) {
			all = append(all, sc.branch)
		}
	}
	return all
}

// ErrNoBranch is the name of a branch that there is no scenario for.
var ErrNoBranch = errors.New("there is no branch")

// Run plays the scenarios and returns the matrix in the order of the branches.
// The error says what kept it from playing; a branch that failed is in its row.
func Run(ctx context.Context, opts Options) ([]Row, error) {
	return run(ctx, opts, scenarios())
}

func run(ctx context.Context, opts Options, all []scenario) ([]Row, error) {
	chosen, err := choose(all, opts.Only)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "perezvon-selftest-")
	if err != nil {
		return nil, fmt.Errorf("selftest: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }() // of what a killed child wrote, too
	r := &runner{opts: &opts, dir: dir, slots: make(chan struct{}, atOnce)}
	err = r.play(ctx, chosen)
	slices.SortFunc(r.rows, func(a, b Row) int { return cmp.Compare(a.n, b.n) })
	return r.rows, err
}

// choose picks the scenarios of some branches.
func choose(all []scenario, only []string) ([]scenario, error) {
	var chosen []scenario
	known := make(map[string]bool)
	for _, sc := range all {
		hit := len(only) == 0
		for _, o := range only {
			if strings.EqualFold(o, sc.branch) || strings.EqualFold(o, strings.TrimRight(sc.branch, "0123456789")) {
				hit, known[o] = true, true
			}
		}
		if hit {
			chosen = append(chosen, sc)
		}
	}
	for _, o := range only {
		if !known[o] {
			return nil, fmt.Errorf("%w %q; there are %s", ErrNoBranch, o, strings.Join(Branches(), ", "))
		}
	}
	return chosen, nil
}

// runner plays scenarios and gathers their rows.
type runner struct {
	opts  *Options
	dir   string
	slots chan struct{}

	mu   sync.Mutex
	rows []Row // guarded by mu
}

// play plays all scenarios: those that can share a server in one house, each
// of the others in one of its own.
func (r *runner) play(ctx context.Context, chosen []scenario) error {
	var shared, all []*stage
	defer func() {
		for _, s := range all {
			s.close()
		}
	}()
	for i := range chosen {
		s, err := newStage(ctx, &chosen[i], i, r.opts.Speaks)
		if err != nil {
			return fmt.Errorf("selftest: %w", err)
		}
		all = append(all, s)
		if !s.alone && !s.scenario.child {
			shared = append(shared, s)
		}
	}
	var houses sync.WaitGroup
	var mu sync.Mutex
	var troubles []error // guarded by mu
	open := func(name string, stages ...*stage) {
		houses.Go(func() {
			if err := r.playIn(ctx, filepath.Join(r.dir, name), stages); err != nil {
				mu.Lock()
				defer mu.Unlock()
				troubles = append(troubles, err)
			}
		})
	}
	if len(shared) > 0 {
		open("shared", shared...)
	}
	for _, s := range all {
		if s.alone || s.scenario.child {
			open(fmt.Sprintf("alone-%d", s.n), s)
		}
	}
	houses.Wait()
	r.lateViolations(all)
	return errors.Join(troubles...)
}

// playIn opens a house, plays its scenarios, and expects that nothing is open
// in it at the end.
func (r *runner) playIn(ctx context.Context, dir string, stages []*stage) error {
	at := configs.Store{Engine: configs.SQLite}
	if r.opts.Store != nil { // before a place: who waits for a store keeps nobody waiting
		store, done, err := r.opts.Store(ctx)
		if err != nil {
			return fmt.Errorf("selftest: %w", err)
		}
		defer done()
		at = store
	}
	if len(stages) == 1 { // a process for one scenario counts as one of those at once
		r.slots <- struct{}{}
		defer func() { <-r.slots }()
	}
	h, err := newHouse(ctx, r.opts, dir, stages...)
	if err != nil {
		return fmt.Errorf("selftest: %w", err)
	}
	h.cfg.Store = at
	if err := h.open(ctx); err != nil {
		return fmt.Errorf("selftest: start a server: %w", err)
	}
	longestFirst := slices.Clone(stages)
	slices.SortStableFunc(longestFirst, func(a, b *stage) int { return cmp.Compare(b.seconds, a.seconds) })
	var scenes sync.WaitGroup
	for _, s := range longestFirst {
		if len(stages) > 1 {
			r.slots <- struct{}{}
		}
		scenes.Go(func() {
			row := s.perform(ctx)
			if len(stages) > 1 {
				<-r.slots
			}
			r.add(row)
		})
	}
	scenes.Wait()
	if err := h.close(ctx); err != nil {
		return fmt.Errorf("selftest: the server did not end as it should: %w", err)
	}
	return nil
}

func (r *runner) add(row Row) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rows = append(r.rows, row)
	if r.opts.Done != nil {
		r.opts.Done(row)
	}
}

// perform plays the scenario and judges it.
func (s *stage) perform(ctx context.Context) Row {
	began := time.Now()
	play := s.play
	if play == nil {
		play = follow
	}
	row := Row{Branch: s.branch, What: s.what, Expected: s.want.whole(), n: s.n}
	playing, over := context.WithTimeout(ctx, limit)
	defer over()
	if err := play(playing, s); err != nil {
		row.Trouble = err.Error()
	}
	row.Got = s.got(ctx, row.Expected)
	row.Wrong = differing(row.Expected, row.Got)
	row.Seconds = time.Since(began).Seconds()
	s.settle(ctx, &row)
	return row
}

// settle decides whether a row is as expected, and adds to one that is not
// what helps to find out why.
func (s *stage) settle(ctx context.Context, row *Row) {
	row.OK = row.Trouble == "" && len(row.Wrong) == 0
	if row.OK {
		return
	}
	row.Timeline = s.timeline(ctx)
	row.Ladder = s.ladder()
}

// timeline is every event of the scenario's calls, a line each.
func (s *stage) timeline(ctx context.Context) []string {
	calls, err := s.stored(ctx, "")
	if err != nil {
		return []string{err.Error()}
	}
	var lines []string
	for _, c := range slices.Backward(calls) {
		lines = append(lines, fmt.Sprintf("%s %s on %s with %s", c.Kind, c.ID, c.Line, c.Number))
		events, err := s.house.client.Events(ctx, c.ID, "")
		if err != nil {
			lines = append(lines, err.Error())
		}
		for _, e := range events {
			lines = append(lines, fmt.Sprintf("  %s %s %s", e.At.Local().Format("15:04:05.000"), e.Type, e.Data))
		}
	}
	return lines
}

// ladder is every SIP message of the scenario's people.
func (s *stage) ladder() []string {
	var lines []string
	for i, c := range s.carriers() {
		if text := c.Ladder(); text != "" {
			lines = append(lines, fmt.Sprintf("%s %s", []string{"provider", "backup", "office"}[i], c.Addr()))
			lines = append(lines, strings.Split(text, "\n")...)
		}
	}
	return lines
}

// lateViolations looks again when the servers are gone: what they sent last
// counts too.
func (r *runner) lateViolations(all []*stage) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range r.rows {
		row := &r.rows[i]
		at := slices.IndexFunc(all, func(s *stage) bool { return s.n == row.n })
		s := all[at]
		for _, c := range s.carriers() {
			for _, v := range c.Violations() {
				if !row.OK || strings.Contains(row.Got.Get(factLeft), v) {
					continue
				}
				row.OK, row.Trouble, row.Ladder = false, "after the end: "+v, s.ladder()
			}
		}
	}
}
