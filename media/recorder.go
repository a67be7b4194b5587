package media

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	"perezvon/media/g711"
	"perezvon/media/wav"
)

// partSuffix is on the name of a recording that is not finished.
const partSuffix = ".part"

const (
	ringFrames = 256  // 2.5 s of both directions; the disk may stall that long
	ringWake   = 64   // frames after which the writer is woken
	frameLen   = 160  // samples in a frame; longer packets take several
	window     = 8192 // samples of each channel held back from the file
	windowLag  = 4096 // samples that stay in the window for the slower channel
	drift      = 480  // samples, 60 ms, after which a channel is anchored anew
)

// channel is a side of a stereo recording.
type channel uint8

const (
	left channel = iota
	right
)

// frame is a piece of sound on its way to the writer.
type frame struct {
	at      time.Duration // arrival, by the engine's clock
	ts      uint32
	channel channel
	law     g711.Law
	n       int
	data    [frameLen]byte
}

// Recording is a finished recording.
type Recording struct {
	Path     string        // empty when nothing was heard; there is no file then
	Duration time.Duration // from the first packet of either side to the last
	Bytes    int64         // length of the file
	Lost     int           // pieces of at most 20 ms that the disk was too slow for
}

// Recorder writes what the two ends of a path say into a stereo A-law WAV
// file, 8 kHz: a on the left, b on the right. Each channel is anchored at its
// first packet on one clock and advanced by RTP timestamps; where those leave
// the clock by more than 60 ms it is anchored anew. Gaps are silence.
//
// The paths' readers put frames into a ring; one goroutine writes. When the
// disk stalls for more than 2.5 s frames are lost, never packets.
type Recorder struct {
	path string
	wake chan struct{}
	quit chan struct{}
	done chan struct{} // the writer has ended

	mu     sync.Mutex
	ring   []frame // slots in [tail, tail+count) belong to the writer, others to push
	tail   int     // guarded by mu
	count  int     // guarded by mu
	lost   int     // guarded by mu; frames without room
	closed bool    // guarded by mu

	failed func(error) // nil: nobody wants to know; used by the writer once there is sound

	once   sync.Once
	result Recording
	err    error

	out track // used by the writer, then by Close
}

// NewRecorder begins a recording that appears at path when it is closed;
// until then it is path with ".part" behind it. The folder is made if need
// be.
func NewRecorder(path string) (*Recorder, error) {
	f, err := create(path + partSuffix)
	if errors.Is(err, fs.ErrNotExist) {
		f, err = create(path + partSuffix) // somebody has cleared the folder away, for it was empty
	}
	if err != nil {
		return nil, fmt.Errorf("new recording: %w", err)
	}
	w, err := wav.NewWriter(f)
	if err != nil {
		_ = f.Close()
		_ = os.Remove(path + partSuffix)
		return nil, fmt.Errorf("new recording: %w", err)
	}
	r := &Recorder{
		path: path,
		wake: make(chan struct{}, 1),
		quit: make(chan struct{}),
		done: make(chan struct{}),
		ring: make([]frame, ringFrames),
		out:  track{file: f, w: w},
	}
	go r.run()
	return r, nil
}

// OnError has f called once, from the writer's goroutine, when the file cannot
// be written to any more; Close returns the same error. It is to be called
// before there is any sound, and f must not wait.
func (r *Recorder) OnError(f func(error)) { r.failed = f }

// create makes a file, and its folder if need be.
func create(path string) (*os.File, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return nil, err
	}
	return os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
}

// push takes the sound of a packet. It never waits for the disk.
func (r *Recorder) push(c channel, p *packet, now time.Duration) {
	body, ts := p.body(), p.ts
	r.mu.Lock()
	for len(body) > 0 && !r.closed {
		n := min(len(body), frameLen)
		if r.count == len(r.ring) {
			r.lost++
			break
		}
		f := &r.ring[(r.tail+r.count)%len(r.ring)]
		f.at, f.ts, f.channel, f.law = now, ts, c, p.kind.law()
		f.n = copy(f.data[:], body[:n])
		r.count++
		body, ts = body[n:], ts+uint32(n)
		now += length(n)
	}
	full := r.count >= ringWake
	r.mu.Unlock()
	if full {
		select {
		case r.wake <- struct{}{}:
		default:
		}
	}
}

func (r *Recorder) run() {
	defer close(r.done)
	for {
		select {
		case <-r.wake:
			r.drain()
		case <-r.quit:
			r.drain()
			return
		}
	}
}

// drain writes what is in the ring. The lock is not held meanwhile.
func (r *Recorder) drain() {
	r.mu.Lock()
	tail, count := r.tail, r.count
	r.mu.Unlock()
	for i := range count {
		r.out.place(&r.ring[(tail+i)%len(r.ring)])
	}
	r.mu.Lock()
	r.tail, r.count = (tail+count)%len(r.ring), r.count-count
	r.mu.Unlock()
	r.out.settle()
	if r.out.err != nil && r.failed != nil {
		r.failed(r.out.err)
		r.failed = nil
	}
}

// Close finishes the file and gives it its name. Where writing failed, what
// could be written is published and the error returned. Further calls return
// the same.
func (r *Recorder) Close() (Recording, error) {
	r.once.Do(func() {
		r.mu.Lock()
		r.closed = true
		r.mu.Unlock()
		close(r.quit)
		<-r.done
		r.result, r.err = r.publish()
	})
	return r.result, r.err
}

func (r *Recorder) publish() (Recording, error) {
	r.out.finish()
	duration, size := r.out.w.Duration(), r.out.w.Size()
	err := errors.Join(r.out.err, r.out.w.Close(), r.out.file.Sync(), r.out.file.Close())
	if duration == 0 {
		err = errors.Join(err, os.Remove(r.path+partSuffix))
	} else {
		err = errors.Join(err, os.Rename(r.path+partSuffix, r.path))
	}
	if err != nil {
		err = fmt.Errorf("close recording: %w", err)
	}
	if duration == 0 {
		return Recording{}, err
	}
	return Recording{Path: r.path, Duration: duration, Bytes: size, Lost: r.lost}, err
}

// RepairRecordings publishes what a crash left unfinished in dir and below:
// headers are mended, the names lose their ".part", recordings without sound
// are removed. It must run before new recordings begin. The paths published
// come back also when others fail; a missing dir is no error.
func RepairRecordings(dir string) (repaired []string, err error) {
	var failures []error
	walkFailure := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, walkErr error) error {
		switch {
		case walkErr != nil && path == dir && errors.Is(walkErr, fs.ErrNotExist):
			return nil
		case walkErr != nil:
			return walkErr
		case entry.IsDir() || filepath.Ext(path) != partSuffix:
			return nil
		}
		name, repairErr := repair(path)
		if repairErr != nil {
			failures = append(failures, repairErr)
		} else if name != "" {
			repaired = append(repaired, name)
		}
		return nil
	})
	if walkFailure != nil {
		failures = append(failures, fmt.Errorf("repair recordings: %w", walkFailure))
	}
	return repaired, errors.Join(failures...)
}

func repair(part string) (string, error) {
	duration, err := wav.Repair(part)
	if err != nil {
		return "", fmt.Errorf("repair recording %s: %w", part, err)
	}
	if duration == 0 {
		if err := os.Remove(part); err != nil {
			return "", fmt.Errorf("repair recording: %w", err)
		}
		return "", nil
	}
	name := part[:len(part)-len(partSuffix)]
	if err := os.Rename(part, name); err != nil {
		return "", fmt.Errorf("repair recording: %w", err)
	}
	return name, nil
}
