package disk

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sys/unix"
)

const mib = 1 << 20

// shelf is a disk as a test says, with its guard in virtual time.
type shelf struct {
	mu   sync.Mutex
	room Room    // guarded by mu
	err  error   // guarded by mu
	told []State // guarded by mu; what the guard has said

	guard *Guard
	log   bytes.Buffer
}

// onShelf runs a test with a disk of 1000 MiB of which 100 are to be free.
func onShelf(t *testing.T, first Room, test func(s *shelf)) {
	t.Helper()
	synctest.Test(t, func(*testing.T) {
		s := &shelf{room: first}
		s.guard = New(Config{
			Places: []Place{{"data_dir", "/data"}, {"recordings.dir", "/sound"}},
			Least:  func(size uint64) uint64 { return size / 10 },
			Stat: func(path string) (Room, error) {
				s.mu.Lock()
				defer s.mu.Unlock()
				if path == "/data" {
					return Room{Free: 900 * mib, Size: 1000 * mib, FreeFiles: 1e6, Files: 1e6}, nil
				}
				return s.room, s.err
			},
			Logger: slog.New(slog.NewTextHandler(&s.log, nil)),
		})
		s.guard.Start(func(st State) {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.told = append(s.told, st)
		})
		synctest.Wait()
		test(s)
		s.guard.Close()
	})
}

// becomes lets the disk have so much room and waits until that is seen.
func (s *shelf) becomes(r Room) {
	s.mu.Lock()
	s.room = r
	s.mu.Unlock()
	time.Sleep(every)
	synctest.Wait()
}

func free(n uint64) Room { return Room{Free: n * mib, Size: 1000 * mib, FreeFiles: 1e6, Files: 1e6} }

func (s *shelf) is(t *testing.T, short bool, calls int) {
	t.Helper()
	why, is := s.guard.Short()
	s.mu.Lock()
	defer s.mu.Unlock()
	if st := s.guard.State(); is != short || st.Short != short || (why == "") == short || len(s.told) != calls || calls > 0 && s.told[calls-1].Short != short {
		t.Errorf("short %t (%s), told %d times, want %t and %d times", is, why, len(s.told), short, calls)
	}
}

func TestADiskIsShortUntilItHasAQuarterMoreThanItNeeds(t *testing.T) {
	onShelf(t, free(100), func(s *shelf) {
		s.is(t, false, 0)
		s.becomes(free(99))
		s.is(t, true, 1)
		if want := "the disk of recordings.dir (/sound) has 99.0 MiB left, less than 100.0 MiB"; s.told[0].Reason != want || !s.told[0].Since.Equal(time.Now()) {
			t.Errorf("%+v, want %q", s.told[0], want)
		}
		s.becomes(free(124))
		s.is(t, true, 1)
		s.becomes(free(125))
		s.is(t, false, 2)
		s.becomes(free(100))
		s.is(t, false, 2)
		if log := s.log.String(); strings.Count(log, "\n") != 2 || !strings.Contains(log, "nothing is recorded any more") || !strings.Contains(log, "there is room again") {
			t.Errorf("the log:\n%s", log)
		}
	})
}

func TestADiskThatIsShortAtTheStartIsToldOf(t *testing.T) {
	onShelf(t, free(1), func(s *shelf) { s.is(t, true, 1) })
}

func TestADiskMayLackRoomForFiles(t *testing.T) {
	room := func(left, of uint64) Room { return Room{Free: 900 * mib, Size: 1000 * mib, FreeFiles: left, Files: of} }
	onShelf(t, room(leastFiles, 1e6), func(s *shelf) {
		s.is(t, false, 0)
		s.becomes(room(leastFiles-1, 1e6))
		s.is(t, true, 1)
		if !strings.Contains(s.told[0].Reason, "has room for 499 more files, less than 500") {
			t.Errorf("%+v", s.told[0])
		}
		s.becomes(room(leastFiles*5/4, 1e6))
		s.is(t, false, 2)
		s.becomes(room(0, 0)) // it makes any number
		s.is(t, false, 2)
		s.becomes(room(11, 100))
		s.is(t, false, 2)
		s.becomes(room(9, 100))
		s.is(t, true, 3)
	})
}

func TestARefusedWriteIsBelievedBeforeTheRoomThatADiskSaysItHas(t *testing.T) {
	onShelf(t, free(900), func(s *shelf) {
		s.guard.Failed(&fs.PathError{Op: "write", Path: "x", Err: unix.EIO})
		synctest.Wait()
		s.is(t, false, 0)
		s.guard.Failed(fmt.Errorf("close recording: %w", &fs.PathError{Op: "write", Path: "x", Err: unix.EDQUOT}))
		if _, short := s.guard.Short(); !short {
			t.Error("it is not believed at once")
		}
		synctest.Wait()
		s.is(t, true, 1)
		time.Sleep(afterRefusal - every)
		synctest.Wait()
		s.is(t, true, 1)
		time.Sleep(2 * every)
		synctest.Wait()
		s.is(t, false, 2)
	})
}

func TestADiskThatCannotBeLookedAtIsNotShort(t *testing.T) {
	onShelf(t, free(900), func(s *shelf) {
		s.mu.Lock()
		s.err = errors.New("gone")
		s.mu.Unlock()
		s.becomes(Room{})
		s.is(t, false, 0)
		if st := s.guard.State().Places[1]; st.Err == nil || st.Name != "recordings.dir" {
			t.Errorf("%+v", st)
		}
	})
}

func TestWhatIsNeededMayChange(t *testing.T) {
	onShelf(t, free(50), func(s *shelf) {
		s.is(t, true, 1)
		s.guard.SetLeast(func(uint64) uint64 { return 0 })
		synctest.Wait()
		s.is(t, false, 2)
		s.becomes(Room{Size: 1000 * mib, Files: 1e6})
		s.is(t, false, 2)
	})
}

func TestTheSystemTellsItsRoom(t *testing.T) {
	room, err := Stat(t.TempDir())
	if err != nil || room.Size == 0 || room.Free > room.Size || room.FreeFiles > room.Files {
		t.Errorf("%+v, error %v", room, err)
	}
	if _, err := Stat(t.TempDir() + "/none"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("error %v", err)
	}
	New(Config{Places: []Place{{"data_dir", t.TempDir()}}}).Close() // never started
}

func TestSizesAreForPeople(t *testing.T) {
	for n, want := range map[uint64]string{0: "0 bytes", 1023: "1023 bytes", 1024: "1.0 KiB", 1536 * mib: "1.5 GiB", 5 << 50: "5120.0 TiB"} {
		if got := Size(n); got != want {
			t.Errorf("%d is %q, want %q", n, got, want)
		}
	}
}
