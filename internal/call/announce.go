package call

import (
	"context"
	"fmt"
	"slices"

	"perezvon/configs"
	"perezvon/internal/route"
	"perezvon/internal/store"
	"perezvon/media"
	"perezvon/media/g711"
	"perezvon/tts"
)

// readSounds reads the sound files of all routes, and the music, by their paths.
func readSounds(cfg *configs.Config) (map[string]*g711.Clip, error) {
	clips := make(map[string]*g711.Clip)
	if cfg.Music != "" {
		clip, err := media.ReadClip(cfg.Music)
		if err != nil {
			return nil, fmt.Errorf("music: %w", err)
		}
		clips[cfg.Music] = clip
	}
	err := eachStep(cfg, func(path string, step *configs.Step) error {
		if step.Announce == nil || step.Announce.Sound == "" {
			return nil
		}
		clip, err := media.ReadClip(step.Announce.Sound)
		if err != nil {
			return fmt.Errorf("%s.announce.sound: %w", path, err)
		}
		clips[step.Announce.Sound] = clip
		return nil
	})
	return clips, err
}

// eachStep calls f for the steps of all routes until it fails.
func eachStep(cfg *configs.Config, f func(path string, step *configs.Step) error) error {
	for i := range cfg.Lines {
		for name, steps := range map[string][]configs.Step{"route": cfg.Lines[i].Route, "otherwise": cfg.Lines[i].Otherwise} {
			for j := range steps {
				if err := f(fmt.Sprintf("lines[%d].%s[%d]", i, name, j), &steps[j]); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// spoken is what the caller hears in a step, a greeting included.
func (s *Service) spoken(ctx context.Context, step route.Step) *g711.Clip {
	switch {
	case step.Sound != "":
		return s.prompts.sound(step.Sound)
	case step.Text != "":
		return s.prompts.text(ctx, step.Text, step.Voice)
	}
	return s.prompts.clip(ctx, tts.PhraseVoicemail)
}

// warm prepares all that calls say by themselves, so that none waits for it.
func (s *Service) warm(ctx context.Context) {
	s.prompts.warm(ctx)
	_ = eachStep(s.set(), func(_ string, step *configs.Step) error {
		switch {
		case step.Announce != nil && step.Announce.Text != "":
			_, _ = s.speech.Render(ctx, step.Announce.Text, step.Announce.Voice) // a call that needs it tells
		case step.Voicemail != nil && step.Voicemail.Text != "":
			_, _ = s.speech.Render(ctx, step.Voicemail.Text, step.Voicemail.Voice)
		}
		return ctx.Err()
	})
}

// speak takes a step that rings nobody: it answers the caller and speaks to
// him. rest are the steps behind it, why is what came of those before. It
// returns how the call ends, or nil when the next step is to be taken.
func (r *reception) speak(ctx context.Context, step route.Step, rest []route.Step, why refusal) *outcome {
	clip := r.call.svc.spoken(ctx, step) // before the answer: nobody pays for the rendering
	if failed := r.pickUp(ctx); failed != nil {
		return failed
	}
	r.tone.silence()
	if step.Kind == route.Voicemail {
		o := r.takeMessage(ctx, step, clip, why)
		return &o
	}
	r.call.enter(store.StatePlaying, "")
	_, _ = r.caller.media.Play(ctx, clip) // how it ended is in the contexts
	if ctx.Err() != nil {
		o := r.left(ctx, rest, why)
		return &o
	}
	if len(rest) > 0 && rest[0].Rings() {
		r.call.enter(store.StateRinging, "")
		r.tone.ringback()
	}
	return nil
}

// left is the outcome for a caller who hangs up while he is spoken to: he gave
// up where somebody could still have answered; else nobody did, as before.
func (r *reception) left(ctx context.Context, rest []route.Step, why refusal) outcome {
	if r.broken() || r.call.ctx.Err() != nil || slices.ContainsFunc(reachable(rest), answers) {
		return r.abandoned(ctx)
	}
	_, o := unanswered(why)
	o.hangupBy = store.PartyCustomer
	return o
}

// answers reports whether the caller may be answered by a step: by a person,
// or by a voicemail in his place.
func answers(step route.Step) bool { return step.Rings() || step.Kind == route.Voicemail }

// reachable leaves out what stands behind a hangup.
func reachable(steps []route.Step) []route.Step {
	if i := slices.IndexFunc(steps, func(s route.Step) bool { return s.Kind == route.Hangup }); i >= 0 {
		return steps[:i]
	}
	return steps
}
