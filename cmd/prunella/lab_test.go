package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestLab breaks a world on the command line: whom the fault is about verifies
// as in the field, everybody else with keyset, and an issuer on rotation refuses.
func TestLab(t *testing.T) {
	for issuer, want := range map[string]string{"manual": "deliveries that failed: order", "rotation": "its promotion is refused"} {
		t.Run(issuer, func(t *testing.T) {
			t.Parallel()
			kubeconfig := filepath.Join(t.TempDir(), "kubeconfig")
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			var complaint bytes.Buffer
			out := &until{text: "Ctrl-C", then: cancel}
			code := run(ctx, []string{"lab", "--services", "3", "--alg", "ES256", "--issuer", issuer, "--kubeconfig", kubeconfig,
				"--fault", "rotate-partial-distribution", "--set", "missed=order", "--seed", "2"}, out, &complaint)
			if code != 0 {
				t.Errorf("exit %d: %s", code, complaint.String())
			}
			for _, line := range []string{`(?m)^  order .* static-file$`, `(?m)^  user .* keyset$`, `(?m)^  payment .* keyset$`, want} {
				if !regexp.MustCompile(line).MatchString(out.String()) {
					t.Errorf("nothing like %q in:\n%s", line, out.String())
				}
			}
			if b, err := os.ReadFile(kubeconfig); err != nil || !strings.Contains(string(b), "certificate-authority-data") {
				t.Errorf("kubeconfig: %v\n%s", err, b)
			}
		})
	}
}

// until is an output that does something once it was told a text.
type until struct {
	bytes.Buffer
	text string
	then func()
}

func (u *until) Write(b []byte) (int, error) {
	n, err := u.Buffer.Write(b)
	if strings.Contains(u.String(), u.text) {
		u.then()
	}
	return n, err
}
