package sounds

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/hajimehoshi/go-mp3"

	"perezvon/media/g711"
	"perezvon/media/resample"
	"perezvon/media/wav"
)

// Bounds of a sound that is played to somebody.
const (
	MaxBytes    = 32 << 20 // of the file
	MinDuration = 300 * time.Millisecond
	MaxDuration = 5 * time.Minute

	quietest = 100 // the peak below which a sound is silence, of 32767
)

// ErrSound is about a sound that cannot be played, whatever is tried.
var ErrSound = errors.New("the sound cannot be played")

// Decode makes a clip of a whole file: WAV (PCM, floating point, A-law, µ-law) or
// MP3, of any rate, mono or stereo, between MinDuration and MaxDuration and not
// silent. The error wraps ErrSound and says what is wrong.
func Decode(file []byte) (*g711.Clip, error) {
	pcm, rate, err := decode(file)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSound, err)
	}
	if pcm, err = resample.To8k(pcm, rate); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrSound, err)
	}
	clip := g711.NewClip(pcm)
	switch {
	case clip.Duration() < MinDuration:
		return nil, fmt.Errorf("%w: it lasts %s, at least %s is needed", ErrSound, clip.Duration().Round(time.Millisecond), MinDuration)
	case silent(pcm):
		return nil, fmt.Errorf("%w: it is silent", ErrSound)
	}
	return clip, nil
}

func decode(file []byte) (pcm []int16, rate int, err error) {
	switch {
	case len(file) > MaxBytes:
		return nil, 0, fmt.Errorf("it has more than %d MiB", MaxBytes>>20)
	case bytes.HasPrefix(file, []byte("RIFF")):
		sound, err := wav.Read(bytes.NewReader(file), wav.Limits{MaxDuration: MaxDuration})
		return sound.Mono(), sound.Rate, err
	case bytes.HasPrefix(file, []byte("ID3")), len(file) > 1 && file[0] == 0xFF && file[1]&0xE0 == 0xE0:
		return decodeMP3(file)
	}
	return nil, 0, errors.New("it is neither a WAV nor an MP3 file")
}

// decodeMP3 returns the mean of the channels.
func decodeMP3(file []byte) (pcm []int16, rate int, err error) {
	defer func() { // what is broken breaks the decoder, too
		if p := recover(); p != nil {
			pcm, rate, err = nil, 0, errors.New("the MP3 file is damaged")
		}
	}()
	decoder, err := mp3.NewDecoder(bytes.NewReader(file))
	if err != nil {
		return nil, 0, fmt.Errorf("the MP3 file is damaged: %w", err)
	}
	const frame = 4 // bytes: two channels of 16 bits
	rate = decoder.SampleRate()
	most := int64(MaxDuration/time.Second) * int64(rate) * frame
	if decoder.Length() > most { // by its frames, none of which was decoded
		return nil, 0, fmt.Errorf("it lasts longer than %s", MaxDuration)
	}
	samples, err := io.ReadAll(io.LimitReader(decoder, most+1))
	switch {
	case int64(len(samples)) > most:
		return nil, 0, fmt.Errorf("it lasts longer than %s", MaxDuration)
	case err != nil:
		return nil, 0, fmt.Errorf("the MP3 file is damaged: %w", err)
	}
	pcm = make([]int16, len(samples)/frame)
	for i := range pcm {
		left := int(int16(binary.LittleEndian.Uint16(samples[i*frame:])))
		right := int(int16(binary.LittleEndian.Uint16(samples[i*frame+2:])))
		pcm[i] = int16((left + right) / 2)
	}
	return pcm, rate, nil
}

func silent(pcm []int16) bool {
	for _, s := range pcm {
		if s > quietest || s < -quietest {
			return false
		}
	}
	return true
}
