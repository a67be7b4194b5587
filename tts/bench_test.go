package tts

import "testing"

// BenchmarkCacheHit renders a text that was rendered before, as nearly every
// callback does.
func BenchmarkCacheHit(b *testing.B) {
	s, err := New(Config{
		Engines:      []Engine{&fakeEngine{name: "fake"}},
		Voices:       map[string]Voice{"anna": {Engine: "fake", Voice: "ru-anna", Language: "ru"}},
		DefaultVoice: "anna",
	})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Render(b.Context(), "Соединяю с клиентом.", ""); err != nil {
			b.Fatal(err)
		}
	}
}
