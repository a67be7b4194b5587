// Package disk watches how much room the disks have that records and recordings
// lie on. Recordings are what fills a disk; they end before the records suffer.
package disk

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// Room is what is free of a file system for whoever is not root.
type Room struct {
	Free, Size       uint64 // bytes
	FreeFiles, Files uint64 // Files is 0 where the file system can make any number
}

// Stat asks the system for the room around a path.
func Stat(path string) (Room, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(path, &st); err != nil {
		return Room{}, fmt.Errorf("room of %s: %w", path, err)
	}
	block := uint64(st.Bsize)
	return Room{Free: st.Bavail * block, Size: st.Blocks * block, FreeFiles: st.Ffree, Files: st.Files}, nil
}

// Place is a folder whose disk is watched.
type Place struct {
	Name string // as the configuration calls it
	Path string
}

// Config is what a Guard watches.
type Config struct {
	Places []Place
	// Least is how many bytes have to be free of a disk of so many bytes; 0:
	// any number will do.
	Least func(size uint64) uint64
	// Stat asks for the room around a path; nil: Stat of this package.
	Stat   func(path string) (Room, error)
	Logger *slog.Logger
}

// How the disks are looked at.
const (
	every = 5 * time.Second
	// leastFiles is how many files it has to be possible to make.
	leastFiles = 500
	// A disk is short of room until it has a quarter more than it needs, so
	// that one at the limit does not go to and fro.
	moreNum, moreDen = 5, 4
	// afterRefusal is how long a disk counts as full that has refused a write,
	// whatever it says of its room: a quota may have done that.
	afterRefusal = time.Minute
)

// State is how the disks are.
type State struct {
	Short  bool      // there is less room than there should be
	Reason string    // why, for people; empty where nothing is short
	Since  time.Time // since when
	Places []PlaceState
}

// PlaceState is how one place is.
type PlaceState struct {
	Place
	Room
	Err error // it cannot be looked at: nothing is known of its room
}

// Guard watches disks. Its methods may be called from any goroutine.
type Guard struct {
	places []Place
	stat   func(string) (Room, error)
	log    *slog.Logger
	kick   chan struct{}
	stop   context.CancelFunc
	done   chan struct{} // nil: not started

	mu      sync.Mutex
	least   func(uint64) uint64 // guarded by mu
	refused time.Time           // guarded by mu; the last write that a disk refused
	state   State               // guarded by mu
}

// New looks at the disks once and returns their guard, which looks again when
// it is asked to, and regularly after Start.
func New(cfg Config) *Guard {
	g := &Guard{places: cfg.Places, stat: cfg.Stat, log: cfg.Logger, least: cfg.Least, kick: make(chan struct{}, 1)}
	if g.stat == nil {
		g.stat = Stat
	}
	g.look(time.Now())
	return g
}

// Start looks at the disks every few seconds until Close, and calls changed,
// one call at a time, when they have become short of room or have enough again;
// at once if they are short already.
func (g *Guard) Start(changed func(State)) {
	ctx, cancel := context.WithCancel(context.Background())
	g.stop, g.done = cancel, make(chan struct{})
	go func() {
		defer close(g.done)
		tick := time.NewTicker(every)
		defer tick.Stop()
		for told := false; ; {
			if st := g.State(); st.Short != told {
				told = st.Short
				g.tell(st)
				changed(st)
			}
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			case <-g.kick:
			}
			g.look(time.Now())
		}
	}()
}

// Close ends what Start began.
func (g *Guard) Close() {
	if g.done != nil {
		g.stop()
		<-g.done
	}
}

// State is how the disks were when they were looked at last.
func (g *Guard) State() State {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.state
}

// Short reports whether there is too little room to record, and why.
func (g *Guard) Short() (why string, short bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.state.Reason, g.state.Short
}

// Failed is told of writes that failed. Where the disk was full it is short of
// room from now on. It does not wait.
func (g *Guard) Failed(err error) {
	if !errors.Is(err, unix.ENOSPC) && !errors.Is(err, unix.EDQUOT) {
		return
	}
	now := time.Now()
	g.mu.Lock()
	g.refused = now
	if !g.state.Short {
		g.state.Short, g.state.Since, g.state.Reason = true, now, refusal
	}
	g.mu.Unlock()
	select {
	case g.kick <- struct{}{}:
	default:
	}
}

const refusal = "a disk has refused to take more: it is full, or a quota is used up"

// SetLeast changes how much room there has to be.
func (g *Guard) SetLeast(least func(size uint64) uint64) {
	g.mu.Lock()
	g.least = least
	g.mu.Unlock()
	select {
	case g.kick <- struct{}{}:
	default:
	}
}

// look asks for the room of every place and judges it.
func (g *Guard) look(now time.Time) {
	places := make([]PlaceState, 0, len(g.places))
	for _, p := range g.places {
		room, err := g.stat(p.Path)
		places = append(places, PlaceState{Place: p, Room: room, Err: err})
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	g.state.Places = places
	reason := ""
	if !g.refused.IsZero() && now.Sub(g.refused) < afterRefusal {
		reason = refusal
	}
	for i := range places {
		if why := places[i].lacks(g.least, g.state.Short); why != "" {
			reason = why
			break
		}
	}
	if short := reason != ""; short != g.state.Short {
		g.state.Short, g.state.Since = short, now
	}
	g.state.Reason = reason
}

// lacks says what a place has too little of; empty: it has enough. One that is
// short already needs somewhat more to have enough.
func (p *PlaceState) lacks(least func(uint64) uint64, already bool) string {
	if p.Err != nil || least == nil {
		return ""
	}
	bytes, files := least(p.Size), uint64(leastFiles)
	if bytes == 0 {
		return ""
	}
	if p.Files < 10*leastFiles {
		files = p.Files / 10 // a small one; none where it can make any number
	}
	need := bytes
	if already {
		need, files = bytes/moreDen*moreNum, files*moreNum/moreDen
	}
	switch {
	case p.Free < need:
		return fmt.Sprintf("the disk of %s (%s) has %s left, less than %s", p.Name, p.Path, Size(p.Free), Size(need))
	case p.FreeFiles < files:
		return fmt.Sprintf("the disk of %s (%s) has room for %d more files, less than %d", p.Name, p.Path, p.FreeFiles, files)
	}
	return ""
}

// tell tells the log.
func (g *Guard) tell(st State) {
	if st.Short {
		g.log.Error("nothing is recorded any more, calls go on; free some space", "why", st.Reason)
		return
	}
	g.log.Info("there is room again: calls are recorded")
}

// Size writes a number of bytes for people.
func Size(n uint64) string {
	const step = 1024
	if n < step {
		return fmt.Sprintf("%d bytes", n)
	}
	size, unit := float64(n)/step, "KiB"
	for _, next := range []string{"MiB", "GiB", "TiB"} {
		if size < step {
			break
		}
		size, unit = size/step, next
	}
	return fmt.Sprintf("%.1f %s", size, unit)
}
