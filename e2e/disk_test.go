package e2e

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"perezvon/internal/api"
	"perezvon/internal/lab"
	"perezvon/internal/store"
	"perezvon/media/wav"
)

// smallDisk is where a server has its data: a file system of 64 MiB in memory,
// which the server alone sees. Where nobody may mount one, as in most
// containers, it is a folder like any other, and room runs out because the
// configuration suddenly wants more of it.
type smallDisk struct {
	s       *server
	mounted bool
	data    string // as the server sees it
}

const (
	diskSize  = 64 << 20
	leastFree = 16 << 20 // of recordings.min_free
)

// onSmallDisk starts a server there.
func onSmallDisk(t *testing.T, want setup) *smallDisk {
	t.Helper()
	want.data = filepath.Join(t.TempDir(), "data")
	want.more += fmt.Sprintf("recordings: {min_free: %dMiB}\n", leastFree>>20)
	d := &smallDisk{data: want.data, s: newServer(t, want)}
	flags := "-rm"
	if os.Getuid() == 0 {
		flags = "-m"
	}
	mount := fmt.Sprintf("mkdir -p %s && mount -t tmpfs -o size=%d tmpfs %s", d.data, diskSize, d.data)
	d.mounted = exec.CommandContext(t.Context(), "unshare", flags, "sh", "-c", mount).Run() == nil
	if !d.mounted {
		t.Log("no file system can be mounted here: the full disk is one of which the configuration wants more")
		d.s.start()
		return d
	}
	d.s.through = []string{"unshare", flags, "sh", "-c", mount + ` && exec "$0" "$@"`}
	d.s.start()
	return d
}

// inside is the disk's folder as the test sees it.
func (d *smallDisk) inside() string {
	return filepath.Join("/proc", fmt.Sprint(d.s.cmd.Process.Pid), "root", d.data)
}

// fill leaves so many bytes free.
func (d *smallDisk) fill(left int64) {
	t := d.s.t
	t.Helper()
	if !d.mounted {
		d.wants("1000TiB")
		return
	}
	var st syscall.Statfs_t
	if err := syscall.Statfs(d.inside(), &st); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(filepath.Join(d.inside(), "filling"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.Write(make([]byte, max(0, int64(st.Bavail)*st.Bsize-left)))
	if err = errors.Join(err, f.Close()); err != nil && !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
}

// empty gives the room back.
func (d *smallDisk) empty() {
	d.s.t.Helper()
	if !d.mounted {
		d.wants("1MiB")
		return
	}
	if err := os.Remove(filepath.Join(d.inside(), "filling")); err != nil {
		d.s.t.Fatal(err)
	}
}

// wants has the server want another amount of room.
func (d *smallDisk) wants(room string) {
	d.s.t.Helper()
	text, err := os.ReadFile(d.s.config)
	if err != nil {
		d.s.t.Fatal(err)
	}
	before, _, _ := strings.Cut(string(text), "recordings: ")
	d.s.write(before + "recordings: {min_free: " + room + "}\n")
	if _, err := d.s.Reload(within(d.s.t, 10*time.Second)); err != nil {
		d.s.t.Fatal(err)
	}
}

// suspended waits until the server says everywhere that it records, or that it
// does not.
func (d *smallDisk) suspended(want bool) {
	t := d.s.t
	t.Helper()
	last, metric := store.EventRecordingResumed, "perezvon_recording_suspended 0"
	if want {
		last, metric = store.EventRecordingSuspended, "perezvon_recording_suspended 1"
	}
	eventually(t, 15*time.Second, "the server says "+last, func() bool {
		st, err := d.s.Status(within(t, 10*time.Second))
		if err != nil {
			t.Fatal(err)
		}
		told := slices.ContainsFunc(st.Problems, func(r api.Reason) bool { return r.Part == "recordings" })
		events := d.s.get("/api/v1/events?limit=1000&type=recording.suspended&type=recording.resumed")
		newest := max(strings.LastIndex(events, store.EventRecordingSuspended), strings.LastIndex(events, store.EventRecordingResumed))
		return told == want && strings.Contains(d.s.get("/metrics"), "\n"+metric+"\n") && newest >= 0 && strings.LastIndex(events, last) == newest
	})
	if status := d.s.status(t, "/readyz"); status != http.StatusOK {
		t.Errorf("GET /readyz answers %d, though calls are taken", status)
	}
	if body := d.s.get("/readyz"); strings.Contains(body, `"degraded"`) != want {
		t.Errorf("GET /readyz answers %s", body)
	}
}

func TestADiskThatRunsFullEndsRecordingsAndNoCall(t *testing.T) {
	t.Parallel()
	const number, long = "+79160000120", "+79160000121"
	carrier, manager := newCarrier(t), newPhone(t, 0)
	carrier.Number(number, append(lab.Customer(0), lab.Talk(2*time.Second), lab.Bye()))
	carrier.Number(long, append(lab.Customer(0), lab.Talk(14*time.Second), lab.Bye()))
	d := onSmallDisk(t, setup{trunk: carrier.Addr().String(), manager: manager.Addr().String()})
	s := d.s
	place := func(number string) string { return s.place(api.CallbackBody{Number: number}).ID }

	cut := place(long)
	s.until(cut, store.StateTalking, 10*time.Second)
	time.Sleep(2 * time.Second) // that there is something in the recording
	d.fill(leastFree / 2)
	d.suspended(true)
	c := s.ended(cut, 30*time.Second)
	wantResult(t, c, store.ResultCompleted, "200")
	if c.Recording == nil || c.Recording.DurationMS < 1000 || c.Recording.DurationMS > c.TalkMS-1000 {
		t.Fatalf("%d ms of talk, recording %+v", c.TalkMS, c.Recording)
	}
	sound, err := wav.Read(strings.NewReader(s.get(c.Recording.URL)), wav.Limits{})
	if err != nil || sound.Duration().Milliseconds() != c.Recording.DurationMS {
		t.Errorf("%v of sound, error %v", sound.Duration(), err)
	}
	c = s.ended(place(number), 20*time.Second)
	wantResult(t, c, store.ResultCompleted, "200")
	if c.Recording != nil || !strings.Contains(s.get("/api/v1/calls/"+c.ID+"/events"), "not recorded: ") {
		t.Errorf("a call without room has the recording %+v", c.Recording)
	}

	through := place(long) // a call that talks on while nothing at all can be stored
	s.until(through, store.StateTalking, 10*time.Second)
	d.fill(0)
	time.Sleep(time.Second)
	d.empty()
	wantResult(t, s.ended(through, 30*time.Second), store.ResultCompleted, "200")
	d.suspended(false)
	c = s.ended(place(number), 20*time.Second)
	wantResult(t, c, store.ResultCompleted, "200")
	if c.Recording == nil {
		t.Error("with room again a call is not recorded")
	}
	atRest(t, carrier, manager)
	s.clean()
	s.stop()
}
