package tts

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestSentencesEndWhereTheyEnd(t *testing.T) {
	for _, tt := range []struct{ name, marked string }{ // | is where a sentence ends
		{"plain", "Здравствуйте!|Вы заказывали звонок.|Подождите, пожалуйста."},
		{"English", "Hello there!|You asked for a call?|Please hold."},
		{"several marks", "Правда?!|Конечно...|Тогда едем…|Хорошо."},
		{"quotes and brackets", "Он сказал: «Да, конечно.»|Потом ушёл (совсем.)|Вот так."},
		{"direct speech goes on", "«Кто там?» — спросил он.|Потом... ушёл."},
		{"decimals", "Цена 3.14 рубля, курс 98,50.|IP 192.168.0.1 и example.com. всё"},
		{"a number ends a sentence", "Клиент заказал 1532.|Перезвоните ему."},
		{"numbered list", "1. Первое дело.|2. второе"},
		{"dates", "Встреча 12. 05. 2024 года.|Приходите."},
		{"titles and addresses", "г. Москва, ул. Ленина, д. 5, кв. 12, т. Иванов."},
		{"initials", "Звонил А. С. Пушкин.|Перезвоните."},
		{"English titles", "Mr. Smith and Dr. Jones of St. James Ave. No. 5 called.|Call back."},
		{"units go on", "Это 10 руб. за 5 шт. товара.|Платите."},
		{"units end", "К оплате 500 руб.|Ждём вас.|Основана в 2020 г.|Компания растёт."},
		{"a unit written together", "Сумма 500р.|Ждём вас."},
		{"and so on", "Столы, стулья и т. д.|Звоните.|И все т.п.|Конец."},
		{"that is", "Завтра, т. е. Среда, и т.к. Дождь.|Конец."},
		{"time of day", "We open at 9 a.m. and close at 5 p.m.|Welcome."},
		{"company", "Example Inc. is here, e.g. Today, i.e. Now.|Good."},
		{"short ones go with the next", "Да. Нет.|Конечно.|Спасибо за заказ."},
		{"a short last one goes with that before", "Спасибо за заказ. Да!"},
		{"no mark at all", "Заказ 15 клиент Иван"},
		{"a dash begins", "Готово.|— Кто это?"},
		{"marks alone", "Привет всем ... !!! ..."},
	} {
		want := strings.Split(tt.marked, "|")
		text := strings.Join(want, " ")
		if got := sentences(text, longestPiece); !slices.Equal(got, want) {
			t.Errorf("%s:\n got %q\nwant %q", tt.name, got, want)
		}
	}
}

func TestLongSentencesAreCutAtClausesAndNeverInNumbers(t *testing.T) {
	for text, want := range map[string][]string{
		"Первая часть предложения, вторая часть, третья": {"Первая часть предложения,", "вторая часть, третья"},
		"слова без всяких знаков и всё ещё без них":      {"слова без всяких знаков и всё", "ещё без них"},
		"Номер телефона клиента 8 916 123 45 67 ждёт":    {"Номер телефона клиента", "8 916 123 45 67 ждёт"},
		"Да, " + strings.Repeat("слово ", 6) + "конец":   {"Да, слово слово слово слово", "слово слово конец"},
		strings.Repeat("х", 70):          {strings.Repeat("х", 30), strings.Repeat("х", 30), strings.Repeat("х", 10)},
		"ровно тридцать букв и знаков !": {"ровно тридцать букв и знаков !"},
	} {
		if got := sentences(text, 30); !slices.Equal(got, want) {
			t.Errorf("%q:\n got %q\nwant %q", text, got, want)
		}
	}
}

func FuzzSentences(f *testing.F) {
	f.Add("Звонил А. С. Пушкин. Перезвоните! К оплате 500 руб. Ждём.", 20)
	f.Add("Mr. Smith called... \"Why?\" he asked. At 5 p.m. We left", 9)
	f.Add(strings.Repeat("х", 100)+" "+strings.Repeat("1 ", 50), 7)
	f.Fuzz(func(t *testing.T, text string, limit int) {
		text, err := cleanText(text, 5000)
		if err != nil || limit < 1 || limit > 5000 {
			return
		}
		pieces := sentences(text, limit)
		for _, p := range pieces {
			if n := utf8.RuneCountInString(p); n == 0 || n > limit {
				t.Fatalf("a piece of %d characters, at most %d: %q", n, limit, p)
			}
		}
		if got := strings.ReplaceAll(strings.Join(pieces, ""), " ", ""); got != strings.ReplaceAll(text, " ", "") {
			t.Fatalf("%q became %q", text, pieces)
		}
	})
}
