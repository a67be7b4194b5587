package call

import (
	"errors"
	"fmt"
	"path/filepath"
	"sync"

	"perezvon/media"
)

// Room says whether the disks have room for recordings. *disk.Guard is one.
type Room interface {
	// Short reports whether nothing shall be recorded, and why.
	Short() (why string, short bool)
	// Failed is told of what could not be written. It does not wait.
	Failed(err error)
}

// unlimited is room without an end.
type unlimited struct{}

func (unlimited) Short() (string, bool) { return "", false }
func (unlimited) Failed(error)          {}

// recording is the sound of a call that is being written.
type recording struct {
	call   *Call
	file   *media.Recorder
	cut    chan struct{} // closed when it ends before its call, for want of room
	ending sync.Once     // of cut
}

// sound is what a path writes to; nil: to nothing.
func (r *recording) sound() *media.Recorder {
	if r == nil {
		return nil
	}
	return r.file
}

// recordings are those that are being written.
type recordings struct {
	mu   sync.Mutex
	open map[*recording]struct{} // guarded by mu
}

// errNoRoom is why nothing is recorded while the disks are short of room.
var errNoRoom = errors.New("the disks have no room for recordings")

// record begins the call's recording. It is errNoRoom, which the timeline tells
// of, where there is too little room.
func (c *Call) record() (*recording, error) {
	s := c.svc
	if why, short := s.room.Short(); short {
		c.decide("not recorded: " + why)
		return nil, errNoRoom
	}
	file, err := media.NewRecorder(filepath.Join(s.dir, recordingFile(c.Record())))
	if err != nil {
		s.room.Failed(err)
		return nil, err
	}
	file.OnError(s.room.Failed)
	r := &recording{call: c, file: file, cut: make(chan struct{})}
	s.recordings.mu.Lock()
	s.recordings.open[r] = struct{}{}
	s.recordings.mu.Unlock()
	if why, short := s.room.Short(); short { // since a moment ago: EndRecordings may have missed it
		r.end(why)
	}
	return r, nil
}

// finish closes the file and gives it its name, unless that was done already.
func (r *recording) finish() (media.Recording, error) {
	open := &r.call.svc.recordings
	open.mu.Lock()
	delete(open.open, r)
	open.mu.Unlock()
	done, err := r.file.Close()
	if err != nil {
		r.call.svc.room.Failed(err)
	}
	return done, err
}

// end finishes the recording before its call is over.
func (r *recording) end(why string) {
	r.ending.Do(func() {
		if _, err := r.finish(); err != nil {
			r.call.log.Error("the recording is not whole; look at the recordings folder and the disk", "err", err)
		}
		r.call.decide(fmt.Sprintf("the recording ends here: %s", why))
		close(r.cut)
	})
}

// EndRecordings finishes what is being recorded, since the disks are short of
// room: what was said so far can be heard, and the calls go on. It returns how
// many there were.
func (s *Service) EndRecordings(why string) int {
	s.recordings.mu.Lock()
	open := make([]*recording, 0, len(s.recordings.open))
	for r := range s.recordings.open {
		open = append(open, r)
	}
	s.recordings.mu.Unlock()
	for _, r := range open {
		r.end(why)
	}
	return len(open)
}
