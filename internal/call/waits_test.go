package call

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"testing/synctest"

	"perezvon/configs"
	"perezvon/media/g711"
)

// slowDND is a store that takes its time to store do not disturb.
type slowDND struct {
	Records
	asked, release chan struct{}
}

func (s slowDND) SetDND(context.Context, string, bool) error {
	close(s.asked)
	<-s.release
	return nil
}

func TestPhonesRingWhileDoNotDisturbIsStored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := slowDND{asked: make(chan struct{}), release: make(chan struct{})}
		s := &Service{records: disk, log: slog.New(slog.DiscardHandler)}
		s.now.Store(newRules(&configs.Config{Extensions: []configs.Extension{{Number: "101"}}}))
		s.quiet.load(nil)
		stored := make(chan error)
		go func() { stored <- s.SetDND(t.Context(), "101", true) }()
		<-disk.asked
		if !s.quiet.mu.TryLock() {
			t.Error("whoever is to be rung waits for the store")
		} else {
			s.quiet.mu.Unlock()
		}
		close(disk.release)
		if err := <-stored; err != nil || !s.DND("101") {
			t.Errorf("do not disturb is %v, %v", s.DND("101"), err)
		}
	})
}

func TestSentencesAreSpokenWhileASoundIsRead(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sound.wav")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	p := newPrompts(nil, "ru", slog.New(slog.DiscardHandler))
	p.keep(map[string]*g711.Clip{})
	read := make(chan *g711.Clip)
	go func() { read <- p.sound(path) }()
	disk, err := os.OpenFile(path, os.O_WRONLY, 0) // returns when somebody reads
	if err != nil {
		t.Fatal(err)
	}
	if !p.mu.TryLock() {
		t.Error("whoever is to hear a sentence waits for the disk")
	} else {
		p.mu.Unlock()
	}
	if err := disk.Close(); err != nil {
		t.Error(err)
	}
	if <-read == nil {
		t.Error("nothing stands in for a sound that cannot be read")
	}
}

func TestTalkIsControlledOnlyOnceItHasBegun(t *testing.T) {
	bench(t, func(b *bridge, _, _, _ *leg) {
		c := b.call
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.bridge != nil {
			t.Error("a hold would be undone by the beginning of the talk")
		}
	})
}
