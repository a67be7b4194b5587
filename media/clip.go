package media

import (
	"errors"
	"fmt"
	"os"
	"time"

	"perezvon/media/g711"
	"perezvon/media/resample"
	"perezvon/media/wav"
)

// Bounds of a sound file that is played in calls.
const (
	minClip = 100 * time.Millisecond
	maxClip = 5 * time.Minute
)

// ReadClip reads a WAV file of any rate and puts it into the form in which it
// is played: PCM or G.711, mono or stereo, from 0.1 s to 5 minutes. The error
// says what is wrong with the file and names it.
func ReadClip(path string) (*g711.Clip, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read sound: %w", err)
	}
	defer func() { _ = f.Close() }() // it was only read
	sound, err := wav.Read(f, wav.Limits{MaxDuration: maxClip})
	if err != nil {
		return nil, fmt.Errorf("read sound %s: %w", path, err)
	}
	if sound.Duration() < minClip {
		return nil, fmt.Errorf("read sound %s: %w", path, errors.New("it is shorter than 0.1 s"))
	}
	pcm, err := resample.To8k(sound.Mono(), sound.Rate)
	if err != nil {
		return nil, fmt.Errorf("read sound %s: %w", path, err)
	}
	return g711.NewClip(pcm), nil
}
