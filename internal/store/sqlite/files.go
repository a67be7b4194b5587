package sqlite

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// ErrInUse says that another server works on the same file.
var ErrInUse = errors.New("another perezvon uses this data folder")

// fileLock keeps other processes away from a database. SQLite would let them
// in; two servers would then serve the same calls twice.
type fileLock struct{ f *os.File }

// prepareFiles makes the folder and an empty database file that only its owner
// may read, for it holds telephone numbers, and locks it.
func prepareFiles(path string) (*fileLock, error) {
	dir := filepath.Dir(path)
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return nil, fmt.Errorf("cannot make the data folder %s, create it or set another one: %w", dir, err)
	}
	lock, err := acquireLock(path + ".lock")
	if err != nil {
		return nil, err
	}
	// Only under the lock: closing any descriptor of a database file lets go
	// of the POSIX locks that this process holds on it.
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, errors.Join(unwritable(path, err), lock.release())
	}
	if err := errors.Join(f.Close(), syncDir(dir)); err != nil {
		return nil, errors.Join(fmt.Errorf("create %s: %w", path, err), lock.release())
	}
	return lock, nil
}

func acquireLock(path string) (*fileLock, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, unwritable(path, err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		defer f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("%w (%s): %s is locked; stop that one or set another data_dir", ErrInUse, holder(f), path)
		}
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	// The number only helps people to find the process; the lock is the flock.
	if err := f.Truncate(0); err == nil {
		_, _ = f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	}
	return &fileLock{f: f}, nil
}

// holder tells who wrote the lock file.
func holder(f *os.File) string {
	text, err := io.ReadAll(io.LimitReader(f, 32))
	pid := strings.TrimSpace(string(text))
	if err != nil || pid == "" {
		return "pid unknown"
	}
	return "pid " + pid
}

// release lets go of the lock. The file stays: removing it would let two
// processes lock two different files of one name.
func (l *fileLock) release() error {
	return l.f.Close()
}

func unwritable(path string, err error) error {
	return fmt.Errorf("cannot write %s as user id %d: check who owns the data folder and that its disk is neither full nor mounted read-only: %w",
		path, os.Getuid(), err)
}

// syncDir makes the names of new files in dir durable.
func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
