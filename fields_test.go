package prunella_test

import (
	"fmt"
	"testing"

	"prunella"
)

func TestProse(t *testing.T) {
	for text, want := range map[string]string{
		"token rejected": "token rejected",
		"level=error svc=order err=no_such_key kid=abc":  "level=error svc=order err=no_such_key kid=abc; err no such key",
		`ts=12 msg="bad aud" reason=audMismatch`:         `ts=12 msg="bad aud" reason=audMismatch; msg bad aud; reason aud mismatch`,
		`{"a":{"error":"TokenExpiredError"},"code":401}`: `{"a":{"error":"TokenExpiredError"},"code":401}; error token expired error`,
		"https://idp/x?a=1":                              "https://idp/x?a=1",
		"{broken":                                        "{broken",
	} {
		if got := prunella.Prose(text); got != want {
			t.Errorf("%q becomes %q, want %q", text, got, want)
		}
	}
	if got := fmt.Sprint(prunella.Fields(`x {"n":1,"o":{"kid":"k"},"l":[1]}`)); got != "[{n 1} {o.kid k}]" {
		t.Error(got)
	}
}

func FuzzFields(f *testing.F) {
	f.Add(`a=b c="d e" f='g'`)
	f.Add(`{"a":{"b":"c"}}`)
	f.Fuzz(func(t *testing.T, text string) {
		got := prunella.Fields(text)
		if len(got) > 64 {
			t.Fatalf("%d fields", len(got))
		}
		if p := prunella.Prose(text); len(p) < len(text) || p[:len(text)] != text {
			t.Fatalf("%q lost its text: %q", text, p)
		}
	})
}
