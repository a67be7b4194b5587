// Package sounds keeps what informational calls play: files that were uploaded,
// and sounds that are fetched from where a request says.
package sounds

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"perezvon/internal/outside"
	"perezvon/media/g711"
)

// ErrNotFound is about the name of a file that there is not.
var ErrNotFound = errors.New("there is no such sound")

// name is what a sound file may be called: no paths, nothing hidden.
var name = regexp.MustCompile(`^[\p{L}\p{N}_][\p{L}\p{N} ._()-]{0,119}\.(?i:wav|mp3)$`)

// maxName is how long file systems let a name be, in bytes.
const maxName = 255

// kept is how much decoded sound is kept in memory, in samples of two bytes.
const kept = 16 << 20

// Store plays sounds by their names or URLs. It is safe for concurrent use.
type Store struct {
	dir   string
	from  atomic.Pointer[origin]
	slots chan struct{} // one token per sound that is decoded

	mu    sync.Mutex
	clips map[[sha256.Size]byte]*g711.Clip // guarded by mu; by content
	order [][sha256.Size]byte              // guarded by mu; the oldest first
	size  int                              // guarded by mu; samples
}

// origin is where sounds may be fetched from.
type origin struct {
	policy outside.Policy
	client *http.Client
}

// New returns a store of the files in a folder, which need not exist. allow are
// the addresses that sounds may be fetched from beside the public ones.
func New(dir string, allow []netip.Prefix) *Store {
	s := &Store{dir: dir, slots: make(chan struct{}, runtime.GOMAXPROCS(0)), clips: make(map[[sha256.Size]byte]*g711.Clip)}
	s.Allow(allow)
	return s
}

// Allow replaces the addresses that sounds may be fetched from beside the public
// ones.
func (s *Store) Allow(allow []netip.Prefix) {
	policy := outside.Policy{Allow: allow}
	if old := s.from.Swap(&origin{policy, policy.Client(redirects)}); old != nil {
		old.client.CloseIdleConnections()
	}
}

// Close drops idle connections.
func (s *Store) Close() { s.from.Load().client.CloseIdleConnections() }

// Kept is a sound that was stored.
type Kept struct {
	Name     string
	Bytes    int
	Duration time.Duration
}

// Save keeps a file under its name, in place of one that has the same. What
// cannot be played is not kept; the error wraps ErrSound then.
func (s *Store) Save(ctx context.Context, file string, data []byte) (Kept, error) {
	if err := checkName(file); err != nil {
		return Kept{}, err
	}
	clip, err := s.clip(ctx, data)
	if err != nil {
		return Kept{}, err
	}
	if err := s.write(file, data); err != nil {
		return Kept{}, fmt.Errorf("save sound: %w", err)
	}
	return Kept{Name: file, Bytes: len(data), Duration: clip.Duration()}, nil
}

// write puts a file in its place as a whole.
func (s *Store) write(file string, data []byte) error {
	if err := os.MkdirAll(s.dir, 0o750); err != nil {
		return err
	}
	tmp, err := os.CreateTemp(s.dir, ".upload-*")
	if err != nil {
		return err
	}
	_, err = tmp.Write(data)
	err = errors.Join(err, tmp.Sync(), tmp.Close())
	if err == nil {
		err = os.Rename(tmp.Name(), filepath.Join(s.dir, file))
	}
	if err != nil {
		_ = os.Remove(tmp.Name()) // it is of no use
	}
	return err
}

func checkName(file string) error {
	switch {
	case len(file) > maxName:
		return fmt.Errorf("%w: its name has %d bytes, at most %d can be kept", ErrSound, len(file), maxName)
	case !name.MatchString(file):
		return fmt.Errorf("%w: %q is no name of a sound: letters, digits, blanks and . _ - ( ) are, with .wav or .mp3 at the end", ErrSound, file)
	}
	return nil
}

// Check says what is wrong with the name or the URL of a sound, without
// fetching anything: that there is no such file, that it cannot be played, that
// the URL is none that may be fetched.
func (s *Store) Check(ctx context.Context, sound string) error {
	if !isURL(sound) {
		_, err := s.Clip(ctx, sound)
		return err
	}
	return s.from.Load().check(sound)
}

func isURL(sound string) bool { return strings.Contains(sound, "://") }

// Clip returns a sound by the name of its file, or fetches it where it is a
// URL.
func (s *Store) Clip(ctx context.Context, sound string) (*g711.Clip, error) {
	read := s.read
	if isURL(sound) {
		read = s.fetch
	}
	data, err := read(ctx, sound)
	if err != nil {
		return nil, err
	}
	return s.clip(ctx, data)
}

// read returns a file of the folder. Nothing outside of it can be named, nor
// linked to.
func (s *Store) read(_ context.Context, file string) ([]byte, error) {
	if err := checkName(file); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(s.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w: %q", ErrNotFound, file)
	}
	if err != nil {
		return nil, fmt.Errorf("read sound: %w", err)
	}
	defer func() { _ = root.Close() }()
	switch info, err := root.Stat(file); {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%w: %q", ErrNotFound, file)
	case err != nil:
		return nil, fmt.Errorf("read sound: %w", err)
	case !info.Mode().IsRegular(): // a pipe would never end
		return nil, fmt.Errorf("%w: %q is no regular file", ErrSound, file)
	}
	f, err := root.Open(file)
	if err != nil {
		return nil, fmt.Errorf("read sound: %w", err)
	}
	defer func() { _ = f.Close() }()
	return readLimited(f)
}

// readLimited reads one byte more than a sound may have at the most: what is too
// large is seen.
func readLimited(r io.Reader) ([]byte, error) {
	data, err := io.ReadAll(io.LimitReader(r, MaxBytes+1))
	if err != nil {
		return nil, fmt.Errorf("read sound: %w", err)
	}
	return data, nil
}

// clip decodes a file, once for each content as long as that is kept.
func (s *Store) clip(ctx context.Context, data []byte) (*g711.Clip, error) {
	sum := sha256.Sum256(data)
	if c := s.known(sum); c != nil {
		return c, nil
	}
	select {
	case s.slots <- struct{}{}:
		defer func() { <-s.slots }()
	case <-ctx.Done():
		return nil, fmt.Errorf("decode sound: %w", context.Cause(ctx))
	}
	if c := s.known(sum); c != nil { // decoded while we waited
		return c, nil
	}
	c, err := Decode(data)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if known := s.clips[sum]; known != nil {
		return known, nil
	}
	s.clips[sum], s.order, s.size = c, append(s.order, sum), s.size+c.Samples()
	for s.size > kept && len(s.order) > 1 {
		s.size -= s.clips[s.order[0]].Samples()
		delete(s.clips, s.order[0])
		s.order = s.order[1:]
	}
	return c, nil
}

func (s *Store) known(sum [sha256.Size]byte) *g711.Clip {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.clips[sum]
}
