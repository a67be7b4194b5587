package tts

import (
	"math"
	"strings"

	"perezvon/media/g711"
)

// PhraseID names something that calls have to say by themselves.
type PhraseID string

// The stock phrases.
const (
	PhraseSpeechFailed         PhraseID = "speech_failed" // to the manager, when its text cannot be spoken
	PhraseConfirm              PhraseID = "confirm"       // to a mobile, before it is connected
	PhraseCustomerBusy         PhraseID = "customer_busy" // to the manager, like all that follow
	PhraseCustomerNoAnswer     PhraseID = "customer_no_answer"
	PhraseCustomerDeclined     PhraseID = "customer_declined"
	PhraseCustomerUnavailable  PhraseID = "customer_unavailable"
	PhraseInvalidNumber        PhraseID = "invalid_number"
	PhraseDirectionUnavailable PhraseID = "direction_unavailable"
	PhraseTrunkFailed          PhraseID = "trunk_failed"
	PhraseHold                 PhraseID = "hold"      // to the customer, while a manager is sought
	PhraseApology              PhraseID = "apology"   // to the customer, when none was found
	PhraseVoicemail            PhraseID = "voicemail" // to a caller, before the beep
)

// phraseTrial is said when an engine is tried; no call says it.
const phraseTrial PhraseID = "trial"

// Phrases lists the ids of all stock phrases, for those who render them
// beforehand.
func Phrases() []PhraseID {
	return []PhraseID{
		PhraseSpeechFailed, PhraseConfirm,
		PhraseCustomerBusy, PhraseCustomerNoAnswer, PhraseCustomerDeclined, PhraseCustomerUnavailable,
		PhraseInvalidNumber, PhraseDirectionUnavailable, PhraseTrunkFailed, PhraseHold, PhraseApology,
		PhraseVoicemail,
	}
}

// Phrase returns the text of a stock phrase: Russian for the language "ru"
// and its regions, English for every other. An unknown id gives "".
func Phrase(language string, id PhraseID) string {
	ru, en := phrase(id)
	primary, _, _ := strings.Cut(strings.ReplaceAll(strings.ToLower(language), "_", "-"), "-")
	if primary == "ru" {
		return ru
	}
	return en
}

func phrase(id PhraseID) (ru, en string) {
	switch id {
	case phraseTrial:
		return "Проверка связи.", "This is a test."
	case PhraseSpeechFailed:
		return "Обратный звонок. Текст заявки прочитать не удалось.", "Callback. The text of the request could not be read out."
	case PhraseConfirm:
		return "Вам обратный звонок. Нажмите один, чтобы принять.", "There is a callback for you. Press one to accept."
	case PhraseCustomerBusy:
		return "Номер клиента занят.", "The customer's line is busy."
	case PhraseCustomerNoAnswer:
		return "Клиент не отвечает.", "The customer does not answer."
	case PhraseCustomerDeclined:
		return "Клиент отклонил звонок.", "The customer declined the call."
	case PhraseCustomerUnavailable:
		return "Телефон клиента выключен или находится вне зоны действия сети.", "The customer's phone is switched off or out of coverage."
	case PhraseInvalidNumber:
		return "Такого номера не существует.", "This number does not exist."
	case PhraseDirectionUnavailable:
		return "Это направление недоступно.", "This destination is not available."
	case PhraseTrunkFailed:
		return "Не удалось позвонить клиенту: линия недоступна.", "The customer could not be called: the line is not available."
	case PhraseHold:
		return "Здравствуйте! Вы заказывали звонок. Подождите, пожалуйста, соединяем с менеджером.",
			"Hello! You asked for a call. Please hold, you are being connected."
	case PhraseApology:
		return "К сожалению, сейчас никто не может ответить. Извините за беспокойство.",
			"Unfortunately nobody can answer at the moment. We are sorry for the trouble."
	case PhraseVoicemail:
		return "Здравствуйте! Сейчас никто не может ответить. Оставьте, пожалуйста, сообщение после сигнала.",
			"Hello! Nobody can answer at the moment. Please leave a message after the tone."
	}
	return "", ""
}

// FallbackClip returns two short beeps, generated and not spoken: what is
// played where a phrase belongs and no speech engine works.
func FallbackClip() *g711.Clip {
	const (
		hz     = 950
		beep   = g711.SampleRate / 5      // 200 ms
		pause  = g711.SampleRate * 3 / 20 // 150 ms
		ramp   = g711.SampleRate / 100    // 10 ms, so that it does not click
		factor = math.Sqrt2 * math.MaxInt16
	)
	amplitude := factor * math.Pow(10, targetLevel/20)
	pcm := make([]int16, beep+pause+beep+pause)
	for i := range beep {
		edge := min(1, float64(min(i, beep-1-i))/ramp)
		s := int16(amplitude * edge * math.Sin(2*math.Pi*hz*float64(i)/g711.SampleRate))
		pcm[i], pcm[beep+pause+i] = s, s
	}
	return g711.NewClip(pcm)
}
