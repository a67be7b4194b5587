package tts

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"perezvon/media/g711"
)

// A cached clip is a file: magic, number of samples (32 bit, big endian),
// SHA-256 of the sound, the sound in A-law, the same in µ-law.
const (
	diskMagic   = "PZVCLIP1"
	diskHeadLen = len(diskMagic) + 4 + sha256.Size
	diskSuffix  = ".clip"
	tempPrefix  = ".new-"
	// maxDiskFile is the longest clip there can be, and a little.
	maxDiskFile = 2*g711.SampleRate*int64(MaxDuration/time.Second) + 4096
	// staleTemp is how old a temporary file is when its writer is surely gone.
	staleTemp = time.Hour
)

// diskCache keeps clips in a folder, addressed by content. Everything that
// goes wrong with it is logged and otherwise treated as a miss.
type diskCache struct {
	dir   string
	limit int64 // bytes
	log   *slog.Logger

	mu    sync.Mutex
	fresh int64 // bytes written since the last pruning; guarded by mu
}

func newDiskCache(dir string, limit int64, log *slog.Logger) *diskCache {
	c := &diskCache{dir: dir, limit: limit, log: log}
	if err := os.MkdirAll(dir, 0o750); err != nil {
		log.Warn("speech cache cannot be used, every text is rendered anew", slog.String("dir", dir), slog.Any("error", err))
	}
	c.prune(context.Background())
	return c
}

func (c *diskCache) path(key cacheKey) string {
	name := hex.EncodeToString(key[:])
	return filepath.Join(c.dir, name[:2], name+diskSuffix)
}

// get returns nil when there is none. A damaged file is removed.
func (c *diskCache) get(ctx context.Context, key cacheKey) *g711.Clip {
	if c == nil {
		return nil
	}
	path := c.path(key)
	b, err := readFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		c.log.WarnContext(ctx, "cached speech cannot be read", slog.String("file", path), slog.Any("error", err))
		return nil
	}
	clip, err := decodeClip(b)
	if err != nil {
		c.log.WarnContext(ctx, "cached speech is damaged and rendered anew", slog.String("file", path), slog.Any("error", err))
		_ = os.Remove(path) // what follows replaces it anyway
		return nil
	}
	now := time.Now()
	_ = os.Chtimes(path, now, now) // what is used stays longest; a read-only cache still serves
	return clip
}

func readFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // only read
	return io.ReadAll(io.LimitReader(f, maxDiskFile+1))
}

func decodeClip(b []byte) (*g711.Clip, error) {
	if len(b) < diskHeadLen || string(b[:len(diskMagic)]) != diskMagic {
		return nil, errors.New("no header of a clip")
	}
	samples := int(binary.BigEndian.Uint32(b[len(diskMagic):]))
	sum, sound := b[len(diskMagic)+4:diskHeadLen], b[diskHeadLen:]
	if samples == 0 || len(sound) != 2*samples {
		return nil, fmt.Errorf("%d bytes of sound for %d samples", len(sound), samples)
	}
	if got := sha256.Sum256(sound); !bytes.Equal(got[:], sum) {
		return nil, errors.New("wrong checksum")
	}
	return g711.NewClipEncoded(sound[:samples], sound[samples:])
}

func encodeClip(clip *g711.Clip) []byte {
	sound := slices.Concat(clip.Bytes(g711.ALaw), clip.Bytes(g711.ULaw))
	sum := sha256.Sum256(sound)
	b := make([]byte, 0, diskHeadLen+len(sound))
	b = append(b, diskMagic...)
	b = binary.BigEndian.AppendUint32(b, uint32(clip.Samples()))
	b = append(b, sum[:]...)
	return append(b, sound...)
}

// put writes a clip so that readers see all of it or nothing.
func (c *diskCache) put(ctx context.Context, key cacheKey, clip *g711.Clip) {
	if c == nil {
		return
	}
	b := encodeClip(clip)
	if err := writeFile(c.path(key), b); err != nil {
		c.log.WarnContext(ctx, "speech cannot be cached", slog.String("dir", c.dir), slog.Any("error", err))
		return
	}
	c.mu.Lock()
	c.fresh += int64(len(b))
	full := c.fresh > c.limit/8
	c.mu.Unlock()
	if full {
		c.prune(ctx)
	}
}

func writeFile(path string, b []byte) error {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return err
	}
	f, err := os.CreateTemp(dir, tempPrefix)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	err = errors.Join(err, f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return nil
}

// prune brings a cache that has outgrown its limit well below it, removing
// what was not used for longest, and removes temporary files that a crash
// left.
func (c *diskCache) prune(ctx context.Context) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fresh = 0
	type entry struct {
		path string
		size int64
		used time.Time
	}
	var entries []entry
	var total int64
	err := filepath.WalkDir(c.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil // removed meanwhile
		} else if err != nil {
			return err
		}
		switch name := d.Name(); {
		case strings.HasSuffix(name, diskSuffix):
			entries = append(entries, entry{path, info.Size(), info.ModTime()})
			total += info.Size()
		case strings.HasPrefix(name, tempPrefix) && time.Since(info.ModTime()) > staleTemp:
			return os.Remove(path)
		}
		return nil
	})
	slices.SortFunc(entries, func(a, b entry) int {
		return cmp.Or(a.used.Compare(b.used), cmp.Compare(a.path, b.path))
	})
	if total > c.limit {
		for _, e := range entries {
			if total <= c.limit/4*3 || err != nil {
				break
			}
			err = os.Remove(e.path)
			total -= e.size
		}
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		c.log.WarnContext(ctx, "speech cache cannot be pruned", slog.String("dir", c.dir), slog.Any("error", err))
	}
}
